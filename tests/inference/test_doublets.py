import numpy as np
import pytest
import torch

from autods.inference.doublets import taken_for_one
from autods.inference.psf_fit import PsfFitter
from tests.inference.test_psf_fit import PIXEL_NM, REACH, SIZE_PX, render, seen, started

N = 40


def movie(name: str, apart_nm: tuple[float, float, float], seed: int = 1):
    """Pairs, one a frame, and one estimate in the middle of each, all fitted."""
    rng = np.random.default_rng(seed)
    middle = np.column_stack([2500 + rng.uniform(-50, 50, (N, 2)), rng.uniform(-0.3, 0.3, N) * REACH[name]])
    way = 0.5 * np.array(apart_nm)
    frame = np.arange(N)
    n_each = 2 if way.any() else 1
    xyz = np.concatenate([middle - way, middle + way])[: n_each * N]
    frames, psf = render(name, xyz, np.tile(frame, n_each), N, 50)
    fitter = PsfFitter(psf, SIZE_PX[name], (-REACH[name], REACH[name]))
    observation = seen(frames)
    fit = fitter(observation, started(frame, middle))
    two = taken_for_one(fitter, observation, fit, torch.ones(N, dtype=torch.bool), 500.0)
    return *two, middle


@pytest.mark.parametrize("name", sorted(REACH))
@pytest.mark.parametrize("apart_nm", [(250.0, 0.0, 0.0), (120.0, 160.0, 0.0), (150.0, 0.0, 200.0)])
def test_two_that_were_fitted_as_one_come_apart(name, apart_nm):
    is_two, two, middle = movie(name, apart_nm)
    assert int(is_two.sum()) > 0.8 * N
    xyz = torch.stack([two.x_px * PIXEL_NM, two.y_px * PIXEL_NM, two.z_nm], 1).numpy()
    first, second = xyz.reshape(2, -1, 3)
    found = (second - first) * np.sign((second - first) @ apart_nm)[:, None]
    assert np.median(found, axis=0) == pytest.approx(apart_nm, abs=30.0)
    centre = np.median(0.5 * (first + second) - middle[is_two.numpy()], axis=0)
    assert np.abs(centre[:2]).max() < 10


@pytest.mark.parametrize("name", sorted(REACH))
def test_one_stays_one(name):
    is_two, two, _ = movie(name, (0.0, 0.0, 0.0))
    assert not is_two.any()
    assert len(two) == 0
