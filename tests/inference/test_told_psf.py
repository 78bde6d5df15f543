"""The shipped network, told PSFs that it never saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autods.core import LocalizationTable, OpticalSystem
from autods.core.resources import models_dir
from autods.inference.told_psf import ToldPsfLocalizer, told_scene
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS, tabulate
from autods.optics.extent import region_size_px
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
    found = finder.find(frames - 20, torch.full_like(frames, 22.25))
    assert found.z_nm is not None
    table = LocalizationTable.build(
        found.frame.numpy(),
        found.x_px.double().numpy() * 105.0,
        found.y_px.double().numpy() * 105.0,
        z_nm=found.z_nm.numpy(),
    )
    scores = detection_metrics(truth, table, 250.0, 500.0)
    assert scores.jaccard > 0.75
    assert scores.rmse_lateral_nm < 60
    assert scores.rmse_axial_nm is not None
    assert scores.rmse_axial_nm < 120


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
