"""The settings of the commands as typed: names, types and defaults.

Each command is a class, each of its groups another. Where a pipeline has the same setting, the default is the
pipeline's; what each is, `autods.configuration.meanings` says. The Hydra configurations of these commands are
made of the classes, see `autods.configuration.compose`; those of `train` and `zoo`, which people compose from
groups, are files in ``conf/``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from autods.pipelines.settings import FinishSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.simulate import SimulationSettings


def defaults(schema: type) -> dict[str, Any]:
    """Return a command's configuration as Hydra takes it: the groups it is composed of, and the settings."""
    return {"defaults": [*getattr(schema, "groups", ("_self_",))], **dataclasses.asdict(schema())}


@dataclass
class CameraConfig:
    """The camera: a number, or the file of a map per pixel for offset and read noise (TIFF or .npy)."""

    offset_adu: int | float | str | None = None
    e_per_adu: float | None = None
    em_gain: float | None = None
    qe: float | None = None
    read_noise_e: int | float | str | None = None


@dataclass
class SelectionConfig:
    """How a model is chosen."""

    rule: str = LocalizeSettings.selection
    scope: str = LocalizeSettings.scope
    family: str | None = LocalizeSettings.family


@dataclass
class TilingConfig:
    """Patches of the field."""

    patch_um: float = LocalizeSettings.patch_um


@dataclass
class DecodeConfig:
    """Reading of the network's output."""

    threshold: float | None = LocalizeSettings.threshold
    min_significance: float | None = LocalizeSettings.min_significance
    max_uncertainty_nm: float | None = LocalizeSettings.max_uncertainty_nm


@dataclass
class RenderConfig:
    """The reconstructed image."""

    pixel_size_nm: float = LocalizeSettings.render_pixel_size_nm


@dataclass
class LinkConfig:
    """Linking of the localizations of a molecule in consecutive frames."""

    radius_nm: float | None = FinishSettings.link_radius_nm
    gap: int = FinishSettings.link_gap


@dataclass
class MovieConfig:
    """What is known of a movie, and the part of it that is wanted."""

    groups: ClassVar[tuple[Any, ...]] = ({"optics": "default"}, {"camera": "default"}, "_self_")

    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraConfig = field(default_factory=CameraConfig)
    channel: int | None = None
    position: int | None = None
    frames: str | None = None
    roi: str | None = None


@dataclass
class ProfileConfig(MovieConfig):
    """``autods profile``."""

    tiling: TilingConfig = field(default_factory=TilingConfig)


@dataclass
class ProcessesConfig:
    """Processes that share the frames."""

    per_machine: int = 1
    machines: int = 1


@dataclass
class ResultConfig:
    """What both one-clicks are told of the result."""

    refine: str = LocalizeSettings.refine
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    filter: str | None = FinishSettings.filter
    drift: str = FinishSettings.drift
    link: LinkConfig = field(default_factory=LinkConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    device: str = LocalizeSettings.device


@dataclass
class FollowConfig:
    """Localizing while the file grows."""

    idle_s: float = 20.0


@dataclass
class LocalizeConfig(MovieConfig, ResultConfig):
    """``autods localize``."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    tiling: TilingConfig = field(default_factory=TilingConfig)
    background: str = LocalizeSettings.background
    rescale: bool = LocalizeSettings.rescale
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)
    zoo: str | None = None


@dataclass
class DoctorConfig:
    """``autods doctor``."""

    zoo: str | None = None
    channel: int | None = None
    position: int | None = None


def _simulated_optics() -> OpticsSettings:
    return OpticsSettings(pixel_size_nm=100.0, wavelength_nm=660.0, na=1.4)


def _simulated_camera() -> CameraConfig:
    return CameraConfig(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)


def _simulated_depths() -> dict[str, Any]:
    return {name: getattr(SimulationSettings, name) for name in ("z_min_nm", "z_max_nm")}


@dataclass
class SimulateConfig:
    """``autods simulate``."""

    groups: ClassVar[tuple[Any, ...]] = ({"psf": None}, "_self_")

    n_frames: int = SimulationSettings.n_frames
    size_px: int = SimulationSettings.size_px
    structure: str = SimulationSettings.structure
    density_per_um2: float = SimulationSettings.density_per_um2
    photons: float = SimulationSettings.photons
    background: float = SimulationSettings.background
    on_frames: float = SimulationSettings.on_frames
    gradient: float = SimulationSettings.gradient
    blobs: float = SimulationSettings.blobs
    drift: str = SimulationSettings.drift
    drift_nm: float = SimulationSettings.drift_nm
    beads: int = SimulationSettings.beads
    seed: int = SimulationSettings.seed
    psf: dict[str, Any] = field(default_factory=_simulated_depths)
    optics: OpticsSettings = field(default_factory=_simulated_optics)
    camera: CameraConfig = field(default_factory=_simulated_camera)


@dataclass
class DemoConfig:
    """``autods demo``."""

    simulate: SimulateConfig = field(default_factory=SimulateConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    radius_nm: float = 200.0
    zoo: str | None = None
    device: str = LocalizeSettings.device


@dataclass
class TableOpticsConfig:
    """What a table may not state."""

    pixel_size_nm: float | None = None


@dataclass
class EvaluateConfig:
    """``autods evaluate``."""

    radius_nm: float = 200.0
    axial_radius_nm: float | None = 500.0
    remove_axial_offset: bool = False
    remove_lateral_offset: bool = False
    frames: str | None = None
    field_nm: str | None = None
    image_pixel_size_nm: float = 12.5
    resolution_pixel_size_nm: float = 10.0
    optics: TableOpticsConfig = field(default_factory=TableOpticsConfig)


@dataclass
class WebConfig:
    """``autods web``."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_upload_mb: float = 500.0


@dataclass
class CombineConfig:
    """``autods combine``."""

    registration: str = "auto"
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass
class FinishConfig:
    """``autods finish``."""

    filter: str | None = FinishSettings.filter
    drift: str = FinishSettings.drift
    link: LinkConfig = field(default_factory=LinkConfig)
    optics: TableOpticsConfig = field(default_factory=TableOpticsConfig)
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass
class PsfRangeConfig:
    """What is shown of a PSF."""

    z_min_nm: float = -600.0
    z_max_nm: float = 600.0
    slices: int = 7
    size_px: int = 41


@dataclass
class PsfOpticsConfig:
    """What the file of a PSF may not state."""

    pixel_size_nm: float | None = None
    nfp_nm: float | None = None


@dataclass
class PsfShowConfig:
    """``autods psf show``."""

    optics: PsfOpticsConfig = field(default_factory=PsfOpticsConfig)
    show: PsfRangeConfig = field(default_factory=PsfRangeConfig)
