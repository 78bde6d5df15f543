"""How long molecules are on, of movies that are made of them."""

from __future__ import annotations

import numpy as np
import pytest

from autods.estimation.on_times import mean_on_frames
from autods.io.movie import ArrayMovie


def _light(on_frames: float, n_molecules: int, n_frames: int = 300) -> ArrayMovie:
    """Return frames of molecules of one pixel each under noise."""
    rng, side = np.random.default_rng(0), 32
    frames = rng.normal(0, 20, (n_frames, side, side))
    start = rng.uniform(-30, n_frames, n_molecules)
    end = start + rng.exponential(on_frames, n_molecules)
    places = rng.integers(0, side, (n_molecules, 2))
    for (y, x), first, last in zip(places, start, end, strict=True):
        edges = np.arange(n_frames)
        frames[:, y, x] += 300 * np.clip(np.minimum(last, edges + 1) - np.maximum(first, edges), 0, None)
    return ArrayMovie(frames.astype(np.float32))


@pytest.mark.parametrize("on_frames", [1.0, 3.0, 6.0])
def test_time_is_found_under_noise(on_frames: float) -> None:
    assert mean_on_frames(_light(on_frames, 3000)) == pytest.approx(on_frames, rel=0.2)


def test_short_movies_do_not_shorten_it() -> None:
    assert mean_on_frames(_light(4.0, 3000, n_frames=40)) == pytest.approx(4.0, rel=0.2)


def test_few_molecules_under_much_noise_leave_the_usual_time() -> None:
    assert 1.0 < mean_on_frames(_light(3.0, 0)) < 6.0
    assert 1.5 < mean_on_frames(_light(3.0, 20)) < 5.0
