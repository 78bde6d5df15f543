"""How much denser it is where the emitters are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autods.benchmarks.fields import HeterogeneousConditions, heterogeneous_field
from autods.core import OpticalSystem
from autods.estimation.crowding import MIN_SQUARE_PX, crowding, squares
from autods.estimation.patch import measure_patch
from autods.estimation.profile import profile_movie
from autods.io.movie import ArrayMovie


@given(
    y0=st.integers(0, 50),
    x0=st.integers(0, 50),
    height=st.integers(5, 200),
    width=st.integers(5, 200),
    pixel=st.floats(20, 300),
)
def test_squares_cover_the_patch_once(y0: int, x0: int, height: int, width: int, pixel: float):
    covered = np.zeros((y0 + height, x0 + width), int)
    for a, b, c, d in squares((y0, x0, y0 + height, x0 + width), pixel):
        covered[a:c, b:d] += 1
        assert c - a >= min(MIN_SQUARE_PX, height)
        assert d - b >= min(MIN_SQUARE_PX, width)
    assert (covered[y0:, x0:] == 1).all()
    assert covered.sum() == height * width


def test_of_numbers():
    area = np.array([1.0, 1.0, 2.0])
    assert crowding(np.array([0.7, 0.7, 0.7]), area) == pytest.approx(1)
    assert crowding(np.array([2.0, 0.0, 0.0]), area) == pytest.approx(4)
    assert crowding(np.zeros(3), area) == 1


def met(structure: str, seed: int) -> tuple[float, float]:
    """Return the measured density that the emitters meet, and the true one, in squares of 2.5 um."""
    conditions = HeterogeneousConditions(structure, 1, 10.0, (0.5, 0.5), (8.0, 8.0), n_frames=30)
    field = heterogeneous_field(conditions, torch.Generator().manual_seed(seed))
    profile = measure_patch(field.frames, 100.0, psf_sigma_px=1.15)
    counts, *_ = np.histogram2d(field.truth.y_nm, field.truth.x_nm, bins=4, range=[[0, 1e4], [0, 1e4]])
    density = counts / 30 / 2.5**2
    return profile.met_density_per_um2, float((density**2).sum() / density.sum())


def test_on_simulated_structures():
    pairs = {name: [met(name, seed) for seed in range(4)] for name in ("uniform", "mitochondria")}
    ratio = {name: np.median([found / true for found, true in values]) for name, values in pairs.items()}
    # Dim emitters, on for a part of a frame, count as true ones but are not seen.
    assert 0.6 < ratio["uniform"] < 1.2
    assert 0.4 < ratio["mitochondria"] < 1.2
    assert np.mean(pairs["mitochondria"]) > 1.3 * np.mean(pairs["uniform"])


def test_uniform_fields_are_not_crowded_and_the_profile_says_the_same_as_the_patch():
    conditions = HeterogeneousConditions("uniform", 1, 10.0, (1.0, 1.0), (6.0, 6.0), n_frames=20)
    field = heterogeneous_field(conditions, torch.Generator().manual_seed(3))
    profile = profile_movie(ArrayMovie(field.frames), OpticalSystem(100.0))
    patch = measure_patch(field.frames, 100.0, profile.psf_sigma_px)
    assert 1 <= patch.crowding < 1.15
    assert profile.whole.crowding == pytest.approx(patch.crowding, rel=0.01)
