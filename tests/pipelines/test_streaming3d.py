"""What `VolumeLocalizer` tells of a block of frames."""

from __future__ import annotations

import numpy as np
import torch

from autods.core import Camera, OpticalSystem
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS
from autods.pipelines import train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer

KNOWN = KnownPsf(PSF_MODELS["astigmatism"](OpticalSystem(100.0, 660.0, 1.4)), (-400.0, 400.0))
EXTENT, SIDE_PX = Extent.of(KNOWN), 48


def test_emitters_beyond_the_border_explain_light_and_are_not_told() -> None:
    finder = train3d.shipped_finder(KNOWN, EXTENT, torch.device("cpu"))
    drawn_px = EXTENT.render_px
    fitter = PsfFitter(KNOWN.over_field(drawn_px), EXTENT.fit_px, (-450.0, 450.0), image_px=drawn_px)
    localizer = VolumeLocalizer(finder, fitter, 3.0, passes=2)
    noise, population = torch.full((6,), 4.7), Population(0.3, 4000.0, 0.3)
    frames, truth = population_frames(KNOWN, EXTENT, Camera(read_noise_e=1.5), SIDE_PX, noise)(population, 0)
    fit, keep = localizer.estimates(frames)
    fit = fit.select(keep)
    beyond = (fit.x_px < 0) | (fit.x_px >= SIDE_PX) | (fit.y_px < 0) | (fit.y_px >= SIDE_PX)
    assert beyond.any()
    table = localizer.table(fit, frames)
    assert len(table) == int((~beyond).sum())
    assert 0.6 * len(truth) < len(table) < 1.2 * len(truth)
    assert table.x_nm.min() >= 0
    assert table.x_nm.max() < 100 * SIDE_PX
    assert np.array_equal(table.frame, np.sort(table.frame))
