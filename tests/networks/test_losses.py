import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from autods.networks.losses import (
    blur,
    blur_volumes,
    deepstorm_loss,
    gaussian_kernel,
    kde_loss,
    volume_mse,
)


def test_blur_is_a_gaussian_filter_of_peak_one():
    image = torch.rand((1, 1, 40, 40), generator=torch.Generator().manual_seed(0))
    image[..., :8, :] = image[..., -8:, :] = 0
    image[..., :, :8] = image[..., :, -8:] = 0
    expected = gaussian_filter(image[0, 0].numpy(), 1.0, radius=3, mode="constant")
    ours = blur(image, gaussian_kernel(1.0, 3))[0, 0].numpy()
    assert ours == pytest.approx(expected * ours.sum() / expected.sum(), abs=1e-5)
    assert ours.sum() / expected.sum() == pytest.approx(2 * math.pi, rel=0.01)


def test_the_right_spikes_cost_only_sparsity():
    kernel = gaussian_kernel(1.0, 3)
    spikes = torch.zeros(1, 1, 20, 20)
    spikes[0, 0, 10, 7] = 100.0
    terms = deepstorm_loss(spikes, blur(spikes, kernel), kernel)
    assert float(terms["mse"]) == 0
    assert float(terms["sparsity"]) == pytest.approx(100 / 400)
    nothing = deepstorm_loss(torch.zeros_like(spikes), blur(spikes, kernel), kernel)
    assert float(nothing["mse"]) == pytest.approx(100**2 * math.pi / 400, rel=0.01)


def test_gradcheck():
    kernel = gaussian_kernel(1.0, 2).double()
    prediction = torch.rand((1, 1, 5, 6), dtype=torch.double, requires_grad=True)
    target = torch.rand((1, 1, 5, 6), dtype=torch.double)
    assert torch.autograd.gradcheck(lambda p: sum(deepstorm_loss(p, target, kernel).values()), prediction)


def test_volumes_are_blurred_along_each_axis():
    volume = torch.rand((2, 6, 7, 8), generator=torch.Generator().manual_seed(0))
    kernel = gaussian_kernel(1.0, 3)
    for one, blurred in zip(volume, blur_volumes(volume, kernel), strict=True):
        expected = gaussian_filter(one.numpy(), 1.0, radius=3, mode="constant") * float(kernel.sum()) ** 3
        assert blurred.numpy() == pytest.approx(expected, rel=1e-4)


def test_volume_losses_against_their_definitions():
    generator = torch.Generator().manual_seed(0)
    one, two = torch.rand((2, 3, 4, 5, 6), generator=generator)
    assert float(volume_mse(one, two, 30)) == pytest.approx(
        float(((one - two) ** 2).sum()) / 3 / 0.3, rel=1e-5
    )
    kernel = gaussian_kernel(0.8, 2)
    expected = ((blur_volumes(one, kernel) - blur_volumes(two, kernel)) ** 2).sum() / 3 / 0.3
    assert float(kde_loss(one, two, kernel, 30)) == pytest.approx(float(expected), rel=1e-4)


def test_gradcheck_of_volume_losses():
    prediction = torch.rand((1, 3, 4, 5), dtype=torch.double, requires_grad=True)
    target = torch.rand((1, 3, 4, 5), dtype=torch.double)
    kernel = gaussian_kernel(1.0, 1).double()
    assert torch.autograd.gradcheck(lambda p: volume_mse(p, target, 20), prediction)
    assert torch.autograd.gradcheck(lambda p: kde_loss(p, target, kernel, 20), prediction)
