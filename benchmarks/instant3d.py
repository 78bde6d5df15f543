"""The network that is told the PSF, on PSFs that no training has seen, beside specialists and the bound."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from autods.core import Camera, EmitterBatch, LocalizationTable
from autods.core.resources import models_dir
from autods.inference import pick_device
from autods.inference.finders import Finder
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.told_psf import ToldPsfLocalizer
from autods.io.result_tables import Row, Table
from autods.metrics.detection import detection_metrics
from autods.optics.extent import peak_per_photon, region_size_px
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import Localize3DSettings
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.pipelines.told_scale import best_bin_px
from autods.pipelines.trial3d import errors_over_bounds
from autods.simulation import PsfRenderer, Scenes
from autods.zoo.card import CARD_FILE, read_card
from benchmarks.held_out_psfs import HeldOutPsf, bead_psfs, drawn_psfs, foreign_psfs
from benchmarks.specialists import ADAPTED, SCRATCH, kept_rows, trained_finder
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAMERA = Camera(read_noise_e=1.5)
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
_EDGE_PX = 8.0
#: How often a network looks, with the fit.
_PASSES = Localize3DSettings.passes
#: Least significance of a localization.
_SIGNIFICANCE = 3.0
#: Emitters that a condition holds, unless this takes many times the frames.
_ENOUGH, _MOST_TIMES = 100, 8


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
        Frames of each condition, and their side. Up to eight times as many where they hold few emitters.
    background
        Photons per pixel.
    model
        Folder of the model; None for the shipped one.
    folder
        Keeps calibrations, trainings and the scores of trained networks; None keeps nothing.
    n_trained
        PSFs for which specialists are trained, besides: one of each family that is drawn first, bead stacks
        last. With a folder, a run that was ended goes on.
    specialist_minutes, adapted_minutes
        Length of a training from nothing, and from the shipped weights.
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
    n_trained: int = 0
    specialist_minutes: float = 10.0
    adapted_minutes: float = 2.0
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
            psfs = [*beads, *drawn_psfs(self.n_drawn), *foreign_psfs()]
            for psf in psfs:
                finder, fitter = self._finder(psf, device), _fitter(psf, device)
                for name in self.crowds:
                    for method, passes in (("instant", 0), ("instant + fit", _PASSES)):
                        rows.append(self._scores(psf, name, method, finder, fitter, passes))
            for psf in _in_order_of_training(psfs)[: self.n_trained]:
                rows += self._trained(psf, cache, device)
        notes = [
            f"{self.n_frames} frames of {self.size_px} px in each condition, up to {_MOST_TIMES} times as"
            f" many where they hold few emitters, background {self.background:g},"
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

    def _finder(self, psf: HeldOutPsf, device: torch.device) -> ToldPsfLocalizer:
        card = read_card(Path(self.model or models_dir() / "universal") / CARD_FILE)
        extent = Extent.of(KnownPsf(psf.told, psf.z_range_nm))
        bin_px = best_bin_px(KnownPsf(psf.told, psf.z_range_nm), extent, device)
        return ToldPsfLocalizer.from_card(
            card, psf.told, psf.z_range_nm, extent.render_px, device=device, bin_px=bin_px
        )

    def _trained(self, psf: HeldOutPsf, cache: Path, device: torch.device) -> list[Row]:
        """Train for a PSF, and score; what the folder holds is not repeated."""
        rows: list[Row] = []
        known = KnownPsf(psf.told, psf.z_range_nm)
        known = replace(known, told_bin_px=best_bin_px(known, Extent.of(known), device))
        for method, minutes in ((SCRATCH, self.specialist_minutes), (ADAPTED, self.adapted_minutes)):
            folder = cache / "trained" / f"{psf.name} {method} {minutes:g} min".replace(" ", "_")

            def compute(method: str = method, minutes: float = minutes, folder: Path = folder) -> list[Row]:
                fitter = _fitter(psf, device)

                def with_fit(finder: Finder) -> VolumeLocalizer:
                    return VolumeLocalizer(finder, fitter, _SIGNIFICANCE, _PASSES)

                finder = trained_finder(
                    method, known, self._held(psf), _CAMERA, minutes, folder, device, with_fit
                )
                label = f"{method}, {minutes:g} min, + fit"
                return [self._scores(psf, name, label, finder, fitter, _PASSES) for name in self.crowds]

            rows += kept_rows(folder / f"scores_{self.n_frames}_{self.seed}.json", compute)
        return rows

    def _held(self, psf: HeldOutPsf) -> dict[str, Any]:
        """Return what the frames of all conditions hold together, as a movie's measurement tells it."""
        crowds = [CROWDS[name] for name in self.crowds]
        square, noise = _square(psf), self._noise
        unit = noise / math.sqrt(square)
        levels = [crowd.significance * unit for crowd in crowds]
        return {
            "density_per_um2": max(self._density_per_px(psf, crowd) for crowd in crowds)
            / (psf.truth.pixel_size_nm * 1e-3) ** 2
            / 2,
            "noise_std_range": [noise, noise],
            "photons_range": [0.7 * min(levels), 1.6 * max(levels)],
            "dimmest_photons": 0.5 * min(levels),
            "peak_per_photon": peak_per_photon(psf.told, *psf.z_range_nm),
        }

    @property
    def _noise(self) -> float:
        return math.sqrt(self.background + float(_CAMERA.read_noise_photons) ** 2)

    def _scores(
        self,
        psf: HeldOutPsf,
        crowd: str,
        method: str,
        finder: Finder,
        fitter: PsfFitter,
        passes: int,
    ) -> Row:
        """Localize the frames of a condition: by the network alone (no passes), or with the fit."""
        wanted = math.ceil(_ENOUGH / (self._density_per_px(psf, CROWDS[crowd]) * self.size_px**2))
        n_frames = min(max(wanted, self.n_frames), _MOST_TIMES * self.n_frames)
        frames, truth = self.simulate(psf, CROWDS[crowd], n_frames)
        frames = frames.to(pick_device(self.device))
        observation = Observation.over_level(frames, _CAMERA, self.background)
        start = time.perf_counter()
        if passes:
            found = VolumeLocalizer(finder, fitter, _SIGNIFICANCE, passes)(observation)
        else:
            found = _table(finder, observation.light, observation.variance, psf.told.pixel_size_nm)
        seconds = time.perf_counter() - start
        shifted = psf.family == "beads"
        scores = detection_metrics(
            truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM,
            remove_axial_offset=shifted, remove_lateral_offset=shifted,
        )  # fmt: skip
        lateral, axial = errors_over_bounds(
            fitter.psf, fitter.size_px, truth, found, np.full(n_frames, self._noise)
        )
        return {
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
            "ms_per_frame": 1e3 * seconds / n_frames,
        }

    def _density_per_px(self, psf: HeldOutPsf, crowd: Crowd) -> float:
        return min(crowd.overlap * _square(psf), 2.0 * (psf.truth.pixel_size_nm * 1e-3) ** 2)

    def simulate(self, psf: HeldOutPsf, crowd: Crowd, n_frames: int) -> tuple[Tensor, LocalizationTable]:
        """Return frames (T, Y, X) of photons, and the truth within the field."""
        generator = torch.Generator().manual_seed(self.seed)
        (low, high), side, square = psf.z_range_nm, _side_px(psf), _square(psf)
        pixel_nm, extent = psf.truth.pixel_size_nm, self.size_px + 2 * _EDGE_PX
        density = self._density_per_px(psf, crowd)
        counts = torch.poisson(torch.full((n_frames,), density * extent**2), generator=generator).long()
        most = max(int(counts.max()), 1)
        place = torch.rand(n_frames, most, 3, generator=generator)
        xy = (place[..., :2] * extent - _EDGE_PX) * pixel_nm
        xyz = torch.cat([xy, low + (high - low) * place[..., 2:]], 2)
        brightness = torch.exp(0.3 * torch.randn(n_frames, most, generator=generator))
        mask = torch.arange(most) < counts[:, None]
        photons = crowd.significance * self._noise / math.sqrt(square) * brightness * mask
        emitters = EmitterBatch(xyz, photons, mask)
        scenes = Scenes(emitters, torch.zeros(n_frames), torch.zeros(n_frames))
        light = PsfRenderer(psf.truth, side)(scenes, (self.size_px, self.size_px), generator).clamp_min(0)
        frames = torch.poisson(light + self.background, generator=generator)
        frames = frames + float(_CAMERA.read_noise_photons) * torch.randn(frames.shape, generator=generator)
        frame, flat, light_of = emitters.flat()
        inside = ((flat[:, :2] >= 0) & (flat[:, :2] < self.size_px * pixel_nm)).all(1)
        x, y, depth = (column[inside].double().numpy() for column in flat.unbind(1))
        return frames, LocalizationTable.build(
            frame[inside].numpy(), x, y, z_nm=depth, photons=light_of[inside].double().numpy()
        )


def _in_order_of_training(psfs: Sequence[HeldOutPsf]) -> list[HeldOutPsf]:
    """Order PSFs: one of each family, the rest; bead stacks, which other calibrations change, at the end."""
    drawn = [psf for psf in psfs if psf.family != "beads"]
    first = list({psf.family: psf for psf in reversed(drawn)}.values())[::-1]
    rest = [psf for psf in drawn if psf not in first]
    return [*first, *rest, *(psf for psf in psfs if psf.family == "beads")]


def _fitter(psf: HeldOutPsf, device: torch.device) -> PsfFitter:
    low, high = psf.z_range_nm
    extent = Extent.of(KnownPsf(psf.told, psf.z_range_nm))
    fast = PsfRenderer.fast(psf.told, low, high, size_px=extent.render_px).psf
    if isinstance(fast, torch.nn.Module):
        fast.to(device)
    depths = (low - 50, high + 50)
    return PsfFitter(fast, extent.fit_px, depths, error=psf.error, image_px=extent.render_px)


def _side_px(psf: HeldOutPsf) -> int:
    return min(region_size_px(psf.truth, *psf.z_range_nm, 0.97), 61)


def _square(psf: HeldOutPsf) -> float:
    """Sum of the squares of the image of one photon, over the depths: one over the area of the PSF, px."""
    z = torch.linspace(*psf.z_range_nm, 21)
    place = torch.stack([torch.zeros(21), torch.zeros(21), z], 1)
    return float(psf.truth(place, _side_px(psf)).clamp_min(0).square().sum((1, 2)).mean())


def _table(finder: Finder, frames: Tensor, variance: Tensor, pixel_nm: float) -> LocalizationTable:
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
