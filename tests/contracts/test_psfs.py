"""What every PSF model keeps, whatever its physics."""

import pytest
import torch

from autods.core import OpticalSystem
from autods.optics import PSF_MODELS, PSFModel

OPTICS = OpticalSystem(110, 670, 1.4)


@pytest.fixture(params=sorted(PSF_MODELS), scope="module")
def psf(request):
    return PSF_MODELS[request.param](OPTICS)


def emitters(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def centre_of_mass_nm(image):
    axis = (torch.arange(image.shape[-1]) - (image.shape[-1] - 1) / 2) * OPTICS.pixel_size_nm
    return (image.sum(0) * axis).sum() / image.sum(), (image.sum(1) * axis).sum() / image.sum()


def test_is_a_psf_model(psf):
    assert isinstance(psf, PSFModel)
    assert isinstance(psf, torch.nn.Module)
    assert psf.pixel_size_nm == 110


@pytest.mark.parametrize("size", [20, 21])
def test_shape_type_and_sign(psf, size):
    images = psf(emitters([0, 0, 0], [40, -30, 200], [0, 0, -200]), size)
    assert images.shape == (3, size, size)
    assert images.dtype == torch.float32
    assert images.min() > -2e-3 * images.max()
    assert torch.isfinite(images).all()


def test_almost_all_light_falls_into_a_wide_region(psf):
    total = psf(emitters([0, 0, 0]), 81).sum()
    assert 0.9 < total <= 1.005


def test_x_runs_along_columns_and_y_along_rows(psf):
    still, right, down = psf(emitters([0, 0, 100], [80, 0, 100], [0, 80, 100]), 81)
    x0, y0 = centre_of_mass_nm(still)
    x1, y1 = centre_of_mass_nm(right)
    x2, y2 = centre_of_mass_nm(down)
    assert x1 - x0 == pytest.approx(80, abs=6)
    assert y1 - y0 == pytest.approx(0, abs=3)
    assert x2 - x0 == pytest.approx(0, abs=3)
    assert y2 - y0 == pytest.approx(80, abs=6)


def test_a_shift_by_one_pixel_shifts_the_image(psf):
    still, moved = psf(emitters([10, 20, 150], [120, 20, 150]), 31)
    assert torch.allclose(still[:, :-1], moved[:, 1:], atol=3e-3 * float(still.max()))


def test_even_regions_are_centred_on_a_corner(psf):
    odd = psf(emitters([55, 55, 100]), 21)[0]
    even = psf(emitters([0, 0, 100]), 22)[0]
    assert torch.allclose(odd, even[:21, :21], atol=2e-3 * float(odd.max()))


def test_emitters_do_not_influence_each_other(psf):
    both = psf(emitters([0, 0, 0], [30, 10, 300]), 15)
    alone = psf(emitters([30, 10, 300]), 15)
    assert torch.allclose(both[1:], alone, atol=1e-6)


def test_no_emitters_give_no_images(psf):
    assert psf(torch.zeros(0, 3), 11).shape == (0, 11, 11)


def test_gradient_agrees_with_finite_differences(psf):
    weights = torch.linspace(-1, 1, 17)[:, None] * torch.linspace(0.3, 1, 17)
    position = emitters([20, -35, 140]).requires_grad_()
    (psf(position, 17) * weights).sum().backward()
    for axis in range(3):
        step = torch.zeros(1, 3)
        step[0, axis] = 5.0
        with torch.no_grad():
            difference = ((psf(position + step, 17) - psf(position - step, 17)) * weights).sum() / 10
        scale = float(position.grad.abs().max())
        assert float(position.grad[0, axis]) == pytest.approx(float(difference), abs=0.03 * scale)
