"""Read noise from the finest structure of the darker pixels, whatever shines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from autods.estimation.read_noise import read_noise_photons


@pytest.mark.parametrize("true", [0.0, 1.5, 4.5, 12.0])
@pytest.mark.parametrize("shot", [1.0, 2.0])
@pytest.mark.parametrize("density", [0.002, 0.04])
def test_what_light_does_not_explain_is_read_noise(true: float, shot: float, density: float) -> None:
    rng = np.random.default_rng(0)
    emitters = 2000.0 * (rng.random((80, 64, 64)) < density)
    light = 30 + ndimage.gaussian_filter(emitters, (0, 1.3, 1.3))
    photons = rng.poisson(light / shot) * shot + rng.normal(0, true, light.shape)
    found = read_noise_photons(photons.astype(np.float32), shot)
    # Of the variance a part is known: that of the light's own noise with what it spoils.
    spoilt = 0.15 * shot * float(np.quantile(light, 0.25))
    assert abs(found**2 - true**2) < 0.12 * true**2 + spoilt


def test_too_few_pixels_tell_nothing() -> None:
    assert read_noise_photons(np.zeros((2, 8, 8), np.float32), 1.0) == 0.0
