"""Types of the settings in ``conf/``: a wrong type on the command line is met here.

Defaults live in the YAML files; a field without a value there is an error that the tests find. Where the
settings of a pipeline have the shape of the file, they are its types themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from autods.pipelines.settings import OpticsSettings


@dataclass
class CameraConfig:
    """``conf/camera``: a text is the file of a map."""

    offset_adu: int | float | str | None = MISSING
    e_per_adu: float | None = MISSING
    em_gain: float | None = MISSING
    qe: float | None = MISSING
    read_noise_e: int | float | str | None = MISSING


@dataclass
class SelectionConfig:
    """How a model is chosen."""

    rule: str = MISSING
    scope: str = MISSING
    family: str | None = MISSING


@dataclass
class TilingConfig:
    """Patches of the field."""

    patch_um: float = MISSING


@dataclass
class DecodeConfig:
    """Reading of the network's output."""

    threshold: float | None = MISSING
    min_significance: float | None = MISSING
    max_uncertainty_nm: float | None = MISSING


@dataclass
class RenderConfig:
    """The reconstructed image."""

    pixel_size_nm: float = MISSING


@dataclass
class LinkConfig:
    """Linking of the localizations of a molecule in consecutive frames."""

    radius_nm: float | None = MISSING
    gap: int = MISSING


@dataclass
class MovieConfig:
    """What is known of a movie, and the part of it that is wanted."""

    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraConfig = field(default_factory=CameraConfig)
    channel: int | None = MISSING
    position: int | None = MISSING
    frames: str | None = MISSING
    roi: str | None = MISSING


@dataclass
class ProfileConfig(MovieConfig):
    """``conf/profile.yaml``."""

    tiling: TilingConfig = field(default_factory=TilingConfig)


@dataclass
class ProcessesConfig:
    """Processes that share the frames."""

    per_machine: int = MISSING
    machines: int = MISSING


@dataclass
class ResultConfig:
    """What both ``conf/localize.yaml`` and ``conf/localize3d.yaml`` hold of the result."""

    refine: str = MISSING
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    filter: str | None = MISSING
    drift: str = MISSING
    link: LinkConfig = field(default_factory=LinkConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    device: str = MISSING


@dataclass
class FollowConfig:
    """Localizing while the file grows."""

    idle_s: float = MISSING


@dataclass
class LocalizeConfig(MovieConfig, ResultConfig):
    """``conf/localize.yaml``."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    tiling: TilingConfig = field(default_factory=TilingConfig)
    background: str = MISSING
    rescale: bool = MISSING
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)
    zoo: str | None = MISSING


@dataclass
class DoctorConfig:
    """``conf/doctor.yaml``."""

    zoo: str | None = MISSING
    channel: int | None = MISSING
    position: int | None = MISSING


@dataclass
class SimulateConfig:
    """``conf/simulate.yaml``."""

    n_frames: int = MISSING
    size_px: int = MISSING
    structure: str = MISSING
    density_per_um2: float = MISSING
    photons: float = MISSING
    background: float = MISSING
    on_frames: float = MISSING
    gradient: float = MISSING
    blobs: float = MISSING
    drift: str = MISSING
    drift_nm: float = MISSING
    beads: int = MISSING
    seed: int = MISSING
    psf: dict[str, Any] = field(default_factory=dict)
    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraConfig = field(default_factory=CameraConfig)


@dataclass
class DemoConfig:
    """``conf/demo.yaml``."""

    simulate: SimulateConfig = field(default_factory=SimulateConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    radius_nm: float = MISSING
    zoo: str | None = MISSING
    device: str = MISSING


@dataclass
class TableOpticsConfig:
    """What a table may not state."""

    pixel_size_nm: float | None = MISSING


@dataclass
class EvaluateConfig:
    """``conf/evaluate.yaml``."""

    radius_nm: float = MISSING
    axial_radius_nm: float | None = MISSING
    remove_axial_offset: bool = MISSING
    remove_lateral_offset: bool = MISSING
    frames: str | None = MISSING
    field_nm: str | None = MISSING
    image_pixel_size_nm: float = MISSING
    resolution_pixel_size_nm: float = MISSING
    optics: TableOpticsConfig = field(default_factory=TableOpticsConfig)


@dataclass
class WebConfig:
    """``conf/web.yaml``."""

    host: str = MISSING
    port: int = MISSING
    max_upload_mb: float = MISSING


@dataclass
class CombineConfig:
    """``conf/combine.yaml``."""

    registration: str = MISSING
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass
class FinishConfig:
    """``conf/finish.yaml``."""

    filter: str | None = MISSING
    drift: str = MISSING
    link: LinkConfig = field(default_factory=LinkConfig)
    optics: TableOpticsConfig = field(default_factory=TableOpticsConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
