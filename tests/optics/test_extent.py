import math

import pytest
import torch

from autods.core import UserError
from autods.optics import AstigmaticGaussianPSF, DefocusCurve, GaussianPSF
from autods.optics.extent import informative_size_px, peak_per_photon, region_size_px


def test_the_region_of_a_gaussian_holds_the_light_that_was_asked_for():
    psf = GaussianPSF(100.0, 250.0)
    size = region_size_px(psf, -100.0, 100.0, fraction=0.95)
    shares = [float(psf(torch.zeros(1, 3), n).sum()) for n in (size - 2, size)]
    assert shares[0] < 0.95 <= shares[1] + 1e-6


def test_the_widest_depth_decides_the_region_and_the_sharpest_the_peak():
    psf = AstigmaticGaussianPSF(100.0, DefocusCurve(120, -200, 300), DefocusCurve(120, 200, 300))
    assert region_size_px(psf, -100.0, 100.0) < region_size_px(psf, -100.0, 900.0)
    middle = psf(torch.zeros(1, 3), 31).max()
    assert peak_per_photon(psf, -600.0, 600.0) == pytest.approx(float(middle), rel=0.02)
    sharp = GaussianPSF(100.0, 110.0)
    expected = math.erf(50 / 110 / math.sqrt(2)) ** 2
    assert peak_per_photon(sharp, 0.0, 1.0) == pytest.approx(expected, rel=1e-4)


def test_reversed_depths_are_refused():
    with pytest.raises(UserError, match="z_max_nm"):
        region_size_px(GaussianPSF(100.0, 120.0), 100.0, -100.0)


def test_a_window_that_tells_the_position_leaves_out_light_that_tells_nothing():
    narrow = GaussianPSF(100.0, 120.0)
    size = informative_size_px(narrow, -100.0, 100.0)
    assert 5 <= size <= 13

    class Haloed(torch.nn.Module):
        pixel_size_nm = 100.0

        def forward(self, xyz_nm: torch.Tensor, size_px: int) -> torch.Tensor:
            return 0.7 * narrow(xyz_nm, size_px) + 0.3 * GaussianPSF(100.0, 1200.0)(xyz_nm, size_px)

    assert informative_size_px(Haloed(), -100.0, 100.0) <= size + 4 < region_size_px(Haloed(), -100.0, 100.0)
