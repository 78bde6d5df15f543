"""The conditions that are tried: what microscopes, cameras and samples do, a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from autods.core import Camera
from autods.simulation import background, detector
from benchmarks.condition_fields import Conditions, Emitters, Pattern

#: Peak amplitude over the background's noise where lines are compared at an equal one.
SNR = 10.0
PIXELS_NM = (65.0, 80.0, 100.0, 130.0, 160.0, 233.0)
WIDTHS_PX = (0.6, 0.8, 1.1, 1.5, 2.0, 2.5)
PHOTONS = (100.0, 150.0, 300.0, 1000.0, 5000.0, 20_000.0, 50_000.0, 100_000.0)
BACKGROUNDS = (1.0, 10.0, 100.0, 1000.0)
DEVIATIONS, GRAINS_NM = (0.2, 0.4), (450.0, 800.0, 1600.0)

EMCCD = Camera(offset_adu=200.0, e_per_adu=10.0, em_gain=200.0, qe=0.9, read_noise_e=60.0)
SCMOS = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8, read_noise_e=1.6)


@dataclass(frozen=True)
class Line:
    """A line of the benchmark.

    Parameters
    ----------
    group
        What is varied.
    name
        Of the line.
    conditions
        The movie.
    ideal
        What it is compared with; None derives flat movies of the same local noise.
    camera
        What the program is told: ``maps``, ``numbers`` (a map's median stands for it) or ``nothing``.
    """

    group: str
    name: str
    conditions: Conditions
    ideal: Conditions | None = None
    camera: str = "maps"


def all_lines() -> list[Line]:
    """Return all lines, by group."""
    lines = [*_widths(), *_light(), *_static(), *_disturbed(), *_lengths(), *_empty()]
    return lines + _unknown_camera(lines)


def photons_for(snr: float, background_level: float, sigma_px: float) -> float:
    """Return the photons of an emitter whose peak is ``snr`` times the background's shot noise."""
    return snr * math.sqrt(background_level) * 2 * math.pi * sigma_px**2


def _widths() -> Iterator[Line]:
    """Every width at every pixel, isolated; at 100 nm also crowded, equally many per area of the PSF."""
    base = Conditions()
    ideal = replace(base, photons=photons_for(SNR, base.background, base.sigma_px))
    for pixel in PIXELS_NM:
        for width in WIDTHS_PX:
            photons = photons_for(SNR, base.background, width)
            wide = replace(base, pixel_size_nm=pixel, sigma_px=width, photons=photons)
            yield Line("width", f"{pixel:g} nm, sigma {width:g} px", wide, ideal)
    for density in (0.5, 2.0):
        for width in WIDTHS_PX:
            crowd = replace(
                base, emitters="uniform", sigma_px=width, photons=photons_for(SNR, base.background, width),
                density_per_um2=density * (base.sigma_px / width) ** 2,
            )  # fmt: skip
            flat = replace(ideal, emitters="uniform", density_per_um2=density)
            yield Line("width", f"crowded as {density:g} per um2, sigma {width:g} px", crowd, flat)


def _light() -> Iterator[Line]:
    base = Conditions()
    for photons in PHOTONS:
        yield Line("photons", f"{photons:g} photons", replace(base, photons=photons))
    for level in BACKGROUNDS:
        photons = photons_for(SNR, level, base.sigma_px)
        yield Line("background", f"{level:g} photons", replace(base, background=level, photons=photons))
    yield Line("density", "isolated", base)
    for density in (0.5, 2.0):
        uniform = replace(base, emitters="uniform", density_per_um2=density)
        yield Line("density", f"{density:g} per um2", uniform)
    for density in (0.5, 1.2):
        filaments = replace(base, emitters="filaments", density_per_um2=density)
        yield Line("density", f"filaments, {density:g} per um2", filaments)


def _static() -> Iterator[Line]:
    """Static structured backgrounds, their noise that of a flat one of the same level."""
    base = replace(Conditions(), background=100.0)
    for name, emitters, density in _crowdings():
        for deviation in DEVIATIONS:
            for grain in GRAINS_NM:
                c = replace(base, emitters=emitters, density_per_um2=density, pattern=field(deviation, grain))
                yield Line("static", f"{deviation:.0%} at {grain:g} nm, {name}", c)
    for level, grain in ((100.0, 800.0), (60.0, 450.0)):
        c = replace(
            base, emitters="filaments", n_frames=200, background=level, pattern=field(0.35, grain)
        )  # fmt: skip
        yield Line("static", f"35% of {level:g} at {grain:g} nm, filaments", c)


def _crowdings() -> list[tuple[str, Emitters, float]]:
    return [("isolated", "isolated", 0.0), ("0.5 per um2", "uniform", 0.5), ("2 per um2", "uniform", 2.0)]


def _disturbed() -> Iterator[Line]:
    for name, emitters, density in _crowdings():
        base = replace(Conditions(), emitters=emitters, density_per_um2=density)
        for disturbance, c in _disturbances(base).items():
            yield Line("disturbed", f"{disturbance}, {name}", c)
        maps = replace(base, camera=SCMOS, maps=True)
        yield Line("disturbed", f"sCMOS, maps not given, {name}", maps, camera="numbers")


def _disturbances(base: Conditions) -> dict[str, Conditions]:
    return {
        "gradient": replace(base, background=60.0, pattern=_gradient),
        "vignetting 305 to 5": replace(base, background=305.0, pattern=_vignetting),
        "columns of 3 ADU": replace(base, defect=_columns),
        "hot pixels": replace(base, defect=_hot),
        "border of zeros": replace(base, defect=_border),
        "growing strip of zeros": replace(base, defect=_growing),
        "half constant": replace(base, defect=_constant),
        "saturated area": replace(base, defect=_saturated),
        "clipped at 0": replace(base, pedestal_adu=base.background + 102.0),
        "EMCCD": replace(base, camera=EMCCD),
        "sCMOS": replace(base, camera=SCMOS, maps=True),
        "fiducials": replace(base, n_fiducials=2),
        "bleaching": replace(base, background=60.0, bleaching=0.6, pattern=field(0.2, 800.0)),
    }


def _lengths() -> Iterator[Line]:
    for n_frames in (20, 100, 1000):
        size = 40 if n_frames == 1000 else 64
        base = replace(Conditions(), emitters="uniform", n_frames=n_frames, size_px=size, background=100.0)
        yield Line("frames", f"{n_frames} frames, flat", base)
        yield Line("frames", f"{n_frames} frames, 40% at 800 nm", replace(base, pattern=field(0.4, 800.0)))


def _empty() -> Iterator[Line]:
    base = replace(Conditions(), emitters="none")
    yield Line("empty", "flat", base)
    for level in BACKGROUNDS:
        yield Line("empty", f"{level:g} photons", replace(base, background=level))
    for deviation in DEVIATIONS:
        for grain in GRAINS_NM:
            c = replace(base, background=100.0, pattern=field(deviation, grain))
            yield Line("empty", f"{deviation:.0%} at {grain:g} nm", c)
    for disturbance, c in _disturbances(base).items():
        if disturbance != "fiducials":
            yield Line("empty", disturbance, c)
    for width in (0.6, 2.5):
        yield Line("empty", f"sigma {width:g} px", replace(base, sigma_px=width))


def _unknown_camera(lines: list[Line]) -> list[Line]:
    """Return some of the lines with a camera of which nothing is told."""
    wanted = {
        ("density", "isolated"), ("density", "0.5 per um2"), ("density", "2 per um2"),
        ("static", "40% at 800 nm, 0.5 per um2"), ("disturbed", "vignetting 305 to 5, 0.5 per um2"),
        ("disturbed", "half constant, 0.5 per um2"), ("disturbed", "fiducials, 0.5 per um2"),
        ("disturbed", "EMCCD, 0.5 per um2"), ("disturbed", "sCMOS, 0.5 per um2"),
        ("empty", "flat"), ("empty", "40% at 800 nm"),
    }  # fmt: skip
    return [
        replace(line, group="unknown camera", name=f"{line.group}: {line.name}", camera="nothing")
        for line in lines
        if (line.group, line.name) in wanted
    ]


def field(deviation: float, grain_nm: float) -> Pattern:
    """Return a static random field of a deviation and a grain."""
    return partial(_field, deviation, grain_nm)


def _field(
    deviation: float, grain_nm: float, shape: tuple[int, int], pixel_nm: float, g: torch.Generator
) -> Tensor:
    return background.static_pattern(shape, deviation, grain_nm / pixel_nm, g)


def _gradient(shape: tuple[int, int], pixel_nm: float, g: torch.Generator) -> Tensor:  # noqa: ARG001
    return background.linear_gradient(shape, 0.8)


def _vignetting(shape: tuple[int, int], pixel_nm: float, g: torch.Generator) -> Tensor:  # noqa: ARG001
    return background.vignetting(shape, 5 / 305)


def _columns(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    shape = (frames.shape[1], frames.shape[2])
    return frames + detector.column_offsets(shape, 3.0, g), torch.ones(shape, dtype=torch.bool)


def _hot(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    # An emitter on a hot pixel can still be found by the pixels round it: all are asked for.
    changed, hot = detector.hot_pixels(frames, 0.003, (30.0, 1000.0), g)
    return changed, torch.ones_like(hot)


def _border(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return detector.zero_border(frames, 8)


def _growing(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return detector.growing_border(frames, 10)


def _constant(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return detector.constant_half(frames, 0.0)


def _saturated(frames: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return detector.saturated_area(frames, 20)
