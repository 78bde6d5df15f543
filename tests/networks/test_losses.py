import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from autods.networks.losses import blur, deepstorm_loss, gaussian_kernel


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
