"""Beads of a stack: found, cut out, judged, registered and averaged."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autods.calibration.quality import slice_correlation
from autods.core import UserError

_log = logging.getLogger(__name__)

Volume = NDArray[np.floating]
#: Largest side of a stack that is taken as the cut-out of one bead and used whole.
_CUTOUT_PX = 101
#: A bead must reach this share of the brightest bead's light.
_MIN_SHARE = 0.15


@dataclass(frozen=True)
class Bead:
    """One candidate bead."""

    #: Centre in corner pixels of the stack.
    x_px: float
    y_px: float
    #: Why it was rejected; empty when it was accepted.
    reason: str = ""
    #: Axial offset against the mean bead, nm.
    z_shift_nm: float = 0.0
    #: Mean per-slice correlation with the mean bead.
    correlation: float = float("nan")


@dataclass(frozen=True)
class BeadStack:
    """Registered mean of the accepted beads."""

    #: (Z, S, S) mean bead, in the stack's units, background included; S odd, the bead in the centre.
    volume: Volume
    #: All candidates, accepted and rejected.
    beads: tuple[Bead, ...]

    @property
    def accepted(self) -> tuple[Bead, ...]:
        """Beads that went into the mean."""
        return tuple(bead for bead in self.beads if not bead.reason)


def collect_beads(
    stack: Volume, size_px: int | None, z_step_nm: float, saturation: float | None
) -> BeadStack:
    """Find the beads of a stack, reject bad ones with a reason each, register and average the rest.

    Raises `UserError` if the stack is flat, holds no bead or no bead can be used (the message gives the
    reasons).

    Parameters
    ----------
    stack
        (Z, Y, X) camera values.
    size_px
        Side of the cut-out, px; None measures it from the beads' light.
    z_step_nm
        Distance of the slices, nm.
    saturation
        Camera value at which a pixel saturates; None when unknown (then a plateau of equal maxima counts).
    """
    _check_stack(stack)
    light = _light_projection(stack)
    centres = _find_centres(light, stack)
    single = len(centres) == 1 and max(stack.shape[1:]) <= _CUTOUT_PX
    if size_px is None:
        size_px = _odd(min(stack.shape[1:])) if single else _measure_size(light, centres)
    if size_px > min(stack.shape[1:]):
        raise UserError(
            f"beads: a cut-out of {size_px} px does not fit frames of {stack.shape[1]} x {stack.shape[2]} px:"
            " give a smaller calibration.size_px"
        )
    limit = _saturation_level(stack) if saturation is None else saturation
    beads = [_judge(stack, centre, centres, size_px, limit) for centre in centres]
    good = [bead for bead in beads if not bead.reason]
    if not good:
        reasons = "; ".join(f"at ({b.x_px:.0f}, {b.y_px:.0f}) px: {b.reason}" for b in beads)
        raise UserError(
            f"beads: none of the {len(beads)} beads can be used ({reasons}): record a better stack"
        )
    volume, registered = _register(stack, good, size_px, z_step_nm)
    return BeadStack(volume, tuple(registered + [bead for bead in beads if bead.reason]))


def _check_stack(stack: Volume) -> None:
    if stack.ndim != 3 or min(stack.shape[1:]) < 9:
        raise UserError(
            f"beads: a stack (Z, Y, X) of at least 9 x 9 px is needed, this one has shape {stack.shape}"
        )
    if len(stack) < 5:
        raise UserError(f"beads: {len(stack)} slices are too few: a bead stack needs at least 5 z positions")
    if not np.isfinite(stack).all():
        raise UserError("beads: the stack holds values that are not finite: export it again")
    if float(stack.max()) <= float(stack.min()):
        raise UserError("beads: the stack is flat (every pixel has one value): is it the right file?")


def _odd(size: int) -> int:
    return size if size % 2 else size - 1


def _noise(stack: Volume) -> float:
    """Standard deviation of one pixel's noise in the background, from neighbouring pixels."""
    step = np.diff(stack, axis=2)
    return max(float(1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)), 1e-12)


def _light_projection(stack: Volume) -> Volume:
    """Mean light of each column of pixels above the background, smoothed to one blob a bead (Y, X)."""
    background = np.percentile(stack, 20, axis=(1, 2))
    return ndimage.gaussian_filter((stack - background[:, None, None]).mean(0), 3.0, mode="nearest")


def _find_centres(light: Volume, stack: Volume) -> list[tuple[float, float]]:
    """Centres (x, y) in corner pixels of blobs of light, brightest first."""
    floor = float(np.median(light)) if min(light.shape) > 60 else float(light.min())
    top = float(light.max()) - floor
    # Smoothing over sigma 3 px and the slices leaves this much of the pixels' noise.
    noise = _noise(stack) / np.sqrt(4 * np.pi * 9 * len(stack))
    if top < 8 * noise or top < 1e-6 * float(np.abs(stack).max()):
        raise UserError(
            "beads: no bead stands out of the background: is this a bead stack, and is it in focus?"
        )
    peaks = light == ndimage.maximum_filter(light, 9, mode="nearest")
    rows, columns = np.nonzero(peaks & (light - floor > max(_MIN_SHARE * top, 8 * noise)))
    order = np.argsort(-light[rows, columns])
    groups = _merge_lobes(light - floor, rows[order], columns[order])
    return [_centroid(light - floor, row, column) for row, column in groups]


def _merge_lobes(light: Volume, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Middles (row, column) of groups of peaks with no dip below half between them: lobes of one bead."""
    groups: list[list[tuple[int, int]]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        for group in groups:
            other = group[0]
            path = np.linspace((row, column), other, 32)
            dip = ndimage.map_coordinates(light, path.T, order=1).min()
            if np.hypot(row - other[0], column - other[1]) < 25 and dip > 0.5 * light[row, column]:
                group.append((row, column))
                break
        else:
            groups.append([(row, column)])
    middles = [np.rint(np.mean(group, axis=0)).astype(int) for group in groups]
    return [(int(row), int(column)) for row, column in middles]


def _centroid(light: Volume, row: int, column: int, radius: int = 8) -> tuple[float, float]:
    """Centre of mass (x, y) in corner pixels around a peak."""
    y0, x0 = max(row - radius, 0), max(column - radius, 0)
    patch = np.clip(light[y0 : row + radius + 1, x0 : column + radius + 1], 0, None)
    patch = patch - patch.min()
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
    total = patch.sum() or 1.0
    return float(x0 + (patch * columns).sum() / total + 0.5), float(y0 + (patch * rows).sum() / total + 0.5)


def _measure_size(light: Volume, centres: list[tuple[float, float]]) -> int:
    """Side of a cut-out that holds the brightest bead's light down to 2 % of its smoothed peak."""
    x, y = centres[0]
    rows, columns = np.indices(light.shape)
    radius = np.hypot(columns + 0.5 - x, rows + 0.5 - y).astype(int)
    floor = float(np.percentile(light, 10))
    profile = np.array([np.median(light[radius == r]) for r in range(3, min(light.shape) // 2)]) - floor
    below = np.nonzero(profile < 0.02 * (light.max() - floor))[0]
    reach = int(below[0]) + 3 if len(below) else 20
    return int(np.clip(2 * reach + 1, 15, 61))


def _saturation_level(stack: Volume) -> float:
    """Value of a plateau of at least five equal maxima in one slice; infinity when there is none."""
    top = stack.max()
    return float(top) if int((stack == top).sum(axis=(1, 2)).max()) >= 5 else float("inf")


def _judge(
    stack: Volume,
    centre: tuple[float, float],
    centres: list[tuple[float, float]],
    size_px: int,
    saturation: float,
) -> Bead:
    """Give a bead its reason for rejection, if there is one."""
    x, y = centre
    half = size_px // 2
    row, column = int(y), int(x)
    room = min(row, column, stack.shape[1] - 1 - row, stack.shape[2] - 1 - column)
    # A cut-out that fills the frame may be off its centre by the few pixels nobody cropped exactly.
    slack = 0 if min(stack.shape[1:]) > size_px + 8 else half // 3
    if room < half - slack:
        return Bead(x, y, f"at the edge: {room} px from the border, the cut-out needs {half}")
    patch = cut_out(stack, centre, size_px)
    if np.count_nonzero(patch >= saturation):
        return Bead(x, y, f"saturated: {np.count_nonzero(patch >= saturation)} pixels at {saturation:g}")
    others = [np.hypot(x - u, y - v) for u, v in centres if (u, v) != centre]
    if others and min(others) < 0.75 * half:
        return Bead(x, y, f"too close to another bead: {min(others):.0f} px away")
    return Bead(x, y)


def cut_out(stack: Volume, centre: tuple[float, float], size_px: int) -> Volume:
    """Cut-out (Z, S, S) around the pixel that holds the centre, moved inside where it sticks out."""
    half = size_px // 2
    y0 = int(np.clip(int(centre[1]) - half, 0, stack.shape[1] - size_px))
    x0 = int(np.clip(int(centre[0]) - half, 0, stack.shape[2] - size_px))
    return stack[:, y0 : y0 + size_px, x0 : x0 + size_px].astype(np.float64)


def _register(
    stack: Volume, beads: list[Bead], size_px: int, z_step_nm: float, rounds: int = 3
) -> tuple[Volume, list[Bead]]:
    """Shift all beads onto their mean (x, y, z, sub-pixel) and average; outliers are rejected at the end."""
    volumes = [cut_out(stack, (bead.x_px, bead.y_px), size_px) for bead in beads]
    volumes = [_without_background(volume) for volume in volumes]
    background = float(np.mean([np.percentile(cut_out(stack, (b.x_px, b.y_px), size_px), 5) for b in beads]))
    if len(beads) == 1:
        return volumes[0] + background, [replace(beads[0], correlation=1.0)]
    shifts = [np.zeros(3) for _ in beads]
    aligned = volumes
    for _ in range(rounds):
        mean = np.mean(aligned, axis=0)
        shifts = [shift + _offset(bead, mean) for shift, bead in zip(shifts, aligned, strict=True)]
        common = np.mean(shifts, axis=0)
        shifts = [shift - common for shift in shifts]
        aligned = [
            ndimage.shift(v, -s, order=3, mode="nearest") for v, s in zip(volumes, shifts, strict=True)
        ]
    mean = np.mean(aligned, axis=0)
    out = []
    scores = [float(slice_correlation(volume, mean).mean()) for volume in aligned]
    for bead, shift, score in zip(beads, shifts, scores, strict=True):
        poor = score < max(scores) - 0.15
        reason = f"unlike the others: correlation {score:.2f} with their mean" if poor else ""
        out.append(replace(bead, z_shift_nm=float(shift[0] * z_step_nm), correlation=score, reason=reason))
    kept = [volume for volume, bead in zip(aligned, out, strict=True) if not bead.reason]
    _log.info("%d of %d beads averaged", len(kept), len(beads))
    return np.mean(kept, axis=0) + background, out


def _without_background(volume: Volume) -> Volume:
    """Subtract each slice's own background (its border's median)."""
    border = np.ones(volume.shape[1:], bool)
    border[2:-2, 2:-2] = False
    return volume - np.median(volume[:, border], axis=1)[:, None, None]


def _offset(bead: Volume, mean: Volume) -> NDArray[np.float64]:
    """Displacement (z, y, x) in samples of a bead against the mean: a Gauss-Newton step, blurred."""
    stride = max(1, len(bead) // 50)
    a, b = (ndimage.gaussian_filter(volume[::stride].astype(np.float32), 1) for volume in (bead, mean))
    gradient = np.stack([-axis.ravel() for axis in np.gradient(b)])
    gradient[0] /= stride
    design = np.vstack([gradient, b.ravel(), np.ones(b.size)])
    solution = np.linalg.lstsq(design @ design.T, design @ a.ravel(), rcond=None)[0]
    shift: NDArray[np.float64] = np.clip(solution[:3] / solution[3], (-4, -1.5, -1.5), (4, 1.5, 1.5))
    return shift
