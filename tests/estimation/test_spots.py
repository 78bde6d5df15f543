import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autods.estimation.spots import detection_threshold, dilate, local_maxima, matched_filter
from tests.estimation.published import preprocess
from tests.estimation.simulate import simulate


def test_preprocessing_subtracts_per_frame_and_ignores_the_offset() -> None:
    frames = np.random.default_rng(0).normal(10, 3, (3, 20, 24)).astype(np.float32)
    shifted = frames + np.array([100, 2000, 0], np.float32)[:, None, None]
    result = preprocess(shifted)
    np.testing.assert_allclose(result.min(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(result, preprocess(frames), atol=1e-3)
    assert preprocess(shifted.astype(np.uint16)).dtype == np.float32


def test_threshold_is_mean_plus_k_std() -> None:
    frames = np.random.default_rng(0).normal(5, 2, (4, 200, 200))
    np.testing.assert_allclose(detection_threshold(frames, k=3), 11, atol=0.1)
    np.testing.assert_allclose(detection_threshold(frames, k=0), 5, atol=0.05)


def test_maximum_off_centre_in_x_only_is_found_at_its_row_and_column() -> None:
    frames = np.zeros((2, 9, 15), np.float32)
    frames[1, 2, 11] = 5
    assert np.argwhere(local_maxima(frames, 1.0)).tolist() == [[1, 2, 11]]


def test_spots_of_a_simulated_emitter_lie_at_its_x_and_y() -> None:
    movie = simulate(0.02, 30, n_frames=40, shape=(40, 72), tilt=0, seed=3)
    filtered = matched_filter(movie.frames, 1.2) / movie.noise_std
    t, y, x = np.nonzero(local_maxima(filtered, 8.0))
    assert len(t) >= 10
    for frame, row, column in zip(t, y, x, strict=True):
        here = movie.frame == frame
        distance = np.hypot(movie.x_px[here] - 0.5 - column, movie.y_px[here] - 0.5 - row)
        at_border = row == 0 or column == 0 or row == 39 or column == 71
        assert at_border or distance.min() < 1.0


@given(arrays(np.int8, (1, 6, 7), elements=st.integers(0, 3)))
def test_maxima_are_never_exceeded_and_each_plateau_of_two_counts_once(values: np.ndarray) -> None:
    frames = values.astype(np.float32)
    found = local_maxima(frames, -1.0)[0]
    for y, x in np.argwhere(found):
        around = frames[0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        assert frames[0, y, x] == around.max()
        neighbours = found[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        assert neighbours.sum() == 1
    assert found.any()


@pytest.mark.parametrize("pair", [((2, 3), (2, 4)), ((2, 3), (3, 3)), ((2, 3), (3, 4)), ((2, 4), (3, 3))])
def test_flat_top_counts_once(pair: tuple[tuple[int, int], tuple[int, int]]) -> None:
    frames = np.zeros((1, 6, 7), np.float32)
    for y, x in pair:
        frames[0, y, x] = 4
    assert local_maxima(frames, 1.0).sum() == 1


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_filter_keeps_the_noise_and_removes_a_slow_background(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (4, 128, 128)).astype(np.float32)
    assert matched_filter(noise, sigma)[:, 16:-16, 16:-16].std() == pytest.approx(2, rel=0.03)
    ramp = np.linspace(0, 50, 128, dtype=np.float32) * np.ones((1, 128, 1), np.float32)
    assert np.abs(matched_filter(ramp, sigma)[:, :, 20:-20]).max() < 0.01


@pytest.mark.parametrize("sigma", [1.0, 1.4])
def test_filter_gathers_the_light_of_a_psf(sigma: float) -> None:
    y, x = np.mgrid[:41, :41]
    spot = np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / (2 * sigma**2))[None].astype(np.float32)
    gain = matched_filter(spot, sigma)[0, 20, 20]
    # A filter that need not remove the background would gain sqrt(pi) sigma.
    assert 0.75 * math.sqrt(math.pi) * sigma < gain < math.sqrt(math.pi) * sigma


def test_dilation_stays_in_its_frame() -> None:
    mask = np.zeros((3, 9, 9), bool)
    mask[1, 4, 4] = True
    grown = dilate(mask, 2)
    assert grown[1].sum() == 25
    assert grown.sum() == 25
