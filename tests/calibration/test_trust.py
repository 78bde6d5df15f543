"""Calibrations against physics: which way z goes, how much light there is, how far a misfit displaces."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autods.calibration.bead_calibration import BeadSettings, calibrate_beads
from autods.calibration.model_error import _local_lines
from autods.calibration.quality import light_above_border
from autods.calibration.retrieval import RetrievalSettings
from autods.core import Camera, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS, ScalarPSF, tabulate
from autods.optics.extent import region_size_px
from autods.optics.model_error import CorrectedPSF
from autods.optics.phase_masks import zernike_mask
from autods.optics.pupil import Pupil
from autods.representation import Detections

OPTICS = OpticalSystem(100, 660, 1.3)
Z_NM = np.linspace(-600, 600, 25)
FOCUS_NM = 150.0
#: For what shows long before the last digit has settled.
SHORT = RetrievalSettings(steps=200)


def psf_of(nfp_nm=0.0):
    pupil = Pupil.sample(OPTICS, 64)
    phase = zernike_mask(pupil, {6: 0.12, 7: 0.03, 8: -0.02, 11: 0.03, 13: 0.02})
    optics = OpticalSystem(100, 660, 1.3, nfp_nm=nfp_nm)
    return ScalarPSF(optics, phase, blur_sigma_nm=80.0)


def stack_of(images, photons=2e4, seed=0):
    return np.random.default_rng(seed).poisson(np.maximum(photons * images + 10, 0)).astype(np.float32)


def of_depths(size=21):
    xyz = torch.zeros(len(Z_NM), 3)
    xyz[:, 2] = torch.from_numpy(Z_NM)
    with torch.no_grad():
        return psf_of(FOCUS_NM)(xyz, size).numpy()


def of_focal_planes(size):
    with torch.no_grad():
        return psf_of()(torch.zeros(len(Z_NM), 3), size, torch.from_numpy(Z_NM).float()).numpy()


def depth_of(psf, images, size):
    """Depths (N,) at which a PSF looks most like images."""
    z = torch.arange(-700.0, 701.0, 10.0)
    with torch.no_grad():
        library = psf(torch.stack([0 * z, 0 * z, z], 1), size).flatten(1).numpy()
    flat = images.reshape(len(images), -1)
    unit = [(a - a.mean(1, keepdims=True)) / a.std(1, keepdims=True) for a in (flat, library)]
    return z.numpy()[(unit[0] @ unit[1].T).argmax(1)]


@pytest.mark.parametrize("scan", ["emitter", pytest.param("auto", marks=pytest.mark.slow)])
def test_a_stack_of_depths_gives_depths(scan):
    images = of_depths()
    result = calibrate_beads(stack_of(images), Z_NM, OPTICS, BeadSettings(scan=scan, retrieval=SHORT))
    assert result.scan_of == "emitter"
    assert result.scan_by == ("given" if scan == "emitter" else "data")
    slope, offset = np.polyfit(Z_NM, depth_of(result.retrieved.psf, images, 21), 1)
    assert 0.97 < slope < 1.03
    assert abs(offset) < 15
    assert result.retrieved.z_offset_nm == pytest.approx(FOCUS_NM, abs=60)


@pytest.mark.slow
def test_a_scan_of_the_focal_plane_shows_depths_shortened_by_the_mismatch_and_says_what_is_assumed():
    images = of_focal_planes(21)
    result = calibrate_beads(stack_of(images), Z_NM, OPTICS)
    assert (result.scan_of, result.scan_by) == ("objective", "assumed")
    assert 0.7 < result.axial_scale < 0.9
    slope = np.polyfit(Z_NM, depth_of(psf_of(), images, 21), 1)[0]
    assert result.axial_scale == pytest.approx(-slope, abs=0.04)
    # The mean bead as a PSF has the depths of molecules.
    xyz = torch.tensor([[0.0, 0.0, 300.0]])
    assert abs(depth_of(result.retrieved.psf, result.empirical(xyz, 21).numpy(), 21)[0] - 300) < 30


@pytest.mark.slow
@pytest.mark.parametrize("size", [15, 25])
@pytest.mark.parametrize("method", ["pixel", "zernike"])
def test_the_light_outside_of_the_cut_out_is_that_of_the_pupil(size, method):
    images = of_focal_planes(size)
    chosen = BeadSettings(scan="objective", retrieval=RetrievalSettings(method=method))
    found = calibrate_beads(stack_of(images), Z_NM, OPTICS, chosen).retrieved
    assert found.photons.mean() / 2e4 == pytest.approx(1, abs=0.05)
    assert found.inside.mean() == pytest.approx(images.sum((1, 2)).mean(), abs=0.05)


@pytest.mark.parametrize(("sigma_px", "size", "most"), [(1.2, 15, 21), (1.9, 21, 25)])
def test_a_gaussian_bead_gives_a_compact_psf(sigma_px, size, most):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    wide, high = (sigma_px * np.sqrt(1 + ((Z_NM + shift) / 400) ** 2)[:, None, None] for shift in (200, -200))
    images = np.exp(-(x**2) / 2 / wide**2 - y**2 / 2 / high**2) / (2 * np.pi * wide * high)
    result = calibrate_beads(stack_of(images), Z_NM, OPTICS, BeadSettings(retrieval=SHORT))
    assert result.retrieved.photons.mean() / 2e4 == pytest.approx(1, abs=0.2)
    low, high = result.depth_nm.min(), result.depth_nm.max()
    assert region_size_px(result.retrieved.psf, low, high, 0.85, 81) <= most


def displaced(psf, beads, z_nm):
    """Errors (N, 3) of a fit of frames without noise that show the mean bead at depths, nm."""
    images = beads(torch.stack([0 * z_nm, 0 * z_nm, z_nm], 1), 21)
    size = images.shape[-1]
    frames, middle = F.pad(2000 * images, [size // 2] * 4) + 10, torch.full((len(z_nm),), 20.5)
    fast = tabulate(psf, -700.0, 700.0, size_px=23)
    found = Detections(torch.arange(len(z_nm)), middle, middle, torch.ones(len(z_nm)), z_nm=z_nm)
    fit = PsfFitter(fast, 19, (-700.0, 700.0))(Observation.over_level(frames, Camera(), 10.0), found)
    return np.stack([100 * (fit.x_px - 20.5), 100 * (fit.y_px - 20.5), fit.z_nm - z_nm], 1)


def test_what_a_misfit_does_to_positions_is_corrected():
    images = of_depths()
    settings = BeadSettings(scan="emitter", retrieval=RetrievalSettings(method="zernike", steps=200))
    right = calibrate_beads(stack_of(images, 1e6), Z_NM, OPTICS, settings).error
    # A tail on one side that no pupil phase explains.
    tail = images + 0.25 * np.roll(images, 2, 2) * (Z_NM > 0)[:, None, None]
    wrong = calibrate_beads(stack_of(tail, 1e6), Z_NM, OPTICS, settings)
    assert np.median(right.lateral_nm) < 3
    assert np.median(right.axial_nm) < 8
    assert np.abs(right.displacement_nm).max() < 25
    seen = light_above_border(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(right.seen[2:-2], seen[2:-2], atol=0.06)
    assert np.abs(wrong.error.displacement_nm).max() > 2 * np.abs(right.displacement_nm).max()
    z = torch.linspace(-450.0, 450.0, 19)
    before = displaced(wrong.retrieved.psf, wrong.empirical, z)
    after = displaced(CorrectedPSF(wrong.retrieved.psf, wrong.error), wrong.empirical, z)
    for axis in (0, 2):
        assert np.median(np.abs(after[:, axis])) < 0.5 * np.median(np.abs(before[:, axis]))
    assert np.median(np.abs(after)) < 4


def test_a_line_over_depth_is_not_changed_by_smoothing_nor_a_slice_far_from_all_others():
    z = np.array([-300.0, -250.0, -200.0, -150.0, -100.0, -50.0, 600.0])
    smooth = _local_lines(z)
    np.testing.assert_allclose(smooth @ (3.0 - 0.05 * z), 3.0 - 0.05 * z, rtol=1e-9)
    np.testing.assert_array_equal(smooth[-1], [0, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("name", "size", "reach_nm"),
    [("astigmatism", 21, 600.0), ("double_helix", 41, 800.0), ("tetrapod", 41, 1500.0)],
)
def test_photons_are_those_that_the_cut_out_of_a_bead_shows(name, size, reach_nm):
    """A molecule that is a bead's cut-out above its border has the photons of the cut-out."""
    psf = tabulate(PSF_MODELS[name](OPTICS), -reach_nm, reach_nm, size_px=61)
    z = torch.linspace(-0.9 * reach_nm, 0.9 * reach_nm, 12)
    images = psf(torch.stack([0 * z, 0 * z, z], 1), size)
    share = light_above_border(images)
    assert 0.5 < float(share.min()) < float(share.max()) < 1
    border = torch.ones(size, size, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    bead = images - images[:, border].median(1).values[:, None, None]
    frames = F.pad(2000 * bead / bead.sum((1, 2), keepdim=True), [size // 2] * 4) + 20
    middle = torch.full((len(z),), frames.shape[-1] / 2)
    fitter = PsfFitter(psf, size - 2, (-reach_nm, reach_nm), refine=False)
    found = Detections(torch.arange(len(z)), middle, middle, torch.ones(len(z)), z_nm=z)
    fit = fitter(Observation.over_level(frames, Camera(), 20.0), found)
    photons = fit.photons * share
    assert (photons / 2000 - 1).abs().max() < 0.05
