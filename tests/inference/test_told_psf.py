"""The shipped network, told PSFs that it never saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.core.resources import models_dir
from autods.inference.told_psf import ToldPsfLocalizer, told_scene
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS, tabulate
from autods.optics.extent import region_size_px
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.zoo import load_card
from benchmarks.held_out_psfs import HeldOutPsf
from benchmarks.instant3d import Crowd, Instant3D


@pytest.mark.parametrize(("name", "reach"), [("astigmatism", 500.0), ("double_helix", 600.0)])
def test_no_training_is_needed(name: str, reach: float) -> None:
    psf = tabulate(PSF_MODELS[name](OpticalSystem(105.0, 660.0, 1.4)), -reach, reach, 25.0, 41)
    known = HeldOutPsf(name, name, psf, psf, (-reach, reach))
    frames, truth = Instant3D().simulate(known, Crowd(60.0, 0.08), 6)
    size = region_size_px(psf, -reach, reach, 0.95)
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-reach, reach), size)
    scores = detection_metrics(truth, _found(frames, finder, 105.0), 250.0, 500.0)
    assert scores.jaccard > 0.75
    assert scores.rmse_lateral_nm < 60
    assert scores.rmse_axial_nm is not None
    assert scores.rmse_axial_nm < 120


def _found(frames: Tensor, finder: ToldPsfLocalizer, pixel_nm: float) -> LocalizationTable:
    """Return what a network finds over a background of 20 photons."""
    found = finder.find(frames - 20, torch.full_like(frames, 22.25))
    assert found.z_nm is not None
    x_nm, y_nm = (place.double().numpy() * pixel_nm for place in (found.x_px, found.y_px))
    assert found.uncertainty_px is not None
    return LocalizationTable.build(
        found.frame.numpy(),
        x_nm,
        y_nm,
        z_nm=found.z_nm.numpy(),
        uncertainty_xy_nm=found.uncertainty_px.double().numpy() * pixel_nm,
    )


@pytest.mark.parametrize("size_px", [64, 67])
def test_a_wide_psf_is_found_in_larger_pixels_where_it_is(size_px: int) -> None:
    exact = PSF_MODELS["astigmatism"](OpticalSystem(50.0, 660.0, 1.4))
    psf = tabulate(exact, -500.0, 500.0, 25.0, 61)
    known = HeldOutPsf("wide", "wide", psf, psf, (-500.0, 500.0))
    frames, truth = Instant3D(size_px=size_px).simulate(known, Crowd(60.0, 0.1), 30)
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-500.0, 500.0), 45, bin_px=2)
    table = _found(frames, finder, 50.0)
    scores = detection_metrics(truth, table, 250.0, 500.0)
    assert scores.jaccard > 0.75
    # A square that is read off by one pixel moves all by 50 nm.
    assert scores.bias_x_nm == pytest.approx(0, abs=12)
    assert scores.bias_y_nm == pytest.approx(0, abs=12)
    fine = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-500.0, 500.0), 45)
    # Larger pixels tell less of a place.
    stated = [np.median(one.uncertainty_xy_nm) for one in (table, _found(frames, fine, 50.0))]
    assert stated[1] < stated[0] < 2 * stated[1]


def test_a_square_with_a_dead_pixel_tells_nothing() -> None:
    psf = tabulate(PSF_MODELS["astigmatism"](OpticalSystem(50.0, 660.0, 1.4)), -500.0, 500.0, 25.0, 61)
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-500.0, 500.0), 45, bin_px=2)
    known = HeldOutPsf("wide", "wide", psf, psf, (-500.0, 500.0))
    frames, _ = Instant3D().simulate(known, Crowd(60.0, 0.1), 2)
    light, variance = frames - 20, torch.full_like(frames, 22.25)
    variance[:, 20, 31] = torch.inf
    dead, hot = light.clone(), light.clone()
    dead[:, 20, 31], hot[:, 20, 31] = torch.nan, 1e5
    found, other = finder.find(dead, variance), finder.find(hot, variance)
    assert len(found) > 0
    assert torch.equal(found.x_px, other.x_px)
    assert len(finder.find(light[:0], variance[:0])) == 0


def _seen_dimly(follow: bool) -> float:
    """Return the recall of dim emitters that are on for long, in frames that follow each other or not."""
    psf = tabulate(PSF_MODELS["astigmatism"](OpticalSystem(105.0, 660.0, 1.4)), -500.0, 500.0, 25.0, 41)
    known = KnownPsf(psf, (-500.0, 500.0))
    extent = Extent.of(known)
    noise = torch.full((24,), 5.0)
    population = Population(0.15, 220.0, 0.3, on_frames=6.0)
    frames, truth = population_frames(known, extent, Camera(), 64, noise)(population, 0, follow=True)
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-500.0, 500.0), extent.render_px)
    found = finder.find(frames.light, frames.variance, slice(None) if follow else None)
    assert found.z_nm is not None
    x_nm, y_nm = (place.double().numpy() * 105.0 for place in (found.x_px, found.y_px))
    table = LocalizationTable.build(found.frame.numpy(), x_nm, y_nm, z_nm=found.z_nm.numpy())
    return detection_metrics(truth, table, 250.0, 500.0).jaccard


def test_frames_before_and_after_help_to_find_what_is_dim() -> None:
    assert _seen_dimly(follow=True) > _seen_dimly(follow=False) + 0.05


def test_blocks_of_a_movie_give_what_the_whole_gives() -> None:
    psf = tabulate(PSF_MODELS["astigmatism"](OpticalSystem(105.0, 660.0, 1.4)), -500.0, 500.0, 25.0, 41)
    known = HeldOutPsf("a", "a", psf, psf, (-500.0, 500.0))
    frames, _ = Instant3D().simulate(known, Crowd(60.0, 0.2), 11)
    light, variance = frames - 20, torch.full_like(frames, 22.25)
    finder = ToldPsfLocalizer.from_card(load_card("universal"), psf, (-500.0, 500.0), 25)
    whole = finder.find(light, variance, slice(0, 11))
    part = finder.find(light[3:9], variance[3:9], slice(1, 5))
    rows = (whole.frame >= 4) & (whole.frame < 8)
    assert torch.equal(part.frame + 4, whole.frame[rows])
    torch.testing.assert_close(part.x_px, whole.x_px[rows], atol=0.02, rtol=0)


def test_the_scene_is_in_units_of_its_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    variance = torch.linspace(4, 400, 32).expand(3, 32, 32).clone()
    frames = variance.sqrt() * torch.randn(3, 32, 32, generator=generator) + 1.2 * variance.sqrt()
    variance[:, :, 5] = torch.inf
    normal, weight = told_scene(frames, variance)
    seen = normal[:, :, np.arange(32) != 5]
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)
    assert float(seen.median()) == pytest.approx(0.0, abs=0.05)
    assert not normal[:, :, 5].any()
    assert not weight[:, :, 5].any()
    assert float(weight[0, 0, 0] / weight[0, 0, 31]) == pytest.approx(10.0, rel=1e-3)


def test_the_shipped_weights_are_small() -> None:
    assert (models_dir() / "universal" / "weights.safetensors").stat().st_size < 4_000_000
