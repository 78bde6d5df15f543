"""The pictures of docs/judging.md: ``python scripts/judging_figures.py docs/figures`` (two minutes)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import autods
from autods.io.atomic import atomic_path
from autods.rendering import render_gaussian

CAMERA = {"offset_adu": 100.0, "e_per_adu": 0.5, "qe": 0.9, "read_noise_e": 1.5}
SIDE_PX, PIXEL_NM = 64, 100.0
SIDE_NM = SIDE_PX * PIXEL_NM


def picture(axes: Axes, table: autods.LocalizationTable, title: str) -> None:
    """Draw a table, each localization 12 nm wide."""
    image = render_gaussian(table.x_nm, table.y_nm, np.full(len(table), 12.0), (SIDE_NM, SIDE_NM), 12.5)
    axes.imshow(image, cmap="inferno", vmax=np.percentile(image, 99.7) or 1)
    axes.set(xticks=[], yticks=[], title=title)


def localize(frames: np.ndarray, **settings: object) -> autods.LocalizationTable:
    """Localize with the camera that the simulation has."""
    usual = {"pixel_size_nm": PIXEL_NM, "drift": "none", "device": "cpu", **CAMERA}
    return autods.localize(frames, **{**usual, **settings})


def density() -> Figure:
    """Show one structure, blinking sparsely and densely."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for n, (level, n_frames) in enumerate(((0.5, 400), (4.0, 50))):
        made = autods.simulate(n_frames=n_frames, size_px=SIDE_PX, density_per_um2=level, seed=4)
        if n == 0:
            picture(axes[0], made.truth, "true positions")
        table = localize(made.frames)
        scores = autods.evaluate(table, made.truth)
        title = f"{level:g} per um$^2$: Jaccard {scores['jaccard']:.2f}, {scores['rmse_lateral_nm']:.0f} nm"
        picture(axes[n + 1], table, title)
    return figure


def drift() -> Figure:
    """Show a movie whose stage drifts, with and without the correction."""
    made = autods.simulate(n_frames=1000, size_px=SIDE_PX, drift="smooth", drift_nm=300, seed=4)
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    picture(axes[0], localize(made.frames), "drift=none")
    picture(axes[1], localize(made.frames, drift="auto"), "drift=auto (the default)")
    return figure


def grid() -> Figure:
    """Show where positions lie within a camera pixel: as they should, and drawn to its centre."""
    wide = autods.OpticalSystem(PIXEL_NM, wavelength_nm=1100.0, na=1.2)
    made = autods.simulate(
        n_frames=150, size_px=SIDE_PX, structure="uniform", optics=wide, photons=4000, seed=4
    )
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    usual = localize(made.frames)
    forced = localize(made.frames, rescale=False, refine="none", selection="fixed:diff_4", family="heatmap")
    for ax, table, title in zip(axes, (usual, forced), ("sound", "a model that does not fit"), strict=True):
        ax.hist(np.mod(table.x_nm / PIXEL_NM, 1), bins=25, range=(0, 1), color="tab:blue")
        ax.set(xlabel="x within the camera pixel", title=title)
    axes[0].set_ylabel("localizations")
    return figure


def threshold() -> Figure:
    """Show what a lower threshold adds."""
    made = autods.simulate(n_frames=300, size_px=SIDE_PX, photons=400, background=40, seed=4)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, value in zip(axes, (0.05, None, 0.8), strict=True):
        table = localize(made.frames, threshold=value, min_significance=0.0 if value == 0.05 else None)
        scores = autods.evaluate(table, made.truth)
        name = "default" if value is None else f"decode.threshold={value:g}"
        picture(ax, table, f"{name}: precision {scores['precision']:.2f}, recall {scores['recall']:.2f}")
        ax.title.set_fontsize(9)
    return figure


def main(folder: Path) -> None:
    """Draw all."""
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (density, drift, grid, threshold):
        with atomic_path(folder / f"judge_{draw.__name__}.png") as part:
            draw().savefig(part, dpi=80, format="png")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
