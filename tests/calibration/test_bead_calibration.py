import json

import numpy as np
import pytest
import tifffile
import torch

from autods.calibration.bead_calibration import BeadSettings, calibrate_beads, z_positions
from autods.calibration.bead_report import write_calibration
from autods.calibration.quality import slice_correlation
from autods.calibration.retrieval import RetrievalSettings
from autods.core import OpticalSystem, UserError
from autods.optics import ScalarPSF, load_psf
from autods.optics.pupil import Pupil
from tests.calibration.pupils import compare_pupils
from tests.calibration.simulated import BLUR_NM, OPTICS, PUPIL_PX, bead_stack, field_of_beads, known_phase
from tests.data import shared

PUPIL = Pupil.sample(OPTICS, PUPIL_PX)
Z_NM = np.linspace(-700, 700, 21)


def settings(method="pixel", steps=200, **changes):
    retrieval = RetrievalSettings(
        method=method, steps=steps, pupil_px=PUPIL_PX, supercritical=False, **changes
    )
    return BeadSettings(retrieval=retrieval)


@pytest.mark.parametrize("method", ["pixel", "zernike"])
def test_retrieves_random_zernikes_and_blur(method):
    phase = known_phase("zernike", 3)
    result = calibrate_beads(bead_stack(phase, Z_NM), Z_NM, OPTICS, settings(method))
    comparison = compare_pupils(result.retrieved.psf.phase, phase, PUPIL)
    assert comparison.rms_waves < 0.05
    assert not comparison.is_twin
    assert float(result.retrieved.psf.blur_sigma_nm) == pytest.approx(BLUR_NM, rel=0.05)
    assert result.correlation.mean() > 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "reach", "size"), [("tetrapod", 1500, 51), ("double helix", 900, 41)])
def test_retrieves_engineered_masks(kind, reach, size):
    z = np.linspace(-reach, reach, 41)
    phase = known_phase(kind, 3)
    result = calibrate_beads(bead_stack(phase, z, size), z, OPTICS, settings(steps=400))
    assert compare_pupils(result.retrieved.psf.phase, phase, PUPIL).rms_waves < 0.05
    assert float(result.retrieved.psf.blur_sigma_nm) == pytest.approx(BLUR_NM, rel=0.05)


@pytest.mark.parametrize("steps", [1, 2, 4, 20, 40])
def test_any_number_of_steps_is_possible(steps):
    z = np.linspace(-400, 400, 5)
    result = calibrate_beads(bead_stack(known_phase("zernike", 3), z), z, OPTICS, settings(steps=steps))
    assert result.retrieved.psf.phase.isfinite().all()


def test_a_stack_read_in_the_wrong_direction_gives_the_twin():
    phase = known_phase("zernike", 3)
    result = calibrate_beads(bead_stack(phase, Z_NM, sign=-1.0), Z_NM, OPTICS, settings("zernike", 120))
    assert compare_pupils(result.retrieved.psf.phase, phase, PUPIL).is_twin


def test_sample_scans_are_read_the_other_way():
    phase = known_phase("zernike", 3)
    chosen = BeadSettings(scan="sample", retrieval=settings("zernike", 120).retrieval)
    result = calibrate_beads(bead_stack(phase, Z_NM, sign=-1.0), Z_NM, OPTICS, chosen)
    assert not compare_pupils(result.retrieved.psf.phase, phase, PUPIL).is_twin


def test_writes_everything_and_the_files_agree(tmp_path):
    stack, z = field_of_beads([(24.7, 25.2), (70.4, 70.5)])
    chosen = settings("zernike", 60)
    result = calibrate_beads(stack, z, OPTICS, chosen)
    write_calibration(result, tmp_path, {"source": "simulated"})
    bead, fit = (tifffile.imread(tmp_path / name) for name in ("bead_zstack.tif", "fit_zstack.tif"))
    assert bead.shape == fit.shape == result.beads.volume.shape
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert content["correlation"]["mean"] == pytest.approx(
        float(slice_correlation(fit, bead).mean()), abs=1e-4
    )
    assert "focal plane" in content["z_convention"]
    assert len(content["beads"]) == 2
    for name in ("pupil.png", "residuals.png", "correlation.png", "crlb.png", "focal_plane.png"):
        assert (tmp_path / name).stat().st_size > 5000
    z_emitter = torch.tensor([[0.0, 0.0, 100.0]])
    assert torch.allclose(load_psf(tmp_path / "psf.h5")(z_emitter, 15), result.retrieved.psf(z_emitter, 15))
    empirical = load_psf(tmp_path / "psf_empirical.h5")(torch.zeros(1, 3), 21)
    exact = result.retrieved.psf(torch.zeros(1, 3), 21).detach()
    assert slice_correlation(empirical.numpy(), exact.numpy())[0] > 0.98


def test_positions_by_step_and_by_range():
    np.testing.assert_allclose(z_positions(5, z_step_nm=10.0), [-20, -10, 0, 10, 20])
    np.testing.assert_allclose(z_positions(3, z_nm="-100:200:3"), [-100, 50, 200])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z_nm": "-750:750:150"}, "names 150 positions, the stack has 151 slices"),
        ({}, "give the z positions"),
        ({"z_step_nm": 10.0, "z_nm": "0:1:151"}, "give the z positions"),
        ({"z_nm": "-750:750"}, "write START:STOP:N"),
        ({"z_nm": "5:5:151"}, "START and STOP are equal"),
        ({"z_step_nm": 0.0}, "give the distance of the slices"),
    ],
)
def test_wrong_positions_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        z_positions(151, **arguments)


def test_positions_must_belong_to_the_stack():
    with pytest.raises(UserError, match="5 z positions for a stack of 21 slices"):
        calibrate_beads(np.zeros((21, 31, 31)), np.arange(5.0), OPTICS)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "optics", "z_nm", "least"),
    [
        ("tetrapod/beads.tif", OpticalSystem(110, 670, 1.45), "-3500:2000:56", 0.994),
        ("astigmatic/beads.tif", OpticalSystem(110, 670, 1.45), "-600:600:25", 0.985),
        ("smlm2016/beads_as.tif", OpticalSystem(100, 660, 1.49), "-750:750:151", 0.98),
        ("smlm2016/beads_dh.tif", OpticalSystem(100, 660, 1.49), "-750:750:151", 0.98),
        ("smlm2016/beads_2d.tif", OpticalSystem(100, 660, 1.49), "-750:750:151", 0.98),
    ],
)
def test_real_stacks(name, optics, z_nm, least):
    stack = tifffile.imread(shared(name))
    result = calibrate_beads(stack, z_positions(len(stack), z_nm=z_nm), optics)
    assert result.correlation_masked.mean() > least
    assert result.correlation.mean() > 0.98


def test_light_beyond_the_critical_angle_is_found_where_there_is_some():
    optics = OpticalSystem(110, 670, 1.48)
    focus = torch.from_numpy(Z_NM).float()
    chosen = BeadSettings(retrieval=RetrievalSettings(method="zernike", steps=60, pupil_px=PUPIL_PX))
    for present in (True, False):
        psf = ScalarPSF(optics, pupil_px=PUPIL_PX, blur_sigma_nm=BLUR_NM, supercritical=present)
        mean = 2e4 * psf(torch.zeros(len(Z_NM), 3), 25, focus).detach() + 10
        stack = np.random.default_rng(0).poisson(mean.clamp(min=0).numpy()).astype(np.float32)
        assert calibrate_beads(stack, Z_NM, optics, chosen).retrieved.psf.supercritical is present
