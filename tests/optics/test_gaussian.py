import pytest
import torch

from autods.core import UserError
from autods.optics import AstigmaticGaussianPSF, DefocusCurve, GaussianPSF


def test_pixel_integral_is_that_of_a_fine_sum():
    psf = GaussianPSF(100.0, 120.0)
    image = psf(torch.tensor([[30.0, -20.0, 0.0]]), 9)[0].double()
    fine = (torch.arange(9 * 50, dtype=torch.float64) - (9 * 50 - 1) / 2) * 2.0
    density = torch.exp(-((fine[None] - 30) ** 2 + (fine[:, None] + 20) ** 2) / (2 * 120**2))
    expected = (density / density.sum()).reshape(9, 50, 9, 50).sum((1, 3))
    inside = GaussianPSF(100.0, 120.0)(torch.tensor([[30.0, -20.0, 0.0]]), 9).sum()
    assert torch.allclose(image, expected * inside, atol=1e-4)


def test_widths_follow_their_curves():
    x, y = DefocusCurve(130, -200, 300, 0.05, 0.03), DefocusCurve(120, 200, 290)
    psf = AstigmaticGaussianPSF(50.0, x, y)
    z = torch.tensor([-300.0, 0.0, 250.0])
    images = psf(torch.stack([z * 0, z * 0, z], 1), 61)
    axis = (torch.arange(61) - 30.0) * 50
    for image, depth in zip(images, z, strict=True):
        width_x = ((image.sum(0) * axis**2).sum() / image.sum()).sqrt()
        width_y = ((image.sum(1) * axis**2).sum() / image.sum()).sqrt()
        assert float(width_x) == pytest.approx(float((x(depth) ** 2 + 50**2 / 12).sqrt()), rel=0.01)
        assert float(width_y) == pytest.approx(float((y(depth) ** 2 + 50**2 / 12).sqrt()), rel=0.01)


def test_curve_is_the_published_polynomial():
    curve = DefocusCurve(140, 205, 290, 0.05, 0.03)
    t = (100 - 205) / 290
    expected = 140 * (1 + t**2 + 0.05 * t**3 + 0.03 * t**4) ** 0.5
    assert float(curve(torch.tensor(100.0))) == pytest.approx(expected, rel=1e-5)


def test_a_polynomial_below_zero_keeps_a_width():
    curve = DefocusCurve(140, 0, 100, -3.0, 0.0)
    assert float(curve(torch.tensor(1000.0))) >= 0.29 * 140


@pytest.mark.parametrize(("sigma", "depth"), [(0, 300), (130, 0), (-1, 300)])
def test_widths_and_depths_must_be_positive(sigma, depth):
    with pytest.raises(UserError, match="above 0"):
        DefocusCurve(sigma, 0, depth)
