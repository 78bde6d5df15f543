"""Aberrations over the field: fitted to beads, kept in the file, used where the emitters are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autods.calibration.bead_calibration import BeadSettings, calibrate_beads
from autods.calibration.field import calibrate_field
from autods.calibration.retrieval import RetrievalSettings
from autods.core import OpticalSystem, UserError
from autods.optics import ScalarPSF, save_psf
from autods.optics.field import FieldPSF, FieldVariation
from autods.optics.phase_masks import astigmatism_mask
from autods.optics.pupil import Pupil
from autods.optics.storage import load_variation

_OPTICS = OpticalSystem(pixel_size_nm=110.0, wavelength_nm=650.0, na=1.3)
_SIDE_PX = 150


def _psf() -> ScalarPSF:
    return ScalarPSF(_OPTICS, astigmatism_mask(Pupil.sample(_OPTICS, 48), 0.15), blur_sigma_nm=50.0)


def _variation() -> FieldVariation:
    """Oblique astigmatism grows along x, coma along y."""
    half = 0.5 * _SIDE_PX * _OPTICS.pixel_size_nm
    waves = np.array([[0.0, 0.0], [0.10, 0.0], [0.0, 0.06]])
    return FieldVariation((5, 7), waves, (half, half), (half, half))


def test_every_emitter_gets_the_psf_of_its_place() -> None:
    psf, variation = _psf(), _variation()
    field = FieldPSF(psf, variation, 3, (-300.0, 300.0), 25)
    places = torch.tensor([[1000.0, 8000.0], [15000.0, 15000.0]])
    xyz = torch.tensor([[20.0, -10.0, 150.0], [0.0, 30.0, -100.0]])
    images = field.placed(places[:, 0], places[:, 1])(xyz, 21)
    side = 2 * variation.half_nm[0] / 3
    for image, at, node in zip(images, xyz, ((0.5, 1.5), (2.5, 2.5)), strict=True):
        expected = variation.applied(psf, node[0] * side, node[1] * side)(at[None], 21)[0]
        assert (image - expected).abs().max() < 0.01 * expected.max()


def test_the_file_keeps_the_variation(tmp_path: Path) -> None:
    save_psf(_psf(), tmp_path / "psf.h5", {}, _variation())
    loaded = load_variation(tmp_path / "psf.h5")
    assert loaded is not None
    assert loaded.at(2000.0, 9000.0) == pytest.approx(_variation().at(2000.0, 9000.0))
    save_psf(_psf(), tmp_path / "plain.h5", {})
    assert load_variation(tmp_path / "plain.h5") is None


@pytest.mark.slow
def test_beads_tell_the_aberrations_at_their_places() -> None:
    psf, variation, pixel_nm = _psf(), _variation(), _OPTICS.pixel_size_nm
    z_nm = np.linspace(-500, 500, 21)
    stack = torch.full((21, _SIDE_PX, _SIDE_PX), 20.0)
    for row in (25, 75, 125):
        for column in (25, 75, 125):
            place = ((column + 0.5) * pixel_nm, (row + 0.5) * pixel_nm)
            own = variation.applied(psf, *place)
            images = own(torch.zeros(21, 3), 31, torch.from_numpy(z_nm).float())
            stack[:, row - 15 : row + 16, column - 15 : column + 16] += 30_000 * images
    noisy = torch.poisson(stack, generator=torch.Generator().manual_seed(0)).numpy()
    settings = BeadSettings(31, retrieval=RetrievalSettings(steps=150))
    result = calibrate_beads(noisy, z_nm, _OPTICS, settings)
    assert len(result.beads.accepted) == 9
    found = calibrate_field(noisy, result, _OPTICS, settings)
    for x in (3000.0, 13000.0):
        for y in (3000.0, 13000.0):
            true, seen = variation.at(x, y), found.at(x, y)
            assert seen[5] == pytest.approx(true[5], abs=0.015)
            assert seen[7] == pytest.approx(true[7], abs=0.015)
    few = calibrate_beads(noisy[:, :52, :52], z_nm, _OPTICS, settings)
    with pytest.raises(UserError, match="at least 4"):
        calibrate_field(noisy[:, :52, :52], few, _OPTICS, settings)
