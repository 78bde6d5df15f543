import math

import numpy as np
import pytest
import tifffile
import torch
from scipy.io import savemat

from autods.core import OpticalSystem, UserError
from autods.optics.phase_masks import (
    astigmatism_mask,
    double_helix_mask,
    load_mask,
    pupil_radius_um,
    tetrapod_mask,
    zernike_mask,
)
from autods.optics.pupil import Pupil

OPTICS = OpticalSystem(110, 670, 1.45)
PUPIL = Pupil.sample(OPTICS, 64)


def rms_waves(phase):
    inside = torch.hypot(PUPIL.u, PUPIL.v) <= 1
    return float(phase[inside].std()) / (2 * math.pi)


def test_strength_is_in_waves_rms():
    full = Pupil.sample(OpticalSystem(110, 670, 1.2), 64)
    inside = torch.hypot(full.u, full.v) <= 1
    assert float(zernike_mask(full, {11: 0.1})[inside].std()) / (2 * math.pi) == pytest.approx(0.1, rel=0.03)


def test_astigmatism_turns_with_its_angle():
    straight, crossed = astigmatism_mask(PUPIL, 0.2, 0.0), astigmatism_mask(PUPIL, 0.2, 90.0)
    assert torch.allclose(straight, -crossed, atol=1e-5)
    assert torch.allclose(straight.T, -straight, atol=1e-4)


def test_double_helix_winds_once_around_each_vortex():
    phase = double_helix_mask(PUPIL, vortices=3, spacing=0.4)
    angles = torch.linspace(0, 2 * math.pi, 200, dtype=torch.float64)

    def winding(centre, radius):
        u, v = centre + radius * torch.cos(angles), radius * torch.sin(angles)
        columns, rows = ((u + 1) * 32 - 0.5).round().long(), ((v + 1) * 32 - 0.5).round().long()
        steps = torch.angle(torch.exp(1j * phase[rows, columns].diff()))
        return round(float(steps.sum()) / (2 * math.pi))

    assert winding(0.4, 0.15) == 1
    assert winding(0.0, 0.7) == 3


def test_tetrapod_scales_and_turns():
    assert rms_waves(tetrapod_mask(PUPIL, 2.0)) == pytest.approx(
        2 * rms_waves(tetrapod_mask(PUPIL)), rel=1e-4
    )
    assert torch.allclose(tetrapod_mask(PUPIL), -tetrapod_mask(PUPIL, angle_deg=90.0), atol=1e-4)


def test_pupil_radius_of_the_published_microscope():
    # 2 f NA / sqrt(M^2 - NA^2) / 30 um = 96.7 mask pixels across.
    assert 2 * pupil_radius_um(OPTICS, 100, 100) / 30 == pytest.approx(96.68, abs=0.01)


@pytest.fixture
def mask_array():
    axis = (np.arange(201) - 100) / 48.34
    return 3 * axis[None, :] + 2 * axis[:, None] ** 2


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".tif"])
def test_a_mask_from_file_lands_on_the_pupil(tmp_path, mask_array, suffix):
    path = tmp_path / f"mask{suffix}"
    wrapped = np.angle(np.exp(1j * mask_array))
    if suffix == ".npy":
        np.save(path, wrapped)
    elif suffix == ".mat":
        savemat(path, {"phase": wrapped})
    else:
        tifffile.imwrite(path, wrapped.astype(np.float32))
    phase = load_mask(path, OPTICS, PUPIL, 100, 100, 30)
    difference = torch.angle(torch.exp(1j * (phase - 3 * PUPIL.u - 2 * PUPIL.v**2)))
    assert difference[PUPIL.aperture == 1].abs().max() < 0.02


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".tif"])
def test_a_mask_file_cut_off_anywhere_is_refused_in_one_line(tmp_path, suffix):
    path = tmp_path / f"mask{suffix}"
    array = np.random.default_rng(0).normal(size=(8, 10))
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".mat":
        savemat(path, {"phase": array}, do_compression=True)
    else:
        tifffile.imwrite(path, array)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"mask\{suffix}"):
            load_mask(path, OPTICS, PUPIL, 100, 100, 30)


@pytest.mark.parametrize("array", [np.array([["a", "b"]]), np.array([[{}]], object)])
def test_a_mask_without_numbers_is_refused(tmp_path, array):
    np.save(tmp_path / "mask.npy", array)
    with pytest.raises(UserError, match="cannot be read"):
        load_mask(tmp_path / "mask.npy", OPTICS, PUPIL, 100, 100, 30)


def test_unusable_mask_files_are_named(tmp_path, mask_array):
    text = tmp_path / "mask.npy"
    text.write_text("no array")
    with pytest.raises(UserError, match=r"mask\.npy.*cannot be read"):
        load_mask(text, OPTICS, PUPIL, 100, 100, 30)
    small = tmp_path / "small.npy"
    np.save(small, mask_array[:50, :50])
    with pytest.raises(UserError, match="check magnification"):
        load_mask(small, OPTICS, PUPIL, 100, 100, 30)
    two = tmp_path / "two.mat"
    savemat(two, {"a": mask_array, "b": mask_array})
    with pytest.raises(UserError, match=r"\['a', 'b'\]"):
        load_mask(two, OPTICS, PUPIL, 100, 100, 30)
    flat = tmp_path / "line.npy"
    np.save(flat, np.zeros(5))
    with pytest.raises(UserError, match="2D array"):
        load_mask(flat, OPTICS, PUPIL, 100, 100, 30)
