"""The settings of the commands as typed: names, types, defaults, and what is said of them.

Each command is a class, each of its groups another. Where a pipeline has the same setting, the default is the
pipeline's. The Hydra configurations of these commands are made of the classes, see
`autods.configuration.compose`; those of `train` and `zoo`, which people compose from groups, are files in
``conf/``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_type_hints

from autods.pipelines.settings import FinishSettings, LocalizeSettings, OpticsSettings

_HELP = "help"


def setting(default: Any, meaning: str, **inner: str) -> Any:
    """Return a field with its default, or what makes it, and a line of help; of a mapping, one a key."""
    lines = {_HELP: {"": meaning, **inner}}
    return (
        field(default_factory=default, metadata=lines)
        if callable(default)
        else field(default=default, metadata=lines)
    )


def defaults(schema: type) -> dict[str, Any]:
    """Return a command's configuration as Hydra takes it: the groups it is composed of, and the settings."""
    return {"defaults": [*getattr(schema, "groups", ("_self_",))], **dataclasses.asdict(schema())}


def meanings(schema: type, prefix: str = "") -> dict[str, str]:
    """Return the lines of help of a command's settings by their dotted keys; '' where the class has none."""
    found: dict[str, str] = {}
    hints = get_type_hints(schema)
    for item in dataclasses.fields(schema):
        hint, key = hints[item.name], f"{prefix}{item.name}"
        if dataclasses.is_dataclass(hint):
            found |= meanings(hint, f"{key}.")  # type: ignore[arg-type]
        else:
            lines = item.metadata.get(_HELP, {"": ""})
            found |= {".".join(filter(None, [key, inner])): line for inner, line in lines.items()}
    return found


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

    rule: str = setting(
        LocalizeSettings.selection, "auto, average, density, snr, nearest, fixed:NAME, or an installed one"
    )
    scope: str = setting(LocalizeSettings.scope, "movie: one model per patch; frame: one per patch and frame")
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

    pixel_size_nm: float = setting(LocalizeSettings.render_pixel_size_nm, "pixel of the picture, nm")


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
    channel: int | None = setting(None, "of a file that holds several channels, from 0")
    position: int | None = setting(None, "of a file that holds several stage positions, from 0")
    frames: str | None = setting(None, "START:STOP, counted from 0, STOP excluded; null: all")
    roi: str | None = setting(None, "Y0:X0:Y1:X1, pixels, Y1 and X1 excluded; null: the whole field")


@dataclass
class ProfileConfig(MovieConfig):
    """``autods profile``."""

    tiling: TilingConfig = field(default_factory=TilingConfig)


@dataclass
class ProcessesConfig:
    """Processes that share the frames."""

    per_machine: int = setting(1, "processes that share the frames, on each machine; with GPUs, one for each")
    machines: int = setting(1, "machines that share the frames")


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

    idle_s: float = setting(20.0, "with --follow: seconds without a new frame that mean the end")


@dataclass
class LocalizeConfig(MovieConfig, ResultConfig):
    """``autods localize``."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    tiling: TilingConfig = field(default_factory=TilingConfig)
    background: str = LocalizeSettings.background
    rescale: bool = LocalizeSettings.rescale
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)
    zoo: str | None = setting(None, "folder of the models; null: those shipped")


@dataclass
class DoctorConfig:
    """``autods doctor``."""

    zoo: str | None = setting(None, "folder of the models that is checked; null: those shipped")
    channel: int | None = setting(None, "of a file that holds several channels, from 0")
    position: int | None = setting(None, "of a file that holds several stage positions, from 0")


def _simulated_optics() -> OpticsSettings:
    return OpticsSettings(pixel_size_nm=100.0, wavelength_nm=660.0, na=1.4)


def _simulated_camera() -> CameraConfig:
    return CameraConfig(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)


@dataclass
class SimulateConfig:
    """``autods simulate``."""

    groups: ClassVar[tuple[Any, ...]] = ({"psf": None}, "_self_")

    n_frames: int = setting(200, "length of the movie")
    size_px: int = setting(64, "side of the square frame, pixels")
    structure: str = setting(
        "filaments",
        "uniform, filaments, mitochondria, rings, clusters; in depth microtubules, lamina, nuclear_pores",
    )
    density_per_um2: float = setting(0.5, "mean emitters per um^2 and frame")
    photons: float = setting(2000.0, "mean photons of an emitter in a frame")
    background: float = setting(20.0, "mean background, photons per pixel")
    on_frames: float = setting(2.0, "mean time that a molecule stays on, frames")
    gradient: float = setting(0.3, "non-uniformity of the background: slope, 0 to 1")
    blobs: float = setting(0.3, "non-uniformity of the background: blobs, 0 to 1")
    drift: str = setting("none", "none, smooth, walk, steps")
    drift_nm: float = setting(200.0, "range of the drift, nm")
    beads: int = setting(0, "beads that shine in every frame, ten times as bright as a molecule")
    seed: int = setting(0, "of all random numbers")
    psf: dict[str, Any] = setting(
        lambda: {"z_min_nm": -500.0, "z_max_nm": 500.0},
        "a PSF by name for emitters in depth: astigmatism, double_helix, tetrapod, ...; null: in focus",
        z_min_nm="lowest depth of the emitters with a PSF, nm from the coverslip",
        z_max_nm="highest depth of the emitters with a PSF, nm from the coverslip",
    )
    optics: OpticsSettings = field(default_factory=_simulated_optics)
    camera: CameraConfig = field(default_factory=_simulated_camera)


@dataclass
class DemoConfig:
    """``autods demo``."""

    simulate: SimulateConfig = field(default_factory=SimulateConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    radius_nm: float = setting(200.0, "farthest a localization may lie from its emitter, nm")
    zoo: str | None = setting(None, "folder of the models; null: those shipped")
    device: str = LocalizeSettings.device


@dataclass
class TableOpticsConfig:
    """What a table may not state."""

    pixel_size_nm: float | None = setting(
        None, "camera pixel in the sample, nm, where a table does not state it"
    )


@dataclass
class EvaluateConfig:
    """``autods evaluate``."""

    radius_nm: float = setting(200.0, "farthest a localization may lie from its emitter, nm")
    axial_radius_nm: float | None = setting(
        500.0, "the same along z, nm, where both tables have z; null: do not look at z"
    )
    remove_axial_offset: bool = setting(False, "subtract the constant distance of the two origins of z first")
    remove_lateral_offset: bool = setting(
        False, "and of x and y: beads give a PSF no lateral origin of its own"
    )
    frames: str | None = setting(None, "START:STOP of the frames that count; null: all")
    field_nm: str | None = setting(None, "HEIGHT:WIDTH of the field, nm; null: the smallest that holds both")
    image_pixel_size_nm: float = setting(12.5, "pixel of the images that are compared, nm")
    resolution_pixel_size_nm: float = setting(10.0, "pixel of the images whose resolution is measured, nm")
    optics: TableOpticsConfig = field(default_factory=TableOpticsConfig)


@dataclass
class WebConfig:
    """``autods web``."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0: all of this machine's")
    port: int = setting(8080, "port to listen on")
    max_upload_mb: float = setting(500.0, "largest file that can be uploaded, MB")


@dataclass
class CombineConfig:
    """``autods combine``."""

    registration: str = setting(
        "auto", "auto: from common beads, else from common structure; none; or a registration.json"
    )
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

    z_min_nm: float = setting(-600.0, "depth of the first image, nm")
    z_max_nm: float = setting(600.0, "depth of the last image, nm")
    slices: int = setting(7, "number of images")
    size_px: int = setting(41, "side of the images, pixels")


@dataclass
class PsfOpticsConfig:
    """What the file of a PSF may not state."""

    pixel_size_nm: float | None = setting(None, "camera pixel, nm, for files that do not state it (SMAP)")
    nfp_nm: float | None = setting(None, "nominal focal plane, nm; null: the file's own")


@dataclass
class PsfShowConfig:
    """``autods psf show``."""

    optics: PsfOpticsConfig = field(default_factory=PsfOpticsConfig)
    show: PsfRangeConfig = field(default_factory=PsfRangeConfig)
