"""The settings of ``calibrate`` and ``localize3d`` as typed, see `autods.configuration.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from autods.calibration.bead_calibration import BeadSettings
from autods.calibration.insitu import InsituSettings
from autods.calibration.retrieval import RetrievalSettings
from autods.configuration.schema import CameraConfig, MovieConfig, ProcessesConfig, ResultConfig
from autods.pipelines.settings import OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, SnrSettings, TrainingSettings


@dataclass
class CalibrationConfig:
    """The bead stack and its fit."""

    z_step_nm: float | None = None
    z_nm: str | None = None
    scan: str = BeadSettings.scan
    size_px: int | None = BeadSettings.size_px
    saturation_adu: float | None = BeadSettings.saturation_adu
    phase: str = RetrievalSettings.method
    model: str = RetrievalSettings.model
    loss: str = RetrievalSettings.loss
    amplitude: bool = RetrievalSettings.fit_amplitude
    supercritical: bool | None = RetrievalSettings.supercritical
    steps: int = RetrievalSettings.steps
    zernike_max: int = RetrievalSettings.zernike_max
    smoothness: float = RetrievalSettings.smoothness
    seed: int = BeadSettings.seed
    field: bool = BeadSettings.over_field


@dataclass
class MaskConfig:
    """A designed mask as first guess."""

    file: str | None = None
    magnification: float = 100.0
    focal_length_4f_mm: float = 100.0
    pixel_um: float = 30.0


@dataclass
class InsituConfig:
    """Calibration from molecules."""

    z_min_nm: float | None = None
    z_max_nm: float | None = None
    start_waves: float = InsituSettings.start_waves
    start_angle_deg: float = InsituSettings.start_angle_deg
    rounds: int = InsituSettings.rounds
    max_molecules: int = 300
    size_px: int = 15


@dataclass
class CalibrateConfig:
    """``autods calibrate``."""

    groups: ClassVar[tuple[Any, ...]] = ({"optics": "default"}, {"camera": "default"}, "_self_")

    method: str = "beads"
    channel: int | None = None
    position: int | None = None
    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraConfig = field(default_factory=CameraConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    insitu: InsituConfig = field(default_factory=InsituConfig)


@dataclass
class NetworkArgsConfig:
    """Size of the network."""

    width: int = TrainingSettings.width


@dataclass
class NetworkConfig:
    """Settings of ``network``: which one, and its size."""

    args: NetworkArgsConfig = field(default_factory=NetworkArgsConfig)


@dataclass
class DataConfig:
    """Training frames."""

    n_slices: int = TrainingSettings.n_slices
    size_px: int = TrainingSettings.size_px
    batch_size: int = TrainingSettings.batch_size
    batches_per_epoch: int = TrainingSettings.batches_per_epoch
    validation_batches: int = TrainingSettings.validation_batches
    seed: int = TrainingSettings.seed


@dataclass
class ModuleConfig:
    """Optimization."""

    learning_rate: float = TrainingSettings.learning_rate


@dataclass
class TrainerConfig:
    """Length of the training."""

    max_steps: int | None = TrainingSettings.max_steps
    max_minutes: float | None = TrainingSettings.max_minutes
    patience: int | None = TrainingSettings.patience
    adapt_minutes: float = TrainingSettings.adapt_minutes
    warm_start: str | None = None


@dataclass
class Localize3DConfig(MovieConfig, ResultConfig):
    """``autods localize3d``."""

    groups: ClassVar[tuple[Any, ...]] = (
        {"optics": "default"},
        {"camera": "default"},
        {"psf": None},
        "_self_",
        {"preset": "cpu_quick"},
    )

    psf: dict[str, Any] = field(
        default_factory=lambda: {
            "z_min_nm": PsfSettings.z_min_nm,
            "z_max_nm": PsfSettings.z_max_nm,
            "origin": PsfSettings.origin,
        }
    )
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    background: str = Localize3DSettings.background
    snr: SnrSettings = field(default_factory=SnrSettings)
    family: str = TrainingSettings.family
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    module: ModuleConfig = field(default_factory=ModuleConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    passes: int = Localize3DSettings.passes
    until: str = Localize3DSettings.until
