"""The confidence and significance at which a movie's emitters are found best."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS
from autods.pipelines import limits3d
from autods.pipelines.limits3d import best_limits
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import Limits, VolumeLocalizer
from autods.pipelines.train3d import shipped_finder
from autods.representation import Detections

_KNOWN = KnownPsf(PSF_MODELS["astigmatic_gaussian"](OpticalSystem(100.0, 660.0, 1.4)), (-300.0, 300.0))
_EXTENT, _CAMERA = Extent(13, 13, 17), Camera()
_POPULATION, _NOISE = Population(0.5, 1000.0, 0.3), torch.full((2,), 5.0)


@dataclass(frozen=True)
class _Confident:
    confidence: Any

    def select(self, rows: Any) -> _Confident:
        return _Confident(self.confidence[rows])


@dataclass(frozen=True)
class _Oracle:
    """Finds every emitter, a half of them with little confidence, and as many false ones of little light."""

    truth: LocalizationTable
    limits: Limits = field(default_factory=lambda: Limits(0.3, 3.0))
    false_significance: float = 4.5
    false_photons: float = 1000.0
    error_nm: float = 0.0
    #: Whether the fit of a third is spoilt where the false ones are in it, or where they are not.
    spoilt: str = "never"

    def with_limits(self, limits: Limits) -> _Oracle:
        return replace(self, limits=limits)

    def first_look(self, _: object, own: slice | None = None) -> Any:
        sure = np.where(np.arange(len(self.truth)) % 2 == 0, 0.9, 0.1)
        return _Confident(sure[sure >= self.limits.threshold])

    def estimates(self, _: object, first: Any, *, apart: bool = True) -> tuple[Detections, torch.Tensor]:
        n, rng = len(self.truth), np.random.default_rng(0)
        assert self.truth.z_nm is not None
        kept = np.flatnonzero((np.arange(n) % 2 == 0) | (first.confidence.min() <= 0.1))
        x, y = (np.r_[of[kept], rng.uniform(0, 6400, n)] / 100 for of in (self.truth.x_nm, self.truth.y_nm))
        z = np.r_[self.truth.z_nm[kept], rng.uniform(-300, 300, n)]
        significance = np.r_[np.full(len(kept), 20.0), np.full(n, self.false_significance)]
        photons = np.r_[np.full(len(kept), 1000.0), np.full(n, self.false_photons)]
        frame = np.r_[self.truth.frame[kept], self.truth.frame]
        off = rng.normal(0, self.error_nm, (3, len(x)))
        if self.spoilt == (
            "with" if self.false_significance >= self.limits.fitted_significance else "without"
        ):
            off[2, ::3] += 600.0
        x, y, z = x + off[0] / 100, y + off[1] / 100, z + off[2]
        frame, x, y, z, significance, photons = map(torch.from_numpy, (frame, x, y, z, significance, photons))
        fit = Detections(frame, x, y, torch.ones_like(x), z_nm=z, photons=photons, significance=significance)
        fit = replace(fit, uncertainty_px=0 * x + 0.1, uncertainty_z_nm=0 * x + 20.0)
        return fit, self.limits.hold(fit)


def _chosen(
    threshold: float | None = None, significance: float | None = None, **false: Any
) -> dict[str, Any]:
    noise = _NOISE[torch.arange(40) % 2]
    truth = population_frames(_KNOWN, _EXTENT, _CAMERA, limits3d._SIDE_PX, noise)(_POPULATION, 0)[1]
    oracle = cast(VolumeLocalizer, _Oracle(truth, **false))
    return best_limits(
        oracle, _KNOWN, _EXTENT, _CAMERA, _POPULATION, _NOISE, threshold=threshold, significance=significance
    )


def test_true_emitters_of_little_confidence_are_let_in_and_false_ones_of_little_light_kept_out() -> None:
    found = _chosen()
    assert found["threshold"] <= 0.1
    assert found["significance"] >= 5
    assert found["jaccard"] > 0.99 > found["jaccard_usual"]


def test_significant_parts_of_others_light_are_kept_out_by_their_few_photons() -> None:
    found = _chosen(false_significance=20.0, false_photons=250.0)
    assert found["photons"] >= 300
    assert found["jaccard"] > 0.99


@pytest.mark.parametrize(("spoilt", "stay"), [("with", False), ("without", True)])
def test_the_light_of_false_ones_goes_where_the_fit_is_better(spoilt: str, stay: bool) -> None:
    found = _chosen(spoilt=spoilt)
    assert (found["fitted_significance"] <= 4.5) == stay
    assert found["significance"] >= 5
    assert found["jaccard"] > 0.99


def test_errors_beyond_their_bounds_are_told() -> None:
    lateral, axial = _chosen(error_nm=12.0)["crowding"]
    assert lateral == pytest.approx(1.2, rel=0.15)
    assert axial == 1.0


def test_what_is_given_stays() -> None:
    assert _chosen(threshold=0.4)["threshold"] == 0.4
    assert _chosen(significance=3.0)["significance"] == 3.0


def _frames_and_localizer() -> tuple[Observation, VolumeLocalizer]:
    """Return frames of the population, and the shipped network with the fit."""
    noise = _NOISE[torch.arange(4) % 2]
    observation, _ = population_frames(_KNOWN, _EXTENT, _CAMERA, 48, noise)(_POPULATION, 0)
    finder = shipped_finder(_KNOWN, _EXTENT, torch.device("cpu"))
    fast = _KNOWN.over_field(_EXTENT.fit_px)
    localizer = VolumeLocalizer(finder, PsfFitter(fast, _EXTENT.fit_px, (-350.0, 350.0)), 3.0, passes=2)
    return observation, localizer


def test_one_look_serves_every_threshold() -> None:
    observation, localizer = _frames_and_localizer()
    first = localizer.with_limits(Limits(0.05, 3.0)).first_look(observation)
    for level in (0.05, 0.2, 0.5):
        own = localizer.with_limits(Limits(level, 3.0))
        looked = own.estimates(observation)
        shared = own.estimates(observation, first.select(first.confidence >= level))
        assert len(looked[0]) == len(shared[0]) > 10
        # Pixels a thousand times less probable than the threshold are left out: a bit more of them here.
        np.testing.assert_allclose(looked[0].x_px, shared[0].x_px, atol=0.02)
        np.testing.assert_allclose(looked[0].z_nm, shared[0].z_nm, atol=5.0)
        np.testing.assert_array_equal(looked[1], shared[1])


def test_limits_in_the_end_leave_the_fits_as_they_are() -> None:
    observation, localizer = _frames_and_localizer()
    lenient, strict = Limits(0.2, 3.0), Limits(0.2, 12.0, 900.0)
    (fit, keep), (other, kept) = (
        localizer.with_limits(limits).estimates(observation) for limits in (lenient, strict)
    )
    for name, column in fit.columns().items():
        np.testing.assert_array_equal(column, other.columns()[name])
    np.testing.assert_array_equal(keep & strict.hold(fit), kept)
    assert 0 < int(kept.sum()) < int(keep.sum())
