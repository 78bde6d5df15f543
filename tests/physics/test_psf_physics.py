"""The optics against physics that was known before it."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import j1

from autods.core import OpticalSystem, UserError
from autods.optics import ScalarPSF, VectorialPSF, crlb
from autods.optics.phase_masks import zernike_mask
from autods.optics.pupil import Pupil
from autods.optics.pupil_psf import dipole_fields, propagation_phase
from autods.optics.registry import PSF_MODELS, astigmatic_gaussian_psf, astigmatism_psf, double_helix_psf


def on_axis(*z):
    return torch.tensor([[0.0, 0.0, float(depth)] for depth in z])


def matched(pixel_nm=20.0, na=1.2):
    return OpticalSystem(pixel_nm, 670, na, n_immersion=1.33, n_sample=1.33)


def airy(size, pixel_nm, wavelength_nm, na, sub=15):
    """Airy pattern integrated over pixels by brute force."""
    axis = (np.arange(size * sub) - (size * sub - 1) / 2) * pixel_nm / sub
    x, y = np.meshgrid(axis, axis)
    v = 2 * math.pi * na / wavelength_nm * np.hypot(x, y) + 1e-12
    density = math.pi * (na / wavelength_nm) ** 2 * (2 * j1(v) / v) ** 2
    return density.reshape(size, sub, size, sub).sum((1, 3)) * (pixel_nm / sub) ** 2


@pytest.mark.parametrize(("pixel_nm", "size"), [(20.0, 61), (110.0, 21), (160.0, 15)])
def test_focus_is_the_airy_pattern_integrated_over_the_pixels(pixel_nm, size):
    image = ScalarPSF(matched(pixel_nm))(on_axis(0.0), size)[0].numpy()
    expected = airy(size, pixel_nm, 670, 1.2)
    assert np.abs(image - expected).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("pupil_px", [48, 64, 128])
def test_energy_does_not_depend_on_the_sampling(pupil_px):
    total = float(ScalarPSF(matched(110.0), pupil_px=pupil_px)(on_axis(0.0), 41).sum())
    assert total == pytest.approx(float(airy(41, 110.0, 670, 1.2).sum()), abs=4e-3)


@pytest.mark.parametrize("kind", [ScalarPSF, VectorialPSF])
def test_positive_x_tilt_moves_to_positive_x_only(kind):
    optics = OpticalSystem(110, 670, 1.3)
    pupil = Pupil.sample(optics)
    waves = 0.25
    image = kind(optics, zernike_mask(pupil, {2: waves}))(on_axis(0.0), 31)[0]
    # Noll's tilt 2 u at `waves` is a phase gradient: shift = 2 * waves * wavelength / NA.
    direct = kind(optics)(torch.tensor([[2 * waves * 670 / 1.3, 0.0, 0.0]]), 31)[0]
    assert torch.allclose(image, direct, atol=2e-3 * float(direct.max()))


def test_defocus_is_symmetric_without_aberration():
    psf = ScalarPSF(matched(100.0))
    below, above = psf(on_axis(-400.0, 400.0), 25)
    assert torch.allclose(below, above, atol=1e-5 * float(above.max()))


def test_moving_the_objective_and_the_emitter_cancel_in_a_matched_medium():
    psf = ScalarPSF(matched(100.0))
    moved = psf(on_axis(700.0), 25, nfp_nm=torch.tensor([700.0]))
    assert torch.allclose(moved, psf(on_axis(0.0), 25), atol=1e-5)


def test_index_mismatch_breaks_the_symmetry_at_depth():
    psf = ScalarPSF(OpticalSystem(100, 670, 1.45, nfp_nm=3000.0))
    images = psf(on_axis(*range(1500, 4200, 50)), 25)
    peaks = images.amax((1, 2))
    best = int(peaks.argmax())
    assert abs(float(peaks[best - 8]) - float(peaks[best + 8])) > 0.1 * float(peaks[best])


def test_vectorial_tends_to_scalar_at_low_aperture():
    optics = OpticalSystem(500, 670, 0.2)
    scalar, vectorial = (kind(optics)(on_axis(0.0, 4000.0), 21) for kind in (ScalarPSF, VectorialPSF))
    assert torch.allclose(scalar, vectorial, atol=0.01 * float(scalar.max()))


def test_vectorial_differs_from_scalar_at_high_aperture():
    optics = OpticalSystem(50, 670, 1.45)
    scalar, vectorial = (kind(optics)(on_axis(0.0), 21).max() for kind in (ScalarPSF, VectorialPSF))
    assert vectorial < 0.9 * scalar


def test_dipole_fields_have_the_symmetry_of_a_dipole():
    optics = OpticalSystem(50, 670, 1.3)
    fields = dipole_fields(Pupil.sample(optics, 32), optics.n_sample, optics.n_immersion)
    # The x dipole in x polarisation is the y dipole in y polarisation with the axes exchanged.
    assert torch.allclose(fields[0], fields[3].T, atol=1e-5)
    assert torch.allclose(fields[1], fields[2], atol=1e-6)
    # An axial dipole sends nothing along the axis.
    assert fields[4][15:17, 15:17].abs().max() < 0.1 * fields[4].abs().max()


def test_supercritical_light_narrows_the_focus_of_a_surface_emitter():
    optics = OpticalSystem(50, 670, 1.45)
    plain, wide = (ScalarPSF(optics, supercritical=flag)(on_axis(0.0), 21).max() for flag in (False, True))
    assert wide > 1.1 * plain


def test_supercritical_light_dies_away_from_the_coverslip():
    psf = ScalarPSF(OpticalSystem(50, 670, 1.45), supercritical=True)
    pupil = psf.pupil
    fields = psf.fields(pupil, propagation_phase(pupil, on_axis(0.0, 100.0, 1000.0), psf.nfp_nm))[:, 0].abs()
    beyond = (pupil.cos_sample.imag > 0.2) & (pupil.aperture == 1)
    surface, near, far = (float(field[beyond].max()) for field in fields)
    assert surface == pytest.approx(1, abs=1e-4)
    assert 0.5 < near < 0.9
    # exp(-k n_s kappa z) at the smallest kappa
    kappa = float(pupil.cos_sample.imag[beyond].min())
    assert far == pytest.approx(math.exp(-2 * math.pi / 670 * 1.33 * kappa * 1000), rel=0.02)


def test_blur_adds_in_quadrature():
    optics = OpticalSystem(50, 670, 0.9)
    sharp, blurred = (ScalarPSF(optics, blur_sigma_nm=b)(on_axis(0.0), 81)[0].sum(0) for b in (0.0, 120.0))
    spectrum = torch.fft.rfft(blurred) / torch.fft.rfft(sharp)
    frequency = torch.fft.rfftfreq(81, 50.0)
    expected = torch.exp(-2 * (math.pi * 120 * frequency) ** 2)
    assert torch.allclose(spectrum.abs()[:8], expected[:8], atol=0.01)


def test_double_helix_turns_with_depth():
    psf = double_helix_psf(OpticalSystem(100, 660, 1.4))
    angles: list[float] = []
    for image in psf(on_axis(-500.0, 0.0, 500.0), 31):
        axis = torch.arange(31) - 15.0
        weight = image * (image > 0.3 * image.max())
        xx, yy = (weight * axis**2).sum(), (weight * axis[:, None] ** 2).sum()
        xy = (weight * axis * axis[:, None]).sum()
        angles.append(0.5 * math.degrees(math.atan2(2 * xy, xx - yy)))
    first, second = ((b - a + 90) % 180 - 90 for a, b in pairwise(angles))
    assert first * second > 0
    assert min(abs(first), abs(second)) > 15


def test_astigmatic_widths_cross_at_the_focus():
    image_low, image_mid, image_high = PSF_MODELS["astigmatism"](matched(100.0))(
        on_axis(-300.0, 0.0, 300.0), 25
    )
    axis = torch.arange(25) - 12.0

    def elongation(image):
        return float((image.sum(0) * axis**2).sum() / (image.sum(1) * axis**2).sum())

    assert elongation(image_mid) == pytest.approx(1, abs=0.03)
    assert (elongation(image_low) - 1) * (elongation(image_high) - 1) < 0


def test_a_psf_without_aperture_or_wavelength_is_refused():
    with pytest.raises(UserError, match=r"optics\.na is not known"):
        ScalarPSF(OpticalSystem(100, 670))
    with pytest.raises(UserError, match=r"optics\.wavelength_nm is not known"):
        ScalarPSF(OpticalSystem(100, None, 1.4))


def gauss_newton(psf, images, start, size):
    """Maximum-likelihood estimates (N, 5) by Fisher scoring."""
    from torch.func import jacfwd, vmap

    def expected(theta):
        return theta[3] * psf(theta[None, :3], size)[0] + theta[4]

    theta = start.clone()
    for _ in range(7):
        mean = vmap(expected)(theta).clamp(min=1e-3).double()
        jacobian = vmap(jacfwd(expected))(theta).double()
        information = torch.einsum("nyxi,nyxj->nij", jacobian / mean[..., None], jacobian)
        score = torch.einsum("nyxi,nyx->ni", jacobian, images / mean - 1)
        scale = information.diagonal(dim1=1, dim2=2).sqrt()
        scaled = information / (scale[:, :, None] * scale[:, None, :])
        step = torch.linalg.solve(scaled, (score / scale)[..., None])[..., 0] / scale
        theta = theta + step.float().clamp(-200, 200)
        theta[:, 3:] = theta[:, 3:].clamp(min=0.1)
    return theta


@pytest.mark.parametrize("model", ["astigmatic_gaussian", "astigmatism"])
def test_maximum_likelihood_reaches_the_bound(model):
    optics = matched(110.0)
    if model == "astigmatic_gaussian":
        psf = astigmatic_gaussian_psf(optics)
    else:
        psf = astigmatism_psf(optics, pupil_px=48)
    count, size = 150, 13
    generator = torch.Generator().manual_seed(3)
    truth = torch.tensor([12.0, -20.0, 120.0, 3000.0, 5.0]).repeat(count, 1)
    with torch.no_grad():
        mean = 3000 * psf(truth[:1, :3], size)[0] + 5
    images = torch.poisson(mean.clamp(min=0).expand(count, -1, -1), generator=generator).double()
    start = truth + torch.randn(count, 5, generator=generator) * torch.tensor([15.0, 15.0, 40.0, 150.0, 0.5])
    with torch.no_grad():
        estimate = gauss_newton(psf, images, start, size)
    bound = crlb(psf, truth[:1, :3], truth[:1, 3], truth[:1, 4], size)[0]
    ratio = (estimate - truth).std(0) / bound
    # The standard deviation of 150 estimates is known to 6 %.
    assert torch.all((ratio > 0.82) & (ratio < 1.18)), ratio
    assert torch.all((estimate - truth).mean(0).abs() < 0.3 * bound)


def test_bounds_follow_the_photons_and_the_noise():
    psf = PSF_MODELS["astigmatism"](matched(110.0))
    xyz = on_axis(100.0, 100.0)
    photons = torch.tensor([1000.0, 4000.0])
    plain = crlb(psf, xyz, photons, torch.zeros(2) + 1e-3, 21)
    assert torch.allclose(plain[0, :3] / plain[1, :3], torch.tensor(2.0), atol=0.05)
    doubled = crlb(psf, xyz, photons, torch.zeros(2) + 1e-3, 21, excess_noise=2.0)
    assert torch.allclose(doubled[:, :3] / plain[:, :3], torch.tensor(math.sqrt(2)), atol=0.01)


def test_a_flat_psf_cannot_tell_depth_and_its_2d_bound_is_the_textbook_one():
    psf = PSF_MODELS["gaussian"](OpticalSystem(100, 660, 1.4))
    bound = crlb(psf, on_axis(0.0), torch.tensor([1000.0]), torch.tensor([1e-3]), 25, axial=False)
    expected = math.sqrt((psf.sigma_nm**2 + 100**2 / 12) / 1000)
    assert bound.shape == (1, 4)
    assert float(bound[0, 0]) == pytest.approx(expected, rel=0.02)


def test_supercritical_light_stays_finite_below_the_coverslip():
    psf = ScalarPSF(OpticalSystem(110, 670, 1.45), supercritical=True)
    images = psf(on_axis(-2000.0, 2000.0), 41)
    assert torch.isfinite(images).all()
    assert float(images.sum((1, 2)).max()) <= 1.01


def test_the_lobes_of_the_gaussian_helix_turn_with_depth():
    psf = PSF_MODELS["gaussian_helix"](OpticalSystem(100, 660, 1.4))
    turned = psf(torch.tensor([[0.0, 0.0, z] for z in (-500.0, 0.0, 500.0)]), 41)
    axis = (torch.arange(41) - 20) * 100.0
    row, column = torch.meshgrid(axis, axis, indexing="ij")
    angles: list[float] = []
    for image in turned:
        cross = (image * row * column).sum()
        difference = (image * (column**2 - row**2)).sum()
        # 1 degree on, so that rounding does not wrap 0 to 180.
        angles.append(float(torch.rad2deg(0.5 * torch.atan2(2 * cross, difference))) + 1)
    # A half turn over 2000 nm, 45 degrees at z = 0, from x (columns) towards y (rows).
    assert [angle % 180 - 1 for angle in angles] == pytest.approx([0.0, 45.0, 90.0], abs=0.5)
    spread = float((turned[1] * (row**2 + column**2)).sum())
    assert spread == pytest.approx(2 * 150**2 + 350**2 + 2 * 100**2 / 12, rel=0.01)
