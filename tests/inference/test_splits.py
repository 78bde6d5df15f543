"""Several marks of one bright emitter become one; emitters that are two stay two."""

import numpy as np
import pytest
import torch

from autods.inference.splits import merge_splits
from tests.inference.test_amplitudes import SIGMA, expected_image, seen


def marks(x, y, photons, background=15.0, shape=(40, 44), seed=0):
    """A frame of emitters on a known background."""
    image = expected_image(shape, np.array(x), np.array(y), np.array(photons), background)
    frames = torch.from_numpy(np.random.default_rng(seed).poisson(image)[None].astype(np.float32))
    return seen(frames, background=background)


@pytest.mark.parametrize("photons", [30_000.0, 100_000.0, 1_000_000.0])
def test_marks_of_one_bright_emitter_become_one(photons):
    observation = marks([20.3, 8.0], [15.6, 30.0], [photons, 1000.0])
    x = np.array([20.0, 8.1, 20.9, 19.6, 21.2])
    y = np.array([15.3, 30.1, 16.1, 15.9, 15.0])
    kept, x, y = merge_splits(observation, np.zeros(5, np.int64), x, y, SIGMA)
    assert kept.tolist() == [0, 1]
    assert (x[0], y[0]) == pytest.approx((20.3, 15.6), abs=0.05)
    assert (x[1], y[1]) == (8.1, 30.1)


@pytest.mark.parametrize("distance", [2.0, 2.6])
def test_two_bright_emitters_stay_two(distance):
    observation = marks([20.0, 20.0 + distance], [15.0, 15.3], [40_000.0, 50_000.0])
    x, y = np.array([20.0, 20.0 + distance]), np.array([15.0, 15.3])
    kept, x_after, _ = merge_splits(observation, np.zeros(2, np.int64), x, y, SIGMA)
    assert kept.tolist() == [0, 1]
    assert np.array_equal(x_after, x)


def test_dim_neighbours_and_other_frames_are_left_alone():
    observation = marks([20.0, 20.6], [15.0, 15.3], [800.0, 900.0])
    x, y = np.array([20.0, 20.6]), np.array([15.0, 15.3])
    assert len(merge_splits(observation, np.zeros(2, np.int64), x, y, SIGMA)[0]) == 2
    none = np.zeros(0)
    assert len(merge_splits(observation, none.astype(np.int64), none, none, SIGMA)[0]) == 0
