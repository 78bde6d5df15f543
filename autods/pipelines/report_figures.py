"""Figures of the report, drawn to PNG bytes; each function takes plain arrays."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autods.estimation.camera import CameraEstimate
from autods.estimation.scene import Backdrop

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_DPI = 110
_BLUE, _ORANGE, _GREY = "#2a6f97", "#d9822b", "#9aa5b1"
#: Colours of the models, from the easiest to the hardest, readable by colour-blind eyes.
_MODEL_COLOURS = ("#3b7ea1", "#5aae61", "#e6b035", "#c2553d", "#7b5aa6", "#4d4d4d")


@dataclass(frozen=True)
class PatchRow:
    """One patch of the field, as the report shows it."""

    #: ``(y0, x0, y1, x1)`` pixels of the full frame, ends excluded.
    core: tuple[int, int, int, int]
    #: Name of the model that most of its frames got; None for a patch without emitters.
    model: str | None
    #: Why that model, in one line.
    reason: str
    #: What was measured, per um^2; NaN when nothing was found.
    density_per_um2: float
    snr: float
    #: One line for each quantity outside what the models were trained for.
    out_of_range: tuple[str, ...] = ()


def model_map(patches: Sequence[PatchRow]) -> bytes:
    """Draw which model each patch got, density and SNR written in; hatched: outside the trained range."""
    from matplotlib.patches import Patch, Rectangle

    names = sorted({patch.model for patch in patches if patch.model is not None})
    colours = {name: _MODEL_COLOURS[index % len(_MODEL_COLOURS)] for index, name in enumerate(names)}
    height = max(patch.core[2] for patch in patches) - min(patch.core[0] for patch in patches)
    width = max(patch.core[3] for patch in patches) - min(patch.core[1] for patch in patches)
    figure, axes = _figure(1, (6.2, 0.9 + 4.6 * min(max(height / width, 0.3), 1.6)))
    for patch in patches:
        y0, x0, y1, x1 = patch.core
        colour = colours[patch.model] if patch.model is not None else "#eceff1"
        hatch = "//" if patch.out_of_range else None
        axes[0].add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=colour, edgecolor="white", hatch=hatch)
        )
        if len(patches) <= 64 and patch.model is not None:
            text = f"{patch.density_per_um2:.2f}/µm²\nSNR {patch.snr:.1f}"
            axes[0].text((x0 + x1) / 2, (y0 + y1) / 2, text, ha="center", va="center", color="white", size=7)
    axes[0].set_aspect("equal")
    axes[0].autoscale()
    axes[0].invert_yaxis()
    axes[0].set(xlabel="x, px", ylabel="y, px")
    handles = [Patch(facecolor=colours[name], label=name) for name in names]
    if any(patch.model is None for patch in patches):
        handles.append(Patch(facecolor="#eceff1", label="no emitters"))
    figure.legend(handles=handles, loc="upper center", ncols=len(handles) or 1, frameon=False, fontsize=9)
    return _png(figure)


def measured_histograms(density_per_um2: Floats, snr: Floats) -> bytes:
    """Draw histograms of density and SNR over the patches."""
    figure, axes = _figure(2, (8, 2.6))
    _histogram(axes[0], density_per_um2, "density, emitters per µm² and frame")
    _histogram(axes[1], snr, "signal-to-noise ratio")
    for axis in axes:
        axis.set_ylabel("patches")
    return _png(figure)


def scene_maps(backdrop: Backdrop, camera: CameraEstimate) -> bytes:
    """Draw background, noise and valid pixels of one frame, and the photon transfer of the movie."""
    figure, axes = _figure(4, (12, 2.9))
    maps = (
        (backdrop.background[0], "background, ADU"),
        (backdrop.noise[0], "noise, ADU"),
        (np.where(backdrop.valid[0], 1.0, 0.0), "measures light (white)"),
    )
    for axis, (values, label) in zip(axes, maps, strict=False):
        known = values[backdrop.valid[0]] if backdrop.valid[0].any() else values
        low, high = (0.0, 1.0) if "white" in label else np.percentile(known, [0.5, 99.5])
        image = axis.imshow(values, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        axis.set(xticks=[], yticks=[], xlabel=label)
        axis.spines[:].set_visible(True)  # an all-white map is seen by its frame
        if "white" not in label:
            figure.colorbar(image, ax=axis, fraction=0.046).ax.tick_params(labelsize=7)
    level, variance = np.array(camera.levels_adu), np.array(camera.variances_adu2)
    axes[3].plot(level, variance, "o", ms=3, color=_BLUE)
    slope, zero = camera.adu_per_photoelectron, camera.zero_variance_adu
    if slope is not None and zero is not None and len(level):
        ends = np.array([level.min(), level.max()])
        axes[3].plot(ends, slope * (ends - zero), color=_ORANGE, lw=1, label=f"{slope:.3g} ADU/e⁻")
        axes[3].legend(frameon=False, fontsize=8)
    axes[3].set(xlabel="level, ADU", ylabel="variance, ADU²")
    return _png(figure)


def subpixel_histograms(x_px: Floats, y_px: Floats) -> bytes:
    """Draw where in the camera pixel the localizations lie: flat unless the localizer prefers a place."""
    figure, axes = _figure(2, (8, 2.6))
    for axis, position, name in zip(axes, (x_px, y_px), "xy", strict=True):
        counts, edges = np.histogram(position % 1, bins=40, range=(0, 1))
        axis.stairs(counts, edges, fill=True, color=_BLUE)
        axis.axhline(len(position) / 40, color=_ORANGE, lw=1, label="flat")
        axis.set(xlim=(0, 1), xlabel=f"{name} within the camera pixel, px", ylabel="localizations")
    axes[0].legend(frameon=False, loc="lower right")
    return _png(figure)


def quality_histograms(photons: Floats, uncertainty_nm: Floats, frame: NDArray[np.int64]) -> bytes:
    """Draw photons, expected uncertainty, and localizations over time, from columns (N,)."""
    figure, axes = _figure(3, (10, 2.7))
    _histogram(axes[0], photons, "photons")
    _histogram(axes[1], uncertainty_nm, "uncertainty, nm")
    for axis in axes[:2]:
        axis.set_ylabel("localizations")
    first, stop = int(frame.min()), int(frame.max()) + 1
    counts, edges = np.histogram(frame, bins=min(stop - first, 100), range=(first, stop))
    axes[2].stairs(counts / np.diff(edges), edges, fill=True, color=_BLUE)
    axes[2].set(xlabel="frame", ylabel="localizations a frame", xlim=(first, stop), ylim=(0, None))
    return _png(figure)


def drift_curve(curve_nm: Floats, first_frame: int) -> bytes:
    """Draw the drift (T, 2 or 3) that was subtracted: over time, and its path in the plane."""
    figure, axes = _figure(2, (8, 2.9))
    frame = first_frame + np.arange(len(curve_nm))
    for values, name, colour in zip(curve_nm.T, "xyz", (_BLUE, _ORANGE, "#5aae61"), strict=False):
        axes[0].plot(frame, values, color=colour, lw=1, label=name)
    axes[0].set(xlabel="frame", ylabel="drift, nm")
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].scatter(curve_nm[:, 0], curve_nm[:, 1], c=frame, s=2, cmap="viridis", linewidths=0)
    axes[1].set(xlabel="x, nm", ylabel="y, nm", aspect="equal")
    axes[1].set_aspect("equal", adjustable="datalim")
    axes[1].invert_yaxis()
    return _png(figure)


def _histogram(axis: Axes, values: Floats, label: str) -> None:
    """Draw a histogram of the finite values up to their 99th percentile, the median marked."""
    axis.set_xlabel(label)
    finite = values[np.isfinite(values)]
    if not len(finite):
        axis.text(0.5, 0.5, "none measured", ha="center", transform=axis.transAxes, color=_GREY)
        return
    top = max(float(np.percentile(finite, 99)), float(finite.min()) + 1e-9)
    axis.hist(np.minimum(finite, top), bins=min(50, max(10, int(np.sqrt(len(finite))))), color=_BLUE)
    median = float(np.median(finite))
    axis.axvline(median, color=_ORANGE, lw=1.2)
    axis.set_title(f"median {median:.3g}", size=9, color=_ORANGE, loc="right")


def _figure(columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure that belongs to no window system; ``size`` is width and height in inches."""
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=size)
    # Fixed margins in inches: laying out by trial drawing takes twice the time.
    figure.subplots_adjust(
        left=0.65 / width,
        right=1 - 0.15 / width,
        bottom=0.5 / height,
        top=1 - 0.35 / height,
        wspace=0.75 * columns / (width - 0.8 * columns),
    )
    axes = [figure.add_subplot(1, columns, index + 1) for index in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.xaxis.label.set_fontsize(9)
        axis.yaxis.label.set_fontsize(9)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
