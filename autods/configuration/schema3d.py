"""The settings of ``calibrate`` and ``localize3d`` as typed, see `autods.configuration.schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from autods.calibration.bead_calibration import BeadSettings
from autods.calibration.insitu import InsituSettings
from autods.calibration.retrieval import RetrievalSettings
from autods.configuration.schema import CameraConfig, MovieConfig, ProcessesConfig, ResultConfig, setting
from autods.pipelines.settings import OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, SnrSettings, TrainingSettings


@dataclass
class CalibrationConfig:
    """The bead stack and its fit."""

    z_step_nm: float | None = setting(None, "distance of the slices, nm; or z_nm")
    z_nm: str | None = setting(None, "START:STOP:N, both ends included, nm")
    scan: str = setting(
        BeadSettings.scan,
        "what was moved: objective, stage, or emitter (its own depth); auto: objective, unless the data tell",
    )
    size_px: int | None = setting(
        BeadSettings.size_px, "side of the cut-out around a bead, odd; null: measured"
    )
    saturation_adu: float | None = setting(
        BeadSettings.saturation_adu, "value of a saturated pixel, ADU; null: a plateau of equal maxima"
    )
    phase: str = setting(
        RetrievalSettings.method,
        "pixel: Zernike modes and a free phase per pupil sample; zernike: modes only",
    )
    model: str = setting(RetrievalSettings.model, "scalar or vectorial diffraction")
    loss: str = setting(RetrievalSettings.loss, "likelihood: weighted by the noise; mse: plain squares")
    amplitude: bool = setting(RetrievalSettings.fit_amplitude, "fit the pupil's amplitude too")
    supercritical: bool | None = setting(
        RetrievalSettings.supercritical,
        "light beyond the critical angle (beads at the coverslip); null: if it fits better",
    )
    steps: int = setting(RetrievalSettings.steps, "of gradient descent")
    zernike_max: int = setting(RetrievalSettings.zernike_max, "largest Noll index")
    smoothness: float = setting(RetrievalSettings.smoothness, "weight of the free phase's roughness")
    seed: int = setting(BeadSettings.seed, "of the slices drawn in each step")
    field: bool = setting(BeadSettings.over_field, "aberrations over the field, from each bead at its place")


@dataclass
class MaskConfig:
    """A designed mask as first guess."""

    file: str | None = setting(None, "the designed mask as first guess (.npy, .mat, TIFF, radians)")
    magnification: float = setting(100.0, "of objective and tube lens")
    focal_length_4f_mm: float = setting(100.0, "of the relay that images the pupil on the mask, mm")
    pixel_um: float = setting(30.0, "of the mask's file, in the plane of the mask, um")


@dataclass
class InsituConfig:
    """Calibration from molecules."""

    z_min_nm: float | None = setting(None, "lowest z of the molecules from the focus, nm; null: -600")
    z_max_nm: float | None = setting(None, "highest z of the molecules from the focus, nm; null: 600")
    start_waves: float = setting(
        InsituSettings.start_waves, "strength of the assumed astigmatism, waves rms, without a mask"
    )
    start_angle_deg: float = setting(InsituSettings.start_angle_deg, "its orientation, degrees")
    rounds: int = setting(InsituSettings.rounds, "alternations of positions and pupil")
    max_molecules: int = setting(300, "most molecules that are used")
    size_px: int = setting(15, "side of a cut-out from a movie, pixels")


@dataclass
class CalibrateConfig:
    """``autods calibrate``."""

    groups: ClassVar[tuple[Any, ...]] = ({"optics": "default"}, {"camera": "default"}, "_self_")

    method: str = setting("beads", "beads: a z-stack of beads; insitu: isolated molecules of a movie")
    channel: int | None = setting(None, "of a file that holds several channels, from 0")
    position: int | None = setting(None, "of a file that holds several stage positions, from 0")
    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraConfig = field(default_factory=CameraConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    insitu: InsituConfig = field(default_factory=InsituConfig)


@dataclass
class NetworkArgsConfig:
    """Size of the network."""

    width: int = setting(TrainingSettings.width, "channels")


@dataclass
class NetworkConfig:
    """Settings of ``network``: which one, and its size."""

    args: NetworkArgsConfig = field(default_factory=NetworkArgsConfig)


@dataclass
class DataConfig:
    """Training frames."""

    n_slices: int = setting(TrainingSettings.n_slices, "slices of the volume (voxels)")
    size_px: int = setting(
        TrainingSettings.size_px, "side of the training frames, pixels; grows with the PSF"
    )
    batch_size: int = setting(TrainingSettings.batch_size, "of frames of that side; larger ones come fewer")
    batches_per_epoch: int = setting(TrainingSettings.batches_per_epoch, "between two validations")
    validation_batches: int = setting(TrainingSettings.validation_batches, "of a validation")
    seed: int = setting(TrainingSettings.seed, "of weights and simulations")


@dataclass
class ModuleConfig:
    """Optimization."""

    learning_rate: float = setting(TrainingSettings.learning_rate, "peak of the learning rate")


@dataclass
class TrainerConfig:
    """Length of the training."""

    max_steps: int | None = TrainingSettings.max_steps
    max_minutes: float | None = TrainingSettings.max_minutes
    patience: int | None = setting(
        TrainingSettings.patience, "validations without improvement before stopping; null: none"
    )
    adapt_minutes: float = setting(
        TrainingSettings.adapt_minutes, "of the shipped network (universal) for this PSF; 0: as it is"
    )
    warm_start: str | None = setting(None, "a model's folder whose weights are taken where they fit")


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

    psf: dict[str, Any] = setting(
        lambda: {
            "z_min_nm": PsfSettings.z_min_nm,
            "z_max_nm": PsfSettings.z_max_nm,
            "origin": PsfSettings.origin,
        },
        "a PSF by name instead of --beads, --psf or --run",
        origin="of z, for a bead stack: focus: where the bead is in focus; given: where its position is 0",
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
    passes: int = setting(
        Localize3DSettings.passes, "of the network; from the second on at what the fitted molecules leave"
    )
    until: str = setting(
        Localize3DSettings.until, "last stage: calibrate, background, snr, train, test, localize"
    )
