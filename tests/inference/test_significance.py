"""The significance that a localization must have falls with the density round it."""

from __future__ import annotations

import numpy as np
import pytest

from autods.inference import required_significance

SIGMA_PX = 1.1
SHAPE = (40, 100, 100)


def scattered(density_per_px: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    n = random.poisson(density_per_px * np.prod(SHAPE))
    return random.uniform(0, SHAPE[2], n), random.uniform(0, SHAPE[1], n)


def required(x, y, significance: float, expected: float, snr: float = 5.0, **others) -> np.ndarray:
    field = {"shape": SHAPE, "psf_sigma_px": SIGMA_PX} | others
    per_row = (np.full(len(x), value) for value in (significance, expected, snr))
    return required_significance(x, y, *per_row, **field)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_it_falls_with_the_density_found_whatever_was_expected(factor: float):
    densities = [0.0005, 0.002, 0.008, 0.03, 0.1]  # per pixel: 0.05 to 10 per um^2 at 100 nm
    medians = [np.median(required(*scattered(d), 5.0, factor * d)) for d in densities]
    assert medians == sorted(medians, reverse=True)
    assert 3 < medians[0] < 5
    assert medians[-1] < 0.5


def test_what_noise_may_have_left_does_not_count():
    x, y = scattered(0.03)
    assert np.median(required(x, y, 1.0, 0.001)) > np.median(required(x, y, 5.0, 0.001)) + 0.6
    # Nor do those that could be noise at all: false ones must not make way for more of them.
    assert np.array_equal(required(x, y, 4.0, 0.001), required(x, y, 1.0, 0.001))


def test_bright_emitters_ask_for_more_than_dim_ones():
    place = scattered(0.002)
    limits = [np.median(required(*place, 5.0, 0.002, snr)) for snr in (1.5, 3.0, 6.0, 12.0, 50.0)]
    assert limits == sorted(limits)
    assert limits[-1] > limits[0] + 0.3
    # Even the dimmest are not looked for below what noise alone makes.
    assert limits[0] > 3.5
    unknown = np.median(required(*place, 5.0, 0.002, np.nan))
    assert limits[3] <= unknown < limits[4]


def test_crowded_places_of_a_sparse_field_ask_for_less():
    x, y = scattered(0.001)
    line = np.linspace(10, 90, 2000)
    places = np.append(x, line), np.append(y, np.full(2000, 50.0))
    limit = required(*places, 5.0, 0.002)
    away = np.abs(y - 50) > 5
    assert limit[len(x) :].max() < limit[: len(x)][away].min()


def test_the_edge_of_the_field_asks_for_no_more_than_its_middle():
    x, y = scattered(0.02, seed=3)
    limit = required(x, y, 5.0, 0.02)
    edge = (x < 1) | (x > 99)
    assert np.mean(limit[edge]) == pytest.approx(np.mean(limit[~edge]), abs=0.15)


def test_it_does_not_depend_on_the_pixel():
    x, y = scattered(0.01)
    finer = required(2 * x, 2 * y, 5.0, 0.01 / 4, shape=(40, 200, 200), psf_sigma_px=2 * SIGMA_PX)
    np.testing.assert_allclose(finer, required(x, y, 5.0, 0.01), atol=1e-9)


def test_nothing_found_and_nothing_expected():
    assert len(required(np.zeros(0), np.zeros(0), 5.0, 0.0)) == 0
    alone = required(np.array([50.0]), np.array([50.0]), 5.0, 0.0)
    assert 4 < alone[0] < 6
