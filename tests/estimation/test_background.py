import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import UserError
from autods.estimation.background import BackgroundRemovedMovie, low_percentile
from autods.io.movie import ArrayMovie

SHAPE = (9, 11)


def still(rng):
    return 100 + 20 * rng.random(SHAPE)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 260), st.sampled_from([1, 7, 100]), st.sampled_from([0.0, 5.0]))
def test_any_length_a_constant_background_goes_to_zero(n_frames, block, percentile):
    background = still(np.random.default_rng(0))
    movie = BackgroundRemovedMovie(ArrayMovie(np.repeat(background[None], n_frames, 0)), block, percentile)
    assert movie.read(0, n_frames) == pytest.approx(np.zeros((n_frames, *SHAPE)), abs=1e-4)


def test_a_steady_drift_leaves_no_steps():
    time = np.arange(1037)
    movie = BackgroundRemovedMovie(ArrayMovie((500 - 0.3 * time)[:, None, None] * np.ones(SHAPE)), 100, 0)
    jumps = np.diff(movie.background(0, 1037)[:, 4, 5])
    assert np.abs(jumps).max() < 0.35
    assert jumps[100:-100] == pytest.approx(np.full(836, -0.3), abs=0.01)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 333), min_size=1, max_size=6))
def test_chunks_give_the_same_as_the_whole(cuts):
    frames = np.random.default_rng(1).poisson(50, (333, 5, 6)).astype(np.uint16)
    whole = BackgroundRemovedMovie(ArrayMovie(frames), 40).read(0, 333)
    streamed = BackgroundRemovedMovie(ArrayMovie(frames), 40)
    edges = sorted({0, 333, *cuts})
    parts = [streamed.read(a, b) for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert len(streamed._knots) <= 4


@pytest.mark.parametrize("lit", [0.02, 0.3, 0.6])
def test_blinking_on_a_bleaching_background(lit):
    rng = np.random.default_rng(2)
    time = np.arange(640)
    background = 200 * np.exp(-time / 900)[:, None, None] * (1 + 0.3 * rng.random(SHAPE))
    light = 300 * (rng.random((640, *SHAPE)) < lit)
    movie = BackgroundRemovedMovie(ArrayMovie(rng.poisson(background + light).astype(np.uint16)))
    error = movie.background(0, 640) - background
    # What the low percentile takes off is alike everywhere: about two standard deviations of the noise.
    assert error.std() < 0.5 * np.sqrt(background.mean())
    assert -30 < error.mean() < 0
    assert movie.read(0, 640)[light > 0].mean() == pytest.approx(300 - error.mean(), rel=0.03)


def test_rows_are_sorted_in_parts(monkeypatch):
    frames = np.random.default_rng(3).random((20, 9, 4)).astype(np.float32)
    monkeypatch.setattr("autods.estimation.background._SORTED_VALUES", 20 * 4 * 2)
    assert low_percentile(frames, 30.0) == pytest.approx(np.percentile(frames, 30.0, axis=0), rel=1e-6)


def test_it_is_a_movie_and_refuses_nonsense():
    original = ArrayMovie(np.ones((3, *SHAPE), np.uint16))
    with BackgroundRemovedMovie(original) as movie:
        assert (movie.shape, movie.dtype) == ((3, *SHAPE), np.float32)
        assert movie.read(1, 3).shape == (2, *SHAPE)
        assert movie.read(2, 2).shape == (0, *SHAPE)
    with pytest.raises(UserError, match="percentile"):
        BackgroundRemovedMovie(original, percentile=101.0)
