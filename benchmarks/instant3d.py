"""The network that is told the PSF, on PSFs that no training has seen, beside specialists and the bound."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from autods.core import Camera, EmitterBatch, LocalizationTable
from autods.core.resources import models_dir
from autods.inference import pick_device
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.told_psf import ToldPsfLocalizer
from autods.io.result_tables import Row, Table
from autods.metrics.detection import detection_metrics
from autods.optics.extent import region_size_px
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.pipelines.trial3d import errors_over_bounds
from autods.simulation import PsfRenderer, Scenes
from autods.zoo.card import CARD_FILE, read_card
from benchmarks.held_out_psfs import HeldOutPsf, bead_psfs, drawn_psfs, foreign_psfs
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAMERA = Camera(read_noise_e=1.5)
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
_EDGE_PX = 8.0


@dataclass(frozen=True)
class Crowd:
    """What frames of one condition hold.

    Parameters
    ----------
    significance
        Photons of an emitter over their standard error, on average.
    overlap
        Emitters within the area of the PSF.
    """

    significance: float
    overlap: float


CROWDS = {
    "sparse, bright": Crowd(60.0, 0.1),
    "sparse, dim": Crowd(15.0, 0.1),
    "dense, bright": Crowd(60.0, 0.6),
    "dense, dim": Crowd(15.0, 0.6),
}


@dataclass(frozen=True)
class Instant3D:
    """The suite ``instant3d``.

    Parameters
    ----------
    n_drawn
        PSFs drawn, besides two from outside of the ranges and the bead stacks.
    data
        Folder of real data with the bead stacks; None leaves them out.
    n_frames, size_px
        Frames of each condition, and their side.
    background
        Photons per pixel.
    model
        Folder of the model; None for the shipped one.
    folder
        Keeps calibrations; None keeps nothing.
    device
        Where to compute.
    """

    n_drawn: int = 17
    data: Path | str | None = None
    n_frames: int = 16
    size_px: int = 64
    background: float = 20.0
    crowds: Sequence[str] = field(default_factory=lambda: list(CROWDS))
    model: Path | str | None = None
    folder: Path | str | None = None
    device: str = "auto"
    seed: int = 11
    name: str = "instant3d"

    def run(self) -> SuiteResult:
        """Simulate and score."""
        device = pick_device(self.device)
        rows: list[Row] = []
        with TemporaryDirectory(prefix="autods-instant-") as temporary:
            cache = Path(temporary if self.folder is None else self.folder)
            beads = [] if self.data is None else bead_psfs(Path(self.data), cache)
            for psf in [*beads, *drawn_psfs(self.n_drawn), *foreign_psfs()]:
                finder, localizer = self._localizers(psf, device)
                for name in self.crowds:
                    rows += self._scores(psf, name, finder, localizer)
        notes = [
            f"{self.n_frames} frames of {self.size_px} px in each condition, background {self.background:g},"
            f" read noise {_CAMERA.read_noise_e:g}; matches within {_RADIUS_NM:g} nm laterally and"
            f" {_AXIAL_RADIUS_NM:g} nm axially; frames of beads are rendered through the mean bead, while"
            " the network and the fit are told the retrieved pupil, and a constant offset between the two"
            " is removed.",
        ]
        return SuiteResult(
            "3D without training, on PSFs that no training has seen",
            [Table("results", "Results", rows), Table("summary", "Means", _means(rows))],
            {"results": _figure(rows)},
            notes,
        )

    def _localizers(self, psf: HeldOutPsf, device: torch.device) -> tuple[ToldPsfLocalizer, VolumeLocalizer]:
        card = read_card(Path(self.model or models_dir() / "universal") / CARD_FILE)
        known = KnownPsf(psf.told, psf.z_range_nm)
        extent = Extent.of(known)
        finder = ToldPsfLocalizer.from_card(card, psf.told, psf.z_range_nm, extent.render_px, device=device)
        fast = PsfRenderer.fast(psf.told, *psf.z_range_nm, size_px=extent.fit_px).psf
        if isinstance(fast, torch.nn.Module):
            fast.to(device)
        low, high = psf.z_range_nm
        fitter = PsfFitter(fast, extent.fit_px, (low - 50, high + 50))
        return finder, VolumeLocalizer(finder, fitter, 3.0, passes=2)

    def _scores(
        self, psf: HeldOutPsf, crowd: str, finder: ToldPsfLocalizer, localizer: VolumeLocalizer
    ) -> list[Row]:
        frames, truth = self._simulate(psf, CROWDS[crowd])
        frames = frames.to(finder.device)
        observation = Observation.over_level(frames, _CAMERA, self.background)
        rows: list[Row] = []
        for method in ("instant", "instant + fit"):
            start = time.perf_counter()
            if method == "instant":
                found = _table(finder, observation.light, observation.variance, psf.told.pixel_size_nm)
            else:
                found = LocalizationTable.build(**localizer(observation))
            seconds = time.perf_counter() - start
            shifted = psf.family == "beads"
            scores = detection_metrics(
                truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM,
                remove_axial_offset=shifted, remove_lateral_offset=shifted,
            )  # fmt: skip
            lateral, axial = errors_over_bounds(
                localizer.fitter.psf, localizer.fitter.size_px, truth, found,
                np.full(self.n_frames, math.sqrt(self.background + _CAMERA.read_noise_photons**2)),
            )  # fmt: skip
            rows.append(
                {
                    "psf": psf.name,
                    "family": psf.family,
                    "condition": crowd,
                    "method": method,
                    "emitters": len(truth),
                    "jaccard": scores.jaccard,
                    "precision": scores.precision,
                    "recall": scores.recall,
                    "rmse_lateral_nm": scores.rmse_lateral_nm,
                    "rmse_axial_nm": scores.rmse_axial_nm,
                    "lateral_over_bound": lateral,
                    "axial_over_bound": axial,
                    "ms_per_frame": 1e3 * seconds / self.n_frames,
                }
            )
        return rows

    def _simulate(self, psf: HeldOutPsf, crowd: Crowd) -> tuple[Tensor, LocalizationTable]:
        """Return frames (T, Y, X) of photons, and the truth within the field."""
        generator = torch.Generator().manual_seed(self.seed)
        low, high = psf.z_range_nm
        z = torch.linspace(low, high, 21)
        side = min(region_size_px(psf.truth, low, high, 0.97), 61)
        images = psf.truth(torch.stack([torch.zeros(21), torch.zeros(21), z], 1), side).clamp_min(0)
        square = float(images.square().sum((1, 2)).mean())
        pixel_nm, extent = psf.truth.pixel_size_nm, self.size_px + 2 * _EDGE_PX
        density = min(crowd.overlap * square, 2.0 * (pixel_nm * 1e-3) ** 2)
        noise = math.sqrt(self.background + float(_CAMERA.read_noise_photons) ** 2)
        counts = torch.poisson(torch.full((self.n_frames,), density * extent**2), generator=generator).long()
        most = max(int(counts.max()), 1)
        place = torch.rand(self.n_frames, most, 3, generator=generator)
        xy = (place[..., :2] * extent - _EDGE_PX) * pixel_nm
        xyz = torch.cat([xy, low + (high - low) * place[..., 2:]], 2)
        brightness = torch.exp(0.3 * torch.randn(self.n_frames, most, generator=generator))
        mask = torch.arange(most) < counts[:, None]
        photons = crowd.significance * noise / math.sqrt(square) * brightness * mask
        emitters = EmitterBatch(xyz, photons, mask)
        scenes = Scenes(emitters, torch.full((self.n_frames,), 0.0), torch.full((self.n_frames,), 0.0))
        light = PsfRenderer(psf.truth, side)(scenes, (self.size_px, self.size_px), generator).clamp_min(0)
        frames = torch.poisson(light + self.background, generator=generator)
        frames = frames + float(_CAMERA.read_noise_photons) * torch.randn(frames.shape, generator=generator)
        frame, flat, light_of = emitters.flat()
        inside = ((flat[:, :2] >= 0) & (flat[:, :2] < self.size_px * pixel_nm)).all(1)
        x, y, depth = (column[inside].double().numpy() for column in flat.unbind(1))
        return frames, LocalizationTable.build(
            frame[inside].numpy(), x, y, z_nm=depth, photons=light_of[inside].double().numpy()
        )


def _table(finder: ToldPsfLocalizer, frames: Tensor, variance: Tensor, pixel_nm: float) -> LocalizationTable:
    found = finder.find(frames, variance)
    assert found.z_nm is not None
    return LocalizationTable.build(
        found.frame.numpy(),
        found.x_px.double().numpy() * pixel_nm,
        found.y_px.double().numpy() * pixel_nm,
        z_nm=found.z_nm.numpy(),
    )


def _means(rows: Sequence[Row]) -> list[Row]:
    """Average over the PSFs, by method, condition and family."""
    keys = dict.fromkeys((row["method"], row["condition"], row["family"]) for row in rows)
    names = ("jaccard", "precision", "recall", "lateral_over_bound", "axial_over_bound", "ms_per_frame")
    means: list[Row] = []
    for method, condition, family in keys:
        own = [r for r in rows if (r["method"], r["condition"], r["family"]) == (method, condition, family)]
        values = {name: float(np.nanmean([float(r[name] or 0) for r in own])) for name in names}
        means.append({"method": method, "condition": condition, "family": family, "psfs": len(own), **values})
    return means


def _figure(rows: Sequence[Row]) -> Figure:
    conditions = list(dict.fromkeys(str(row["condition"]) for row in rows))
    figure, axes = panels(1, len(conditions), size=(3.4, 3.0))
    for axis, condition in zip(axes, conditions, strict=True):
        own = [row for row in rows if row["condition"] == condition]
        for method in dict.fromkeys(str(row["method"]) for row in own):
            values = [float(row["jaccard"] or 0) for row in own if row["method"] == method]
            axis.plot(values, "o", ms=3, label=method)
        axis.set_ylim(0, 1)
        axis.set_title(condition)
        axis.set_xlabel("PSF")
    axes[0].set_ylabel("Jaccard index")
    axes[0].legend()
    return figure
