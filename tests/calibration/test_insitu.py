import json

import numpy as np
import pytest
import tifffile
import torch

from autods.calibration.insitu import InsituSettings, calibrate_insitu
from autods.calibration.insitu_report import write_insitu
from autods.calibration.molecules import collect_molecules
from autods.calibration.quality import slice_correlation
from autods.core import OpticalSystem, UserError
from autods.optics import load_psf
from autods.optics.registry import astigmatism_psf
from tests.data import shared

OPTICS = OpticalSystem(110, 670, 1.4)


def molecules(count=60, photons=8000.0, seed=0, size=15):
    generator = np.random.default_rng(seed)
    xyz = torch.from_numpy(generator.uniform([-60, -60, -400], [60, 60, 400], (count, 3))).float()
    psf = astigmatism_psf(OPTICS, 0.12, blur_sigma_nm=80.0, pupil_px=48)
    with torch.no_grad():
        images = photons * psf(xyz, size) + 20
    return generator.poisson(images.clamp(min=0).numpy()).astype(np.float32), xyz.numpy(), psf


def depth_stack(psf, size=15, shift_nm=0.0):
    z = torch.arange(-350.0, 351.0, 50.0) + shift_nm
    with torch.no_grad():
        return psf(torch.stack([z * 0, z * 0, z], 1), size).numpy()


@pytest.fixture(scope="module")
def calibrated():
    data, xyz, psf = molecules()
    settings = InsituSettings(start_waves=0.18, rounds=3, steps=40, z_range_nm=(-500, 500))
    return calibrate_insitu(data, OPTICS, settings), data, xyz, psf


def test_simulated_molecules_give_their_psf_back(calibrated):
    result, _, _, psf = calibrated
    scores = [
        slice_correlation(depth_stack(result.psf, shift_nm=s), depth_stack(psf)).mean() for s in (-50, 0, 50)
    ]
    assert max(scores) > 0.98
    assert result.correlation.mean() > 0.98


def test_depths_follow_the_truth(calibrated):
    result, _, xyz, _ = calibrated
    slope, _ = np.polyfit(xyz[:, 2], result.xyz_nm[:, 2], 1)
    assert np.corrcoef(xyz[:, 2], result.xyz_nm[:, 2])[0, 1] > 0.98
    low, high = result.axial_scale_range
    assert low <= 1 <= high
    # The reported range of scales holds the true one, with the grid's width.
    assert low - 0.1 <= 1 / slope <= high + 0.1
    assert np.abs(result.xyz_nm[:, :2] - xyz[:, :2]).mean() < 10


def test_writes_its_folder(calibrated, tmp_path):
    result, data, _, _ = calibrated
    write_insitu(result, data, tmp_path, {"source": "simulated"})
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert content["molecules"] == len(data)
    assert content["axial_scale_range"] == list(result.axial_scale_range)
    assert load_psf(tmp_path / "psf.h5").pixel_size_nm == 110
    assert tifffile.imread(tmp_path / "fit_molecules.tif").shape == data.shape


def test_molecules_are_found_in_a_movie():
    data, _, _ = molecules(24)
    movie = np.random.default_rng(5).poisson(20, (12, 64, 64)).astype(np.float32)
    for index, frame in enumerate(movie):
        frame[5:20, 8:23] += data[2 * index] - 20
        frame[40:55, 40:55] += data[2 * index + 1] - 20
    found = collect_molecules(movie, 15)
    assert 20 <= len(found) <= 26
    assert found.shape[1:] == (15, 15)


def test_crowded_molecules_are_left_out():
    data, _, _ = molecules(24)
    movie = np.random.default_rng(5).poisson(20, (12, 64, 64)).astype(np.float32)
    for index, frame in enumerate(movie):
        frame[20:35, 20:35] += data[2 * index] - 20
        frame[20:35, 29:44] += data[2 * index + 1] - 20
    with pytest.raises(UserError, match="too few"):
        collect_molecules(movie, 15)


def test_cut_outs_pass_through():
    data, _, _ = molecules(12)
    assert np.array_equal(collect_molecules(data), data)


def test_too_few_molecules_and_empty_ranges_are_refused():
    data, _, _ = molecules(5)
    with pytest.raises(UserError, match="at least 10"):
        calibrate_insitu(data, OPTICS)
    with pytest.raises(UserError, match="empty"):
        calibrate_insitu(np.repeat(data, 4, 0), OPTICS, InsituSettings(z_range_nm=(100, 100)))


@pytest.mark.data
@pytest.mark.slow
def test_blinks_give_the_psf_of_the_beads():
    from autods.calibration.bead_calibration import calibrate_beads, z_positions

    optics = OpticalSystem(110, 670, 1.45)
    stack = tifffile.imread(shared("astigmatic/beads.tif"))
    beads = calibrate_beads(stack, z_positions(len(stack), z_nm="-600:600:25"), optics).retrieved.psf
    blinks = tifffile.imread(shared("astigmatic/blinks.tif")).astype(np.float32)
    result = calibrate_insitu(blinks, optics, InsituSettings(start_angle_deg=90.0))
    scores = [
        slice_correlation(depth_stack(beads, shift_nm=shift), depth_stack(result.psf)).mean()
        for shift in range(-150, 151, 25)
    ]
    assert max(scores) > 0.95
