"""What `VolumeLocalizer` tells of a block of frames."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch

from autods.core import Camera, EmitterBatch, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.told_psf import ToldPsfLocalizer
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS
from autods.pipelines import streaming3d, train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames, truth_of
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.simulation import PsfRenderer, Scenes

KNOWN = KnownPsf(PSF_MODELS["astigmatism"](OpticalSystem(100.0, 660.0, 1.4)), (-400.0, 400.0))
EXTENT, SIDE_PX = Extent.of(KNOWN), 48


@pytest.fixture(scope="module")
def localizer() -> VolumeLocalizer:
    finder = train3d.shipped_finder(KNOWN, EXTENT, torch.device("cpu"))
    drawn_px = EXTENT.render_px
    fitter = PsfFitter(KNOWN.over_field(drawn_px), EXTENT.fit_px, (-450.0, 450.0), image_px=drawn_px)
    return VolumeLocalizer(finder, fitter, 3.0, passes=2)


def test_emitters_beyond_the_border_explain_light_and_are_not_told(localizer: VolumeLocalizer) -> None:
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


def test_the_network_looks_again_at_frames_that_have_light_left_and_misses_nothing_by_it(
    localizer: VolumeLocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = torch.full((6,), 4.7)
    simulate = population_frames(KNOWN, EXTENT, Camera(read_noise_e=1.5), SIDE_PX, noise)
    (crowded, _), (empty, _) = (simulate(Population(density, 4000.0, 0.3), 0) for density in (1.5, 0.0))
    frames = Observation.concatenate([empty, crowded])
    with patch.object(ToldPsfLocalizer, "find", autospec=True, side_effect=ToldPsfLocalizer.find) as find:
        table = localizer(frames)
    looked = [len(call.args[1]) for call in find.call_args_list]
    assert looked[0] == 12
    assert looked[1] <= 6
    monkeypatch.setattr(streaming3d, "_WORTH_A_LOOK", 0.0)
    everywhere = localizer(frames)
    assert len(table) == len(everywhere)
    assert np.allclose(table.x_nm, everywhere.x_nm, atol=1.0)
    assert table.frame.min() >= 6


def test_a_block_without_frames_holds_nothing(localizer: VolumeLocalizer) -> None:
    assert not len(localizer(Observation.over_level(torch.zeros(0, SIDE_PX, SIDE_PX), Camera(), 20.0)))


def test_frames_may_be_smaller_than_the_windows(localizer: VolumeLocalizer) -> None:
    side, n_frames = round(2 / 3 * EXTENT.fit_px), 40
    generator = torch.Generator().manual_seed(0)
    xyz = torch.rand(n_frames, 3, generator=generator) - 0.5
    xyz = xyz * torch.tensor([200.0, 200.0, 700.0]) + torch.tensor([50.0 * side, 50.0 * side, 0.0])
    emitters = EmitterBatch.from_flat(torch.arange(n_frames), xyz, torch.full((n_frames,), 6000.0), n_frames)
    scenes = Scenes(emitters, torch.zeros(n_frames), torch.zeros(n_frames))
    light = PsfRenderer(KNOWN.model, EXTENT.render_px)(scenes, (side, side)).clamp_min(0)
    frames = torch.poisson(light + 20, generator=generator)
    table = localizer(Observation.over_level(frames, Camera(), 20.0))
    scores = detection_metrics(truth_of(emitters, 100.0 * side), table, 150.0, 300.0)
    assert scores.jaccard > 0.95
    assert scores.rmse_lateral_nm < 15
    assert scores.rmse_axial_nm < 40
