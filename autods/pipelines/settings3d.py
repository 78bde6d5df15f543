"""What a user may set for the 3D pipeline; None everywhere means: find out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autods.calibration.bead_calibration import BeadSettings
from autods.core import OpticalSystem, UserError
from autods.estimation.scene import Method
from autods.optics import PSFModel
from autods.pipelines.definitions import LOCALIZE3D
from autods.pipelines.settings import CameraSettings, FinishSettings, OpticsSettings

Family = Literal["mixture", "voxels", "universal"]

#: Photons of a localization, in standard errors, where nothing is given.
MIN_SIGNIFICANCE = 3.0
#: Steps that no time limit allows.
_ENDLESS = 1_000_000
#: The stages in their order; each depends on those before it.
STAGES = ("calibrate", "background", "snr", "train", "test", "localize")


@dataclass(frozen=True)
class PsfSettings:
    """Where the PSF comes from: exactly one of beads, file, earlier run or formula.

    Raises `UserError` if there is not exactly one source, or the range is reversed.
    """

    #: Bead stack to calibrate.
    beads: Path | None = None
    #: Its positions, see :func:`autods.calibration.bead_calibration.z_positions`.
    z_step_nm: float | None = None
    z_nm: str | None = None
    #: Where molecules have z = 0 under the nominal focal plane 0: ``focus``, at the bead's focus; ``given``,
    #: where the stack's positions are 0.
    origin: Literal["focus", "given"] = "focus"
    #: How it is read and fitted.
    calibration: BeadSettings = field(default_factory=BeadSettings)
    #: A PSF file.
    file: Path | None = None
    #: Run folder whose PSF and network are taken: nothing is trained.
    run: Path | None = None
    #: Makes the PSF of a microscope; its name and numbers, for people and for the cache.
    formula: Callable[[OpticalSystem], PSFModel] | None = None
    formula_text: str = ""
    #: Depths to localize in, nm; None takes what the bead stack covers.
    z_min_nm: float | None = None
    z_max_nm: float | None = None

    def __post_init__(self) -> None:
        sources = [self.beads, self.file, self.run, self.formula]
        if len(sources) - sources.count(None) != 1:
            raise UserError(
                "the PSF must come from one place: give --beads STACK, --psf FILE, --run FOLDER or psf=NAME"
            )
        if self.origin not in ("focus", "given"):
            raise UserError(f"psf.origin={self.origin}: use focus or given")
        low, high = self.z_min_nm, self.z_max_nm
        LOCALIZE3D["psf.z_min_nm"].require(low)
        LOCALIZE3D["psf.z_max_nm"].require(high)
        if low is not None and high is not None and not high > low:
            raise UserError(f"psf.z_max_nm={high:g} is not above psf.z_min_nm={low:g}: correct the range")


@dataclass(frozen=True)
class SnrSettings:
    """Where noise and photons are measured, see :func:`autods.estimation.snr3d.characterise`."""

    region: str = "auto"
    size_px: int = 64
    max_pixel_value: float | None = None

    def __post_init__(self) -> None:
        LOCALIZE3D["snr.size_px"].require(self.size_px)
        LOCALIZE3D["snr.max_pixel_value"].require(self.max_pixel_value)


@dataclass(frozen=True)
class TrainingSettings:
    """Size and length of the training; a `UserError` where there is none such.

    What each setting is, ``autods localize3d --settings`` says, and more of it `autods.training.fit.fit` and
    `autods.training.SimulatedDataModule`. Without steps the training lasts as long as the minutes say;
    without weights to start from it takes the general 2D model's where they fit.
    """

    family: Family = "mixture"
    width: int = 48
    n_slices: int = 81
    size_px: int = 32
    batch_size: int = 16
    batches_per_epoch: int = 150
    validation_batches: int = 8
    max_steps: int | None = None
    max_minutes: float | None = 15.0
    patience: int | None = None
    adapt_minutes: float = 0.0
    learning_rate: float = 1.5e-3
    warm_start: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        LOCALIZE3D["family"].require(self.family)
        LOCALIZE3D["trainer.max_minutes"].require(self.max_minutes)
        if self.adapt_minutes < 0:
            raise UserError(f"training: adapt_minutes={self.adapt_minutes:g} must not be negative")
        for name in ("width", "n_slices", "size_px", "batch_size", "batches_per_epoch", "steps"):
            if getattr(self, name) < 1:
                raise UserError(f"training: {name}={getattr(self, name)} must be at least 1")
        if self.max_steps is None and self.max_minutes is None:
            raise UserError("training: give trainer.max_minutes or trainer.max_steps: it would never end")

    @property
    def steps(self) -> int:
        """Optimizer steps at most."""
        return _ENDLESS if self.max_steps is None else self.max_steps


@dataclass(frozen=True)
class Localize3DSettings:
    """Settings of one 3D run; a `UserError` where one is out of its range.

    `autods.pipelines.definitions.LOCALIZE3D` says what each is, its unit and its limits; ``frames`` and
    ``roi`` are those of `autods.pipelines.settings.LocalizeSettings`. ``passes`` is how often the network
    looks: from the second time on at what the fitted emitters leave.
    """

    psf: PsfSettings
    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    background: Method = "auto"
    snr: SnrSettings = field(default_factory=SnrSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    refine: Literal["mle", "none"] = "mle"
    passes: int = 2
    threshold: float | None = None
    min_significance: float | None = None
    max_uncertainty_nm: float | None = None
    finish: FinishSettings = field(default_factory=FinishSettings)
    channel: int | None = None
    position: int | None = None
    frames: slice | None = None
    roi: tuple[int, int, int, int] | None = None
    render_pixel_size_nm: float = 10.0
    until: str = "localize"
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.until not in STAGES:
            raise UserError(f"until={self.until}: use one of {', '.join(STAGES)}")
        if self.passes < 1:
            raise UserError(f"passes={self.passes}: the network must look once at least")
        values = {
            "background": self.background,
            "refine": self.refine,
            "decode.threshold": self.threshold,
            "decode.min_significance": self.min_significance,
            "decode.max_uncertainty_nm": self.max_uncertainty_nm,
            "render.pixel_size_nm": self.render_pixel_size_nm,
        }
        for key, value in values.items():
            LOCALIZE3D[key].require(value)

    @property
    def significance(self) -> float:
        """Photons that a localization must have, in standard errors."""
        return MIN_SIGNIFICANCE if self.min_significance is None else self.min_significance

    @property
    def needs_population(self) -> bool:
        """Whether photons and density are wanted as they are: for a trained network, or to be told."""
        trained = self.training.family != "universal" or self.training.adapt_minutes > 0
        return trained or self.psf.run is not None or self.until == "snr"

    def reaches(self, stage: str) -> bool:
        """Tell whether a stage is to be carried out."""
        return STAGES.index(stage) <= STAGES.index(self.until)
