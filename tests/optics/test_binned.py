"""Larger pixels are sums of smaller ones."""

import pytest
import torch

from autods.core import OpticalSystem
from autods.optics import PSF_MODELS, PSFModel
from autods.optics.binned import BinnedPSF, summed

_PSF = PSF_MODELS["astigmatism"](OpticalSystem(80, 670, 1.4))


@pytest.mark.parametrize("bin_px", [1, 2, 3])
@pytest.mark.parametrize("size", [8, 9])
def test_an_image_is_that_of_the_camera_summed(bin_px, size):
    binned = BinnedPSF(_PSF, bin_px)
    assert isinstance(binned, PSFModel)
    assert binned.pixel_size_nm == 80 * bin_px
    place = torch.tensor([[30.0, -50.0, 200.0], [0.0, 0.0, -200.0]])
    fine = _PSF(place, size * bin_px)
    coarse = binned(place, size)
    assert coarse.shape == (2, size, size)
    expected = fine.view(2, size, bin_px, size, bin_px).sum((2, 4))
    torch.testing.assert_close(coarse, expected, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("bin_px", [2, 3])
def test_an_emitter_moves_as_far_as_in_the_camera(bin_px):
    binned = BinnedPSF(_PSF, bin_px)
    axis = (torch.arange(31.0) - 15) * binned.pixel_size_nm
    still, right, down = binned(torch.tensor([[0.0, 0, 100], [90, 0, 100], [0, 90, 100]]), 31)
    for moved, x, y in ((right, 90, 0), (down, 0, 90)):
        assert float((moved.sum(0) / moved.sum() - still.sum(0) / still.sum()) @ axis) == pytest.approx(
            x, abs=6
        )
        assert float((moved.sum(1) / moved.sum() - still.sum(1) / still.sum()) @ axis) == pytest.approx(
            y, abs=6
        )


def test_what_fills_no_square_is_left_out():
    images = torch.arange(35.0).view(1, 5, 7)
    assert torch.equal(
        summed(images, 2)[0, 0], torch.tensor([0 + 1 + 7 + 8, 2 + 3 + 9 + 10, 4 + 5 + 11 + 12.0])
    )
    assert summed(images, 3).shape == (1, 1, 2)
