"""Spots by the million: a matrix blurs as a Gaussian filter does; further values are drawn alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from autods.rendering import CUTOFF, blur, in_depth_colors, render_spots


@pytest.mark.parametrize("sigma", [(0.6, 0.6), (2.0, 1.2), (5.0, 9.0)])
@pytest.mark.parametrize("margin", [0, 11])
def test_a_tile_is_blurred_by_a_gaussian(sigma: tuple[float, float], margin: int) -> None:
    image = np.random.default_rng(0).random((2, 90, 70)).astype(np.float32)
    expected = image
    for axis, width in enumerate(sigma, start=1):
        expected = gaussian_filter1d(expected, width, axis, mode="constant", truncate=CUTOFF)
    found = blur(image, sigma, margin)
    assert np.allclose(found, expected[:, margin : 90 - margin, margin : 70 - margin], atol=1e-6)


def test_a_large_picture_is_blurred_alike() -> None:
    image = np.zeros((600, 40), np.float32)
    image[300, 20] = 1.0
    small = blur(image[200:400], (4.0, 2.0))
    # Three running means are within three percent of the peak of a Gaussian.
    assert np.abs(blur(image, (4.0, 2.0))[200:400] - small).max() < 0.03 * small.max()


@pytest.mark.parametrize("number", [50, 30_000])
def test_values_are_drawn_where_the_spots_are(number: int) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(20, 180, number).astype(np.float32) for _ in range(2))
    sigma = rng.uniform(0.6, 6, number).astype(np.float32)
    counts, depths = render_spots(x, y, sigma, sigma, (200, 200), [np.full(number, 0.25, np.float32)])
    assert counts.sum() == pytest.approx(number, rel=0.02)
    lit = counts > 1e-3 * counts.max()
    assert np.allclose(depths[lit] / counts[lit], 0.25, atol=1e-3)
    colors = in_depth_colors(counts, depths)
    assert np.ptp(colors[lit] / counts[lit, None], axis=0).max() < 1e-3
