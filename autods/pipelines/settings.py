"""What a user may set for the 2D pipeline; None everywhere means: find out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera, UserError
from autods.estimation.scene import Method
from autods.pipelines.definitions import LOCALIZE
from autods.postprocessing.filtering import check_filter
from autods.zoo.selection import find_rule

Scope = Literal["movie", "frame"]
Refine = Literal["none", "mle"]


@dataclass(frozen=True)
class SettingRow:
    """A setting, its value as people read it, and where it came from."""

    #: As on the command line.
    key: str
    #: With its unit.
    value: str
    #: ``given``, ``metadata``, ``measured`` or ``default``; may name the file.
    source: str

    @classmethod
    def chosen(cls, key: str, value: object, usual: object, shown: str | None = None) -> SettingRow:
        """Describe a setting that a user may choose: ``default`` where it is what it usually is."""
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        return cls(key, text if shown is None else shown, "default" if value == usual else "given")


def rows_to_plan(rows: Sequence[SettingRow]) -> dict[str, dict[str, str]]:
    """Return the rows as ``plan.yaml`` holds them: value and source by key."""
    return {row.key: {"value": row.value, "source": row.source} for row in rows}


@dataclass(frozen=True)
class OpticsSettings:
    """What is known of the microscope, as in `autods.core.OpticalSystem`.

    Raises `UserError` if a number is none that a microscope can have.
    """

    pixel_size_nm: float | None = None
    wavelength_nm: float | None = None
    na: float | None = None
    n_immersion: float = 1.518
    n_sample: float = 1.33
    nfp_nm: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            LOCALIZE[f"optics.{name}"].require(value)


@dataclass(frozen=True)
class CameraSettings:
    """What is known of the camera, as in `autods.core.Camera`; maps have the shape of the full frame.

    Raises `UserError` if a number is none that a camera can have.
    """

    offset_adu: float | NDArray[np.float32] | None = None
    e_per_adu: float | None = None
    em_gain: float | None = None
    qe: float | None = None
    read_noise_e: float | NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            LOCALIZE[f"camera.{name}"].require(value)

    @classmethod
    def of(cls, camera: Camera) -> CameraSettings:
        """Return what is known of a camera that is known."""
        return cls(camera.offset_adu, camera.e_per_adu, camera.em_gain, camera.qe, camera.read_noise_e)


def camera_inputs(camera: CameraSettings) -> CameraSettings:
    """Return the settings with maps replaced by their digests, for keys and plans."""
    maps = {
        name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        for name in ("offset_adu", "read_noise_e")
        if isinstance(value := getattr(camera, name), np.ndarray)
    }
    return dataclasses.replace(camera, **maps)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FinishSettings:
    """What is done with the localizations of a movie: settings of `autods.pipelines.definitions.FINISH`.

    Raises `UserError` if a value cannot be meant.
    """

    filter: str | None = None
    drift: str = "auto"
    link_radius_nm: float | None = None
    link_gap: int = 1

    def __post_init__(self) -> None:
        if self.filter is not None:
            check_filter(self.filter)
        if self.drift not in ("auto", "fiducials", "none") and not Path(self.drift).is_file():
            raise UserError(
                f"drift={self.drift}: there is no such file: give auto, fiducials, none or a drift's file"
            )
        LOCALIZE["link.radius_nm"].require(self.link_radius_nm)
        LOCALIZE["link.gap"].require(self.link_gap)


@dataclass(frozen=True)
class LocalizeSettings:
    """Settings of one localization run.

    `autods.pipelines.definitions.LOCALIZE` says what each is, its unit and its limits. Here ``frames`` is a
    range and ``roi`` is ``(y0, x0, y1, x1)`` in pixels, ends excluded. Raises `UserError` if a value is out
    of its range.
    """

    optics: OpticsSettings = field(default_factory=OpticsSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    selection: str = "auto"
    scope: Scope = "movie"
    family: Literal["mixture", "heatmap"] | None = None
    patch_um: float = 10.0
    background: Method = "auto"
    rescale: bool = True
    channel: int | None = None
    position: int | None = None
    frames: slice | None = None
    roi: tuple[int, int, int, int] | None = None
    threshold: float | None = None
    min_significance: float | None = None
    refine: Refine = "mle"
    max_uncertainty_nm: float | None = None
    finish: FinishSettings = field(default_factory=FinishSettings)
    render_pixel_size_nm: float = 10.0
    zoo: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        find_rule(self.selection)
        values = {
            "selection.scope": self.scope,
            "selection.family": self.family,
            "tiling.patch_um": self.patch_um,
            "background": self.background,
            "decode.threshold": self.threshold,
            "decode.min_significance": self.min_significance,
            "decode.max_uncertainty_nm": self.max_uncertainty_nm,
            "refine": self.refine,
            "render.pixel_size_nm": self.render_pixel_size_nm,
        }
        for key, value in values.items():
            LOCALIZE[key].require(value)


def parse_frames(text: str | None) -> slice | None:
    """Read ``START:STOP`` (either may be left out); None and ``:`` mean all.

    Raises `UserError` if the text has another form.
    """
    if text is None:
        return None
    start, colon, stop = text.partition(":")
    try:
        values = [int(part) if part.strip() else None for part in (start, stop)]
    except ValueError:
        colon = ""
    if not colon:
        raise UserError(f"frames={text} cannot be read: give START:STOP, counted from 0, STOP excluded")
    return slice(*values)


def parse_roi(text: str | None) -> tuple[int, int, int, int] | None:
    """Read ``Y0:X0:Y1:X1``; None means the whole field.

    Raises `UserError` if the text has another form.
    """
    if text is None:
        return None
    try:
        y0, x0, y1, x1 = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise UserError(
            f"roi={text} cannot be read: give Y0:X0:Y1:X1 in pixels, Y1 and X1 excluded"
        ) from error
    return y0, x0, y1, x1
