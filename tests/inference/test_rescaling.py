import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from autods.core import OpticalSystem, UserError
from autods.inference.rescaling import Rescaling, _mirror_index, plan_rescaling


def spot(shape, x, y, sigma, photons=1000.0):
    """Pixel-integrated Gaussian, written apart from the package."""

    def axis(n, centre):
        edge = (np.arange(n + 1) - centre) / (sigma * math.sqrt(2))
        return 0.5 * np.diff(erf(edge))

    return torch.from_numpy(photons * axis(shape[0], y)[:, None] * axis(shape[1], x)[None, :])


def centre_and_width(image):
    """Centroid in corner pixels and standard deviation along both axes."""
    total = image.sum()
    y = torch.arange(image.shape[0]) + 0.5
    x = torch.arange(image.shape[1]) + 0.5
    cx, cy = (image.sum(0) * x).sum() / total, (image.sum(1) * y).sum() / total
    sx = ((image.sum(0) * (x - cx) ** 2).sum() / total).sqrt()
    sy = ((image.sum(1) * (y - cy) ** 2).sum() / total).sqrt()
    return float(cx), float(cy), float(sx), float(sy)


def test_eq_2_directions():
    wide = OpticalSystem(100.0, 670.0, 1.0).airy_sigma_px
    narrow = OpticalSystem(150.0, 560.0, 1.4).airy_sigma_px
    model = OpticalSystem(110.0, 670.0, 1.4).airy_sigma_px
    smaller = plan_rescaling(wide, model)
    assert smaller.blur_sigma_px == 0
    # c cancels: the zoom is the ratio of wavelength / (NA * pixel size).
    assert smaller.zoom == pytest.approx((670 / (1.4 * 110)) / (670 / (1.0 * 100)))
    larger = plan_rescaling(narrow, model)
    assert larger.zoom == 1
    assert larger.blur_sigma_px == pytest.approx(math.sqrt(model**2 - narrow**2))


@pytest.mark.parametrize(("movie", "model"), [(1.0, 1.0), (1.0, 1.04), (1.04, 1.0)])
def test_equal_widths_within_the_tolerance_pass_unchanged(movie, model):
    assert plan_rescaling(movie, model).is_identity
    frames = torch.rand(2, 5, 7)
    assert plan_rescaling(movie, model).apply(frames) is frames


def test_turned_off():
    assert plan_rescaling(3.0, 1.0, enabled=False).is_identity


def test_absurd_optics_are_refused():
    with pytest.raises(UserError, match="pixel_size_nm"):
        plan_rescaling(30.0, 1.0)
    with pytest.raises(ValueError, match="positive"):
        plan_rescaling(float("nan"), 1.0)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.35, 0.95),
    st.floats(8.0, 22.0),
    st.floats(1.2, 2.0),
    st.integers(28, 40),
    st.integers(41, 60),
    st.integers(1, 8),
)
def test_zoomed_position_maps_back_exactly(zoom, x, sigma, height, width, multiple):
    """A known emitter off-centre in x only, non-square frames, any zoom: no half pixel, no swap."""
    sigma = sigma / zoom  # the model's PSF stays sampled
    y = height / 2
    height += int(4 * sigma)
    image = spot((height, width + int(8 * sigma)), x + 3 * sigma, y + 2 * sigma, sigma)
    rescaling = Rescaling(zoom=zoom)
    out = rescaling.apply(image[None], multiple=multiple)[0]
    assert out.shape[0] % multiple == 0
    assert out.shape[1] % multiple == 0
    assert out.shape[0] >= zoom * image.shape[0] - 1e-9
    # Beyond the frame lies its mirror image, with the mirrored emitter's tail: look at the emitter only.
    box = math.ceil(4.5 * sigma * zoom)
    row, col = int((y + 2 * sigma) * zoom), int((x + 3 * sigma) * zoom)
    top, left = max(row - box, 0), max(col - box, 0)
    found_x, found_y, width_x, width_y = centre_and_width(out[top : row + box, left : col + box])
    back = np.array([found_x + left, found_y + top]) / rescaling.zoom
    assert back[0] == pytest.approx(x + 3 * sigma, abs=0.02 * sigma)
    assert back[1] == pytest.approx(y + 2 * sigma, abs=0.02 * sigma)
    assert width_x == pytest.approx(sigma * zoom, rel=0.06)
    assert width_y == pytest.approx(sigma * zoom, rel=0.06)


@pytest.mark.parametrize("model", [1.06, 1.2, 1.5, 2.2])
def test_blur_gives_the_models_width_and_keeps_place_and_photons(model):
    image = spot((41, 57), 20.3, 20.5, 1.0)
    out = plan_rescaling(1.0, model).apply(image[None])[0]
    x, y, width_x, width_y = centre_and_width(out)
    assert (x, y) == pytest.approx((20.3, 20.5), abs=1e-4)
    pixel = 1 / 12  # the pixel's own variance
    assert width_x == pytest.approx(math.sqrt(model**2 + pixel), rel=5e-3)
    assert width_y == pytest.approx(width_x, rel=1e-6)
    assert float(out.sum()) == pytest.approx(1000, rel=1e-6)


def test_a_constant_stays_constant_also_in_frames_smaller_than_the_kernel():
    for rescaling in (Rescaling(zoom=0.37), Rescaling(blur_sigma_px=2.5)):
        out = rescaling.apply(torch.full((1, 3, 5), 7.0, dtype=torch.float64), multiple=4)
        assert torch.allclose(out, torch.full_like(out, 7.0))


def test_downsampling_averages_the_noise():
    noise = torch.randn(20, 100, 100, generator=torch.Generator().manual_seed(0))
    assert float(Rescaling(zoom=0.5).apply(noise).std()) < 0.6


@pytest.mark.parametrize(
    "rescaling", [Rescaling(zoom=0.45), Rescaling(zoom=0.8), Rescaling(blur_sigma_px=0.8)]
)
def test_noise_is_what_a_filter_of_the_psfs_shape_makes_of_it(rescaling):
    """Correlated noise counts by how it looks to a network that searches PSFs, not by its pixels alone."""
    sigma = 1.3 / rescaling.zoom
    rng = np.random.default_rng(0)
    seen = math.hypot(sigma, rescaling.blur_sigma_px) * rescaling.zoom

    def response(frames):
        inner = gaussian_filter(np.asarray(frames), (0, seen, seen))[:, 10:-10, 10:-10]
        return float(inner.std())

    rescaled = rescaling.apply(torch.from_numpy(rng.normal(size=(20, 160, 160))))
    noise = response(rescaled) / response(rng.normal(size=(20, 160, 160)))
    assert rescaling.noise_std(sigma) == pytest.approx(noise, rel=0.06)
    peak = float(rescaling.apply(spot((81, 81), 40.5, 40.5, sigma)[None]).max())
    before = float(spot((81, 81), 40.5, 40.5, sigma).max())
    assert rescaling.snr_factor(sigma) == pytest.approx(peak / before / noise, rel=0.1)
    assert Rescaling().noise_std(sigma) == 1


def test_padding_continues_by_the_mirror_image():
    frames = torch.rand(1, 1, 10, 13)
    out = Rescaling().apply(frames, multiple=8)
    assert out.shape == (1, 1, 16, 16)
    assert torch.equal(out[..., :10, :13], frames)
    assert torch.equal(out[..., 10:, :13], frames[..., 4:, :].flip(-2))


def test_margin_covers_the_networks_context():
    assert Rescaling().margin_px(8) == 8
    assert Rescaling(zoom=0.5).margin_px(8) == 20
    assert Rescaling(blur_sigma_px=1.0).margin_px(8) == 11


@given(st.integers(1, 40), st.integers(0, 150), st.integers(0, 150))
def test_mirror_is_numpys_symmetric_padding(length, before, after):
    line = np.arange(length)
    expected = np.pad(line, (before, after), mode="symmetric")
    assert (_mirror_index(-before, length + after, length) == expected).all()
