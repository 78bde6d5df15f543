"""Whether the test stage of the 3D pipeline notices a wrong PSF, and does not doubt the right one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from autods.core import Camera
from autods.estimation.on_times import USUAL_FRAMES
from autods.inference import pick_device
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.io.result_tables import Row, Table
from autods.optics import PSFModel
from autods.optics.turned import MIRRORED, REVERSED, TurnedPSF
from autods.pipelines import doubt, first_pass3d, train3d, trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.pipelines.told_scale import best_bin_px
from benchmarks.held_out_psfs import HeldOutPsf, bead_psfs, drawn_psfs, foreign_psfs
from benchmarks.instant3d import CROWDS, Instant3D
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

_CAMERA = Camera(read_noise_e=1.5)
#: A focus that is off by this share of the depths.
_OFF = 0.4
RIGHT = "right"


@dataclass(frozen=True)
class WrongPsf:
    """The suite ``wrong_psf``.

    Parameters
    ----------
    n_drawn
        PSFs drawn, besides two from outside of the ranges and the bead stacks.
    data
        Folder of real data with the bead stacks; None leaves them out.
    crowds
        Conditions of :mod:`benchmarks.instant3d`.
    n_frames, size_px
        Frames of each condition, and their side; the test stage chooses some of them.
    folder
        Keeps calibrations; None keeps nothing.
    device
        Where to compute.
    """

    n_drawn: int = 17
    data: Path | str | None = None
    crowds: Sequence[str] = ("sparse, bright", "dense, bright")
    n_frames: int = 60
    size_px: int = 64
    folder: Path | str | None = None
    device: str = "auto"
    name: str = "wrong_psf"

    def run(self) -> SuiteResult:
        """Simulate, tell, and count the warnings."""
        rows: list[Row] = []
        with TemporaryDirectory(prefix="autods-wrong-") as temporary:
            cache = Path(temporary if self.folder is None else self.folder)
            beads = [] if self.data is None else bead_psfs(Path(self.data), cache)
            psfs = [*beads, *drawn_psfs(self.n_drawn), *foreign_psfs()]
            for psf in psfs:
                for crowd in self.crowds:
                    for kind, told in told_psfs(psf, psfs).items():
                        rows.append(
                            {"psf": psf.name, "condition": crowd, **self.trial(psf, crowd, kind, told)}
                        )
                        logger.info("%s", rows[-1])
        notes = [
            f"Movies of {self.n_frames} frames of {self.size_px} px. Mirrored PSFs that are the PSF itself,"
            " or itself reversed in depth (images that differ by less than 10 % of their norm), are left out;"
            " a focus that is off moves"
            f" all depths by {100 * _OFF:g} % of their range; another family is that of the next PSF of"
            " another one, with its pixels taken for the movie's.",
        ]
        tables = [Table("summary", "Warnings", _counts(rows)), Table("results", "Each trial", rows)]
        return SuiteResult("A wrong PSF", tables, {}, notes)

    def trial(self, psf: HeldOutPsf, crowd: str, kind: str, told: KnownPsf) -> Row:
        """Carry out what the test stage does with frames of a PSF and another that is told."""
        device = pick_device(self.device)
        source = Instant3D(n_frames=self.n_frames, size_px=self.size_px)
        frames, _ = source.simulate(psf, CROWDS[crowd], self.n_frames)
        observation = Observation.over_level(frames.to(device), _CAMERA, source.background)
        extent = Extent.of(told)
        told = replace(told, told_bin_px=best_bin_px(told, extent, device))

        def localizer_of(model: PSFModel) -> VolumeLocalizer:
            known = replace(told, model=model)
            fast = known.over_field(extent.render_px)
            if isinstance(fast, nn.Module):
                fast.to(device)
            low, high = told.z_range_nm
            depths, image_px = (low - 50, high + 50), extent.render_px
            fitter = PsfFitter(fast, extent.fit_px, depths, error=told.error, image_px=image_px)
            return VolumeLocalizer(train3d.shipped_finder(known, extent, device), fitter, 3.0, passes=2)

        localizer = localizer_of(told.model)
        population = first_pass3d.measure_population(
            observation, localizer, told, extent, _CAMERA, on_frames=USUAL_FRAMES, rounds=1
        )
        per_px = 0.0 if population is None else population.per_px(told.model.pixel_size_nm)
        chosen = trial3d.chosen_frames(self.n_frames, self.size_px, per_px)
        observation = observation[torch.tensor(chosen, device=device)]
        turned = {name: localizer_of(model) for name, model in trial3d.turned_psfs(told).items()}
        near_px = doubt.near_px(told)
        real, _ = trial3d.try_real(localizer, observation, chosen, turned, near_px)
        usual = None
        if population is not None:
            usual = trial3d.try_population(localizer, told, extent, _CAMERA, population, observation, near_px)
        line = doubt.unexplained(real, usual)
        return {
            "kind": kind,
            "warns": int(line is not None),
            "why": "" if line is None else line.split(":")[0],
            "explained": real["explained_variance"],
            "in_half": real["explained_in_half"],
            "in_half_simulated": None if usual is None else usual["explained_in_half"],
            "doubt": None if usual is None else doubt.difference(real, usual),
            **{name: doubt.difference(real, other) for name, other in real["turned"].items()},
        }


def told_psfs(psf: HeldOutPsf, all_psfs: Sequence[HeldOutPsf]) -> dict[str, KnownPsf]:
    """Return what is told of a PSF, by kind: the right one, mirrored, off focus, another family's."""
    low, high = psf.z_range_nm
    told = {RIGHT: KnownPsf(psf.told, psf.z_range_nm, error=psf.error)}
    # Reversed in z, a PSF has the same images at other depths: no frame can tell.
    mirrored = TurnedPSF(psf.told, MIRRORED, psf.z_range_nm)
    alike = [psf.told, TurnedPSF(psf.told, REVERSED, psf.z_range_nm)]
    if all(_differ(one, mirrored, psf.z_range_nm) for one in alike):
        told[MIRRORED] = KnownPsf(mirrored, psf.z_range_nm, error=psf.error)
    off = _OFF * (high - low)
    told["other focus"] = KnownPsf(_Shifted(psf.told, off), (low, high), error=psf.error)
    start = list(all_psfs).index(psf)
    others = [*all_psfs[start + 1 :], *all_psfs[:start]]
    other = next(one for one in others if one.family != psf.family and _kind(one) != _kind(psf))
    model = _Repixelled(other.told, psf.told.pixel_size_nm)
    told["other family"] = KnownPsf(model, other.z_range_nm, error=other.error)
    return told


def _kind(psf: HeldOutPsf) -> str:
    return next((word for word in ("astigmati", "helix", "etrapod") if word in psf.name), psf.name)


def _differ(first: PSFModel, second: PSFModel, z_range_nm: tuple[float, float]) -> bool:
    z = torch.linspace(*z_range_nm, 9)
    place = torch.stack([torch.zeros(9), torch.zeros(9), z], 1)
    one, other = first(place, 31), second(place, 31)
    return bool((one - other).norm() > 0.1 * one.norm())


class _Shifted(nn.Module):
    """A PSF whose depths are read too low by some nm."""

    def __init__(self, psf: PSFModel, by_nm: float) -> None:
        super().__init__()
        self.pixel_size_nm, self._psf, self._by_nm = psf.pixel_size_nm, psf, by_nm

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        moved: Tensor = self._psf(xyz_nm + xyz_nm.new_tensor([0.0, 0.0, self._by_nm]), size_px)
        return moved


class _Repixelled(nn.Module):
    """A PSF whose pixels are taken for others."""

    def __init__(self, psf: PSFModel, pixel_size_nm: float) -> None:
        super().__init__()
        self.pixel_size_nm, self._psf = pixel_size_nm, psf
        self._scale = psf.pixel_size_nm / pixel_size_nm

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        image: Tensor = self._psf(xyz_nm * xyz_nm.new_tensor([self._scale, self._scale, 1.0]), size_px)
        return image


def _counts(rows: Sequence[Row]) -> list[Row]:
    """Count the warnings of each kind and condition."""
    keys = dict.fromkeys((str(row["kind"]), str(row["condition"])) for row in rows)
    counts: list[Row] = []
    for kind, condition in keys:
        own = [row for row in rows if (row["kind"], row["condition"]) == (kind, condition)]
        warned = [float(row["warns"] or 0) for row in own]
        counts.append(
            {"kind": kind, "condition": condition, "trials": len(own), "warned": float(np.mean(warned))}
        )
    return counts
