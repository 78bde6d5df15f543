import time

import numpy as np
import pytest
import torch

from autods.core import OpticalSystem, UserError
from autods.optics import ScalarPSF, SplinePSF, tabulate
from autods.optics.registry import astigmatism_psf
from autods.optics.spline import cubic_bspline


def positions(count, pixel_nm, reach_nm, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor(
        [pixel_nm, pixel_nm, 2 * reach_nm]
    )


@pytest.mark.parametrize(
    ("optics", "oversampling", "limit"),
    [
        (OpticalSystem(110, 670, 1.45), 1, 0.01),
        (OpticalSystem(110, 670, 1.45), 2, 0.001),
        (OpticalSystem(160, 600, 1.4), 2, 0.01),
    ],
)
def test_error_against_the_exact_model_is_below_one_percent_of_the_peak(optics, oversampling, limit):
    exact = astigmatism_psf(optics, blur_sigma_nm=60.0)
    fast = tabulate(exact, -700, 700, 50.0, 45, oversampling)
    xyz = positions(128, optics.pixel_size_nm, 700)
    with torch.no_grad():
        expected, images = exact(xyz, 41), fast(xyz, 41)
    error = (images - expected).abs().amax((1, 2)) / expected.amax((1, 2))
    assert error.max() < limit


@pytest.mark.slow
def test_renders_at_least_five_thousand_emitters_a_second():
    exact = astigmatism_psf(OpticalSystem(110, 670, 1.45))
    fast = tabulate(exact, -700, 700, 50.0, 45)
    xyz = positions(1024, 110, 700)
    with torch.no_grad():
        fast(xyz, 41)
        start = time.process_time()
        fast(xyz, 41)
        seconds = time.process_time() - start
    # CPU seconds of all threads together: a lower bound of the rate on two cores.
    assert 1024 / seconds > 2500


def test_far_offsets_move_the_table_as_a_whole():
    fast = tabulate(ScalarPSF(OpticalSystem(110, 670, 1.2)), -200, 200, 50.0, 25)
    centre, off = fast(torch.tensor([[0.0, 0.0, 0.0], [550.0, -330.0, 0.0]]), 31)
    assert torch.allclose(torch.roll(centre, (-3, 5), (0, 1))[8:-8, 8:-8], off[8:-8, 8:-8], atol=1e-6)


def test_depths_beyond_the_table_get_its_end():
    fast = tabulate(astigmatism_psf(OpticalSystem(110, 670, 1.2)), -200, 200, 50.0, 25)
    low, high = fast.z_range_nm
    assert low <= -200
    assert high >= 200
    ends, beyond = fast(torch.tensor([[0.0, 0, high], [0.0, 0, high + 500]]), 15)
    assert torch.equal(ends, beyond)


def test_samples_are_reproduced_at_the_nodes():
    generator = np.random.default_rng(1)
    volume = generator.random((6, 9, 9))
    volume[:, [0, -1]] = 0
    volume[:, :, [0, -1]] = 0
    psf = SplinePSF(volume, -50.0, 20.0, 100.0)
    images = psf(torch.tensor([[0.0, 0.0, -50.0 + 20 * k] for k in range(6)]), 9)
    np.testing.assert_allclose(images.numpy(), volume, atol=2e-3)


def test_gradient_in_depth_follows_both_ways_of_evaluation():
    fast = tabulate(astigmatism_psf(OpticalSystem(110, 670, 1.2)), -300, 300, 50.0, 25)
    xyz = torch.tensor([[10.0, 5.0, 63.0]])
    with torch.no_grad():
        plain = fast(xyz, 15)
    assert torch.allclose(plain, fast(xyz.requires_grad_(), 15), atol=1e-7)


def test_bsplines_sum_to_one():
    t = torch.linspace(-0.5, 0.5, 11)
    total = sum(cubic_bspline(t - k) for k in range(-3, 4))
    assert torch.allclose(total, torch.ones_like(t))


@pytest.mark.parametrize("volume", [np.zeros((3, 9, 9)), np.full((6, 9, 9), np.nan), np.zeros((9, 9))])
def test_bad_volumes_are_refused(volume):
    with pytest.raises(UserError, match="do not make a spline PSF"):
        SplinePSF(volume, 0.0, 10.0, 100.0)


@pytest.mark.parametrize("oversampling", [1, 2])
def test_a_cropped_table_renders_the_same_and_slopes_are_derivatives(oversampling):
    psf = astigmatism_psf(OpticalSystem(110, 670, 1.2))
    wide = tabulate(psf, -300, 300, 50.0, 41, oversampling)
    fast = wide.cropped(15 + 4)
    assert fast.coefficients.numel() < 0.4 * wide.coefficients.numel()
    generator = torch.Generator().manual_seed(0)
    xyz = (torch.rand(20, 3, generator=generator) - 0.5) * torch.tensor([420.0, 420.0, 500.0])
    assert torch.equal(fast(xyz, 15), wide(xyz, 15))
    image, *slopes = fast.with_slopes(xyz, 15)
    torch.testing.assert_close(image, fast(xyz, 15))
    for slope, step in zip(slopes, torch.diag(torch.tensor([2.0, 2.0, 5.0])), strict=True):
        expected = (fast(xyz + step, 15) - fast(xyz - step, 15)) / (2 * step.sum())
        assert float((slope - expected).abs().max()) < 1e-3 * float(expected.abs().max())
    beyond = torch.tensor([[0.0, 0.0, fast.z_range_nm[1] + 100]])
    assert not fast.with_slopes(beyond, 15)[3].any()
