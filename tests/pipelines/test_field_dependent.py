"""One PSF for the whole field against one for each part of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.told_psf import ToldPsfLocalizer
from autods.metrics.detection import detection_metrics
from autods.optics import ScalarPSF
from autods.optics.field import FieldPSF, FieldVariation
from autods.optics.phase_masks import astigmatism_mask
from autods.optics.pupil import Pupil
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.zoo import load_card

_OPTICS = OpticalSystem(pixel_size_nm=110.0, wavelength_nm=660.0, na=1.35)
_SIDE_PX, _FRAMES, _EMITTERS, _REACH_NM = 192, 3, 70, 450.0
_SIZE_PX = 21


@pytest.mark.slow
def test_the_psf_of_the_place_halves_the_axial_error() -> None:
    psf = ScalarPSF(_OPTICS, astigmatism_mask(Pupil.sample(_OPTICS, 48), 0.18), blur_sigma_nm=50.0)
    pixel_nm, half = _OPTICS.pixel_size_nm, 0.5 * _SIDE_PX * _OPTICS.pixel_size_nm
    waves = np.array([[0.0, 0.0, 0.0], [0.08, 0.05, 0.0], [0.0, 0.0, 0.06]])
    variation = FieldVariation((5, 6, 7), waves, (half, half), (half, half))
    reach = (-_REACH_NM, _REACH_NM)
    nature = FieldPSF(psf, variation, 10, reach, _SIZE_PX + 6)
    generator = torch.Generator().manual_seed(2)
    place = torch.rand(_FRAMES * _EMITTERS, 3, generator=generator)
    x, y = (8 + (_SIDE_PX - 16) * place[:, axis].double() for axis in (0, 1))
    z = (2 * place[:, 2].double() - 1) * _REACH_NM
    frame = np.repeat(np.arange(_FRAMES), _EMITTERS)
    truth = LocalizationTable.build(
        frame,
        (x * pixel_nm).numpy(),
        (y * pixel_nm).numpy(),
        z_nm=z.numpy(),
        photons=np.full(len(frame), 4e3),
    )
    light = _localizer(nature).image(truth, (_FRAMES, _SIDE_PX, _SIDE_PX))
    frames = torch.poisson(light + 20, generator=generator)
    errors = []
    for told in (nature.mean, FieldPSF(psf, variation, 4, reach, _SIZE_PX + 6)):
        found = _localizer(told)(Observation.over_level(frames, Camera(), 20.0))
        scores = detection_metrics(truth, found, 250.0, 500.0)
        errors.append((scores.jaccard, scores.rmse_lateral_nm, scores.rmse_axial_nm or np.nan))
    one, each = np.array(errors)
    assert each[0] > one[0] + 0.1, errors
    assert each[1] < 0.9 * one[1], errors
    assert each[2] < 0.7 * one[2], errors


def _localizer(psf: torch.nn.Module) -> VolumeLocalizer:
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-_REACH_NM, _REACH_NM), _SIZE_PX)
    fitter = PsfFitter(psf, _SIZE_PX, (-_REACH_NM - 50, _REACH_NM + 50))
    return VolumeLocalizer(finder, fitter, 3.0, passes=2)
