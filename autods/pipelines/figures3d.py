"""Figures of the 3D pipeline's stages, each from plain arrays to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autods.calibration.bead_report import new_figure, save_figure
from autods.core import LocalizationTable
from autods.core.grid import nm_to_px
from autods.estimation.light import LightMovie
from autods.estimation.snr3d import Characterisation
from autods.training.history import read_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Image = NDArray[np.float32]

_BLUE, _ORANGE, _GREEN = "#2a6f97", "#d9822b", "#3f8f4f"


def save_background(
    frame: Image, background: Image, mean: NDArray[np.float32], frames: Sequence[int], path: Path
) -> None:
    """Draw a frame (Y, X) with and without its background, and the background's mean over the movie."""
    figure, axes = new_figure(1, 4, 14.0, 3.4)
    for axis, image, title in zip(
        axes[0],
        (frame, background, frame - background),
        ("frame", "background", "without background"),
        strict=False,
    ):
        _show(axis, image, f"{title}, photons")
    axes[0, 3].plot(frames, mean, "o-", color=_BLUE)
    axes[0, 3].set(xlabel="frame", ylabel="mean background, photons", ylim=(0, None))
    save_figure(figure, path)


def save_snr(movie: LightMovie, found: Characterisation, path: Path) -> None:
    """Draw the brightest values over some frames with the region, and the region's distribution of values."""
    from matplotlib.patches import Rectangle

    frames = movie.read(0, min(movie.shape[0], 100))
    y0, x0, y1, x1 = found.region.box
    figure, axes = new_figure(1, 2, 10.0, 4.0)
    _show(axes[0, 0], frames.max(0), "maximum over time, photons")
    axes[0, 0].add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color=_ORANGE, lw=2))
    values = frames[:, y0:y1, x0:x1].ravel()
    axes[0, 1].hist(values, bins=120, log=True, color=_BLUE)
    axes[0, 1].axvline(found.max_pixel_value, color=_ORANGE, label=f"maximum {found.max_pixel_value:.0f}")
    label = f"noise {found.noise_mean:.1f} ± {found.noise_std:.1f}"
    low, high = found.noise_mean - found.noise_std, found.noise_mean + found.noise_std
    axes[0, 1].axvspan(low, high, color=_GREEN, alpha=0.3, label=label)
    axes[0, 1].set(xlabel="photons in a pixel of the region", ylabel="values")
    axes[0, 1].legend(frameon=False)
    save_figure(figure, path)


def save_training(history: Path, path: Path) -> None:
    """Draw losses, Jaccard index and errors over the steps of a training.

    Parameters
    ----------
    history
        ``metrics.csv`` of the training.
    path
        File of the figure.
    """
    rows = read_history(history)
    figure, axes = new_figure(1, 3, 13.0, 3.4)
    panels = (
        (("train/loss", "val/loss"), "loss"),
        (("val/jaccard", "val/precision", "val/recall"), "on simulated frames"),
        (("val/rmse_nm", "val/rmse_axial_nm"), "error, nm"),
    )
    for axis, (names, title) in zip(axes[0], panels, strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=name)
        axis.set(xlabel="step", title=title)
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


@dataclass(frozen=True)
class SimulatedExample:
    """A simulated frame (Y, X) with true and found positions (N, 3): x, y in px, z in nm."""

    frame: Image
    truth: NDArray[np.float64]
    found: NDArray[np.float64]

    @classmethod
    def choose(
        cls, frames: Image, truth: LocalizationTable, found: LocalizationTable, pixel_size_nm: float
    ) -> SimulatedExample:
        """Take the frame with the most emitters."""
        index = int(np.bincount(truth.frame, minlength=len(frames)).argmax())
        return cls(frames[index], *(_positions(table, index, pixel_size_nm) for table in (truth, found)))


@dataclass(frozen=True)
class RealExample:
    """A frame (Y, X) of the movie, what the localizations render to, and their positions (N, 2), px."""

    frame: Image
    model: Image
    index: int

    @classmethod
    def choose(
        cls, frames: Image, models: Image, found: LocalizationTable, indices: Sequence[int]
    ) -> RealExample:
        """Take the frame with the most localizations."""
        counts = np.bincount(found.frame, minlength=len(frames))
        best = int(counts.argmax())
        return cls(frames[best], models[best], indices[best])


def save_test(
    simulated: SimulatedExample | None, real: RealExample, pixel_size_nm: float, path: Path
) -> None:
    """Draw a real frame beside its rendering and the rest, and a simulated one with truth and result."""
    rows = 1 if simulated is None else 2
    figure, axes = new_figure(rows, 3, 13.0, 4.2 * rows)
    limits = tuple(np.percentile(real.frame, [0.5, 99.8]))
    for axis, image, title in zip(
        axes[0],
        (real.frame, real.model, real.frame - real.model),
        (f"frame {real.index} of the movie", "rendered from what was found", "rest"),
        strict=True,
    ):
        _show(axis, image, f"{title}, photons", limits)
    if simulated is not None:
        _draw_simulated(axes[1], simulated, pixel_size_nm)
    save_figure(figure, path)


def _draw_simulated(axes: NDArray[np.object_], example: SimulatedExample, pixel_size_nm: float) -> None:
    _show(axes[0], example.frame, "simulated: true (o), found (+)")
    true, found = example.truth, example.found
    axes[0].scatter(true[:, 0] - 0.5, true[:, 1] - 0.5, s=60, facecolors="none", edgecolors=_ORANGE)
    axes[0].scatter(found[:, 0] - 0.5, found[:, 1] - 0.5, s=50, marker="+", color="white")
    for axis, other, label in ((axes[1], 0, "x"), (axes[2], 1, "y")):
        axis.scatter(*_side(true, other, pixel_size_nm), s=60, facecolors="none", edgecolors=_ORANGE)
        axis.scatter(*_side(found, other, pixel_size_nm), s=40, marker="+", color=_BLUE)
        axis.set(xlabel=f"{label}, um", ylabel="z, um", title="simulated, from the side")


def _side(
    points: NDArray[np.float64], axis: int, pixel_size_nm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return points[:, axis] * pixel_size_nm / 1000, points[:, 2] / 1000


def _positions(table: LocalizationTable, frame: int, pixel_size_nm: float) -> NDArray[np.float64]:
    part = table.select(table.frame == frame)
    assert part.z_nm is not None
    x, y = (nm_to_px(values, pixel_size_nm) for values in (part.x_nm, part.y_nm))
    return np.column_stack([x, y, part.z_nm])


def _show(axis: Axes, image: Image, title: str, limits: tuple[float, float] | None = None) -> None:
    low, high = np.percentile(image, [0.5, 99.8]) if limits is None else limits
    shown = axis.imshow(image, cmap="gray", vmin=low, vmax=high)
    axis.set_title(title, fontsize=9)
    axis.figure.colorbar(shown, ax=axis, fraction=0.046)
