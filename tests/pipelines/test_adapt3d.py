"""The shipped network goes on learning for one PSF."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autods.core import OpticalSystem
from autods.core.resources import models_dir
from autods.optics import PSF_MODELS
from autods.pipelines import adapt3d, train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.simulation import VolumeConditions
from autods.zoo import load_card

_CONDITIONS = VolumeConditions(
    z_min_nm=-400.0,
    z_max_nm=400.0,
    photons=(1000.0, 4000.0),
    dimmest_photons=300.0,
    pixel_size_nm=105.0,
    n_emitters=(0, 20),
    edge_px=-4.0,
    background=(0.0, 1.0),
    noise_std=(4.0, 6.0),
    psf_sigma_nm=120.0,
)


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_what_scores_better_is_kept(tmp_path: Path, gain: float) -> None:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(105.0, 660.0, 1.4))
    known = KnownPsf(psf, (-400.0, 400.0))
    train3d.copy_model(models_dir() / "universal", tmp_path)
    before = train3d.model_digest(tmp_path / train3d.MODEL_FOLDER)
    cpu, scores = torch.device("cpu"), iter([0.5, 0.5 + gain])
    result = adapt3d.adapt(
        load_card("universal"),
        known,
        Extent.of(known),
        _CONDITIONS,
        0.3,
        0.1,
        tmp_path,
        "key",
        cpu,
        lambda _: None,
        lambda _: next(scores),
    )
    adapted = gain > 0
    assert result["kept"] == ("adapted" if adapted else "as shipped")
    assert (train3d.model_digest(tmp_path / train3d.MODEL_FOLDER) != before) == adapted
