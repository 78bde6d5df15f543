import math

import numpy as np
import pytest
import torch

from autods.core import Camera
from benchmarks.estimators import (
    CAMERAS,
    EstimatorErrors,
    PatchConditions,
    calibrate,
    draw_conditions,
    simulate_patch,
)


@pytest.mark.parametrize("camera", CAMERAS, ids=["ideal", "scmos", "scmos_gain", "emccd"])
def test_truth_of_a_simulated_patch(camera: Camera) -> None:
    conditions = PatchConditions(1.0, 5.0, camera=camera, nonuniformity=0.0, defocus_nm=0.0, n_frames=60)
    patch = simulate_patch(conditions, torch.Generator().manual_seed(0))
    assert patch.density_per_um2 == pytest.approx(1.0, rel=0.1)
    # The emitter's own pixel holds about 0.89 of the continuous peak at 1.2 px.
    assert patch.snr == pytest.approx(5.0 * 0.89, rel=0.05)
    dark = simulate_patch(
        PatchConditions(1e-6, 5.0, camera=camera, nonuniformity=0.0), torch.Generator().manual_seed(0)
    )
    assert dark.frames.std() == pytest.approx(dark.noise_std, rel=0.03)


def test_calibration_draws_surround_the_grid() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_conditions(rng) for _ in range(200)]
    assert min(c.density_per_um2 for c in drawn) < 0.1 < 3 < max(c.density_per_um2 for c in drawn)
    assert min(c.snr for c in drawn) < 1.5 < 10 < max(c.snr for c in drawn)


def test_calibration_runs_and_predicts() -> None:
    correction = calibrate(12, seed=0)
    prediction = correction.predict(np.array(correction.centre))
    assert prediction.shape == (3,)
    assert np.isfinite(prediction).all()


def test_nothing_found_counts_as_an_error() -> None:
    ratio = np.array([[[1.1, math.nan, math.nan]]])
    errors = EstimatorErrors(ratio, np.ones((1, 1, 3)), ratio, ratio)
    assert errors.medians()["density_published"] == 1.0
    assert errors.medians()["density_corrected"] == 0.0
