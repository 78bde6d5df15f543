import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.special import gamma, gammainc

from autods.metrics.decorrelation import decorrelation_resolution

PIXEL_NM = 20.0


def band_limited_points(cutoff, transfer, noise, seed=0, shape=(256, 300)):
    """Random points through a transfer function that ends at the cutoff (of Nyquist), plus white noise."""
    rng = np.random.default_rng(seed)
    points = rng.poisson(0.02, shape).astype(float)
    radius = 2 * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]) / cutoff
    if transfer == "disc":
        response = (radius <= 1).astype(float)
    else:
        inside = np.clip(radius, 0, 1)
        response = 2 / np.pi * (np.arccos(inside) - inside * np.sqrt(1 - inside**2))
    image = np.fft.ifft2(np.fft.fft2(points) * response).real
    return image + rng.normal(0, noise * image.max(), shape)


@pytest.mark.parametrize("cutoff", [0.15, 0.3, 0.5, 0.7])
@pytest.mark.parametrize(
    ("transfer", "noise"), [("disc", 1e-3), ("disc", 2e-2), ("airy", 1e-3), ("airy", 1e-2)]
)
def test_known_cutoff(cutoff, transfer, noise):
    result = decorrelation_resolution(band_limited_points(cutoff, transfer, noise), PIXEL_NM)
    assert result.resolution_nm == pytest.approx(2 * PIXEL_NM / cutoff, rel=0.15)


def gaussian_resolution(order):
    """Resolution, in sigma, of structure with |I| ~ u^order exp(-u) under the strongest high-pass.

    u = 2 (pi sigma f)^2, the high-pass is ~ u, and d(r) peaks where |I| is half its mean over the disc:
    white structure (order 1) gives 2.49 sigma, close to the full width at half maximum, 2.35 sigma; lines,
    whose amplitude falls as 1/sqrt(f) (order 3/4), give 2.68 sigma.
    """

    def excess(u):
        return 2 * u ** (order + 1) * np.exp(-u) - gammainc(order + 1, u) * gamma(order + 1)

    return np.sqrt(2) * np.pi / np.sqrt(brentq(excess, 1.5, 10))


@pytest.mark.parametrize("sigma_px", [2.0, 3.0, 5.0])
def test_points_under_a_gaussian(sigma_px):
    points = np.random.default_rng(0).poisson(0.02, (300, 300)).astype(float)
    result = decorrelation_resolution(gaussian_filter(points, sigma_px), PIXEL_NM)
    assert result.resolution_nm == pytest.approx(gaussian_resolution(1) * sigma_px * PIXEL_NM, rel=0.05)
    assert result.resolution_nm == pytest.approx(np.sqrt(8 * np.log(2)) * sigma_px * PIXEL_NM, rel=0.1)


@pytest.mark.parametrize("sigma_nm", [30.0, 50.0])
def test_filaments_under_a_gaussian(sigma_nm):
    rng = np.random.default_rng(1)
    ends = rng.uniform(0.1, 0.9, (12, 2, 2)) * 6000
    line, along = rng.integers(0, 12, 20_000), rng.random((20_000, 1))
    xy = ends[line, 0] * (1 - along) + ends[line, 1] * along
    image = np.histogram2d(xy[:, 1], xy[:, 0], bins=600, range=[[0, 6000], [0, 6000]])[0]
    result = decorrelation_resolution(gaussian_filter(image, sigma_nm / 10), 10.0)
    assert result.resolution_nm == pytest.approx(gaussian_resolution(0.75) * sigma_nm, rel=0.1)


def test_amplitude_grows_with_signal():
    noisy, clean = (
        decorrelation_resolution(band_limited_points(0.4, "airy", noise), PIXEL_NM) for noise in (0.2, 0.01)
    )
    assert clean.amplitude > noisy.amplitude


def test_direct_evaluation_of_the_function():
    """Independent reference: the paper's correlation, pixel by pixel, at some radii."""
    image = band_limited_points(0.4, "airy", 0.01)
    result = decorrelation_resolution(image, PIXEL_NM)
    ramp = np.sin(np.linspace(0, np.pi / 2, 20)) ** 2
    windows = [np.concatenate([ramp, np.ones(side - 40), ramp[::-1]]) for side in image.shape]
    spectrum = np.fft.fft2((image - image.mean()) * np.outer(*windows))
    radius = 2 * np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None])
    phase = np.where(radius > 0, spectrum / np.abs(spectrum), 0)
    inside = (radius < 1) & (radius > 0)
    norm = np.sqrt((np.abs(spectrum[inside]) ** 2).sum())
    for index in (10, 25, 40):
        disc = inside & (radius < result.radius[index])
        value = (spectrum[disc] * phase[disc].conj()).real.sum() / norm / np.sqrt(disc.sum())
        assert result.curve[index] == pytest.approx(value, rel=0.01)


def test_flat_image_has_no_resolution():
    assert np.isnan(decorrelation_resolution(np.zeros((64, 64)), PIXEL_NM).resolution_nm)
