import numpy as np
import pytest
import torch

from autods.calibration.quality import (
    masked_correlation,
    remove_focus,
    slice_correlation,
)
from autods.optics import ScalarPSF
from autods.optics.phase_masks import zernike_mask
from autods.optics.pupil import Pupil
from tests.calibration.pupils import compare_pupils, conjugate_twin
from tests.calibration.simulated import OPTICS, known_phase

PUPIL = Pupil.sample(OPTICS, 48)


def test_correlation_is_numpys_and_ignores_scale_and_offset():
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 3, 9, 9))
    expected = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(slice_correlation(a, b), expected)
    np.testing.assert_allclose(slice_correlation(a, 3 * a + 7), 1)
    assert slice_correlation(a, np.ones_like(a)).max() == 0


def test_masking_removes_the_noise_of_the_background():
    rows, columns = np.mgrid[:41, :41] - 20.0
    spot = 100 * np.exp(-(rows**2 + columns**2) / 8)[None]
    noisy = spot + np.random.default_rng(1).normal(0, 5, spot.shape)
    assert masked_correlation(spot, noisy)[0] > slice_correlation(spot, noisy)[0] + 0.02


def test_the_twin_gives_the_same_images_upside_down():
    phase = known_phase("zernike")
    z = torch.tensor([-600.0, -200.0, 300.0])
    still = torch.zeros(3, 3)
    images = ScalarPSF(OPTICS, phase)(still, 31, z)
    twins = ScalarPSF(OPTICS, conjugate_twin(phase))(still, 31, -z)
    assert torch.allclose(images, twins, atol=1e-6)


def test_comparison_ignores_position_focus_and_wraps():
    phase = known_phase("zernike")
    moved = phase + 0.7 + 2.0 * PUPIL.u - 1.0 * PUPIL.v - 500 * PUPIL.kz_immersion
    wrapped = torch.angle(torch.exp(1j * moved))
    assert compare_pupils(wrapped, phase, PUPIL).rms_waves < 1e-3


def test_comparison_measures_a_difference_and_finds_the_twin():
    phase = known_phase("zernike")
    other = phase + zernike_mask(PUPIL, {12: 0.07})
    difference = compare_pupils(other, phase, PUPIL)
    # The sample cuts the pupil at 1.33 / 1.4 of its radius, where the mode is not orthonormal any more.
    assert difference.rms_waves == pytest.approx(0.05, abs=0.02)
    assert not difference.is_twin
    assert compare_pupils(conjugate_twin(phase), phase, PUPIL).is_twin


def test_position_and_focus_are_split_off():
    phase = known_phase("zernike")
    k = 2 * np.pi / 670 * PUPIL.na_axis
    moved = remove_focus(phase, PUPIL)[0] + 40 * k - 25 * k[:, None] - 300 * PUPIL.kz_immersion
    rest, coefficients = remove_focus(moved, PUPIL)
    np.testing.assert_allclose(coefficients[1:].numpy(), [40, -25, 300], rtol=1e-2, atol=1)
    assert (rest - remove_focus(phase, PUPIL)[0])[PUPIL.aperture > 0].std() < 0.02
