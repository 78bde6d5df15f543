"""The shipped network goes on learning for one PSF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autods.core import Camera, OpticalSystem
from autods.core.resources import models_dir
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS
from autods.pipelines import adapt3d, train3d, trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
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
def test_what_scores_better_is_kept(tmp_path: Path, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(105.0, 660.0, 1.4))
    known = KnownPsf(psf, (-400.0, 400.0))
    train3d.copy_model(models_dir() / "universal", tmp_path)
    before = train3d.model_digest(tmp_path / train3d.MODEL_FOLDER)
    cpu, extent, measured = torch.device("cpu"), Extent.of(known), list[float]()
    try_simulated = trial3d.try_simulated

    def score(*args: Any) -> Any:
        results, example = try_simulated(*args)
        measured.append(results["jaccard"])
        return {"jaccard": 0.5 + gain * (len(measured) - 1)}, example

    monkeypatch.setattr(trial3d, "try_simulated", score)
    fitter = PsfFitter(known.over_field(extent.render_px), extent.fit_px, known.z_range_nm)
    result = adapt3d.adapt(
        load_card("universal"),
        known,
        extent,
        _CONDITIONS,
        0.3,
        0.1,
        tmp_path,
        "key",
        cpu,
        lambda _: None,
        Camera(),
        lambda finder: VolumeLocalizer(finder, fitter, 3.0),
    )
    assert len(measured) == 2
    assert measured[0] > 0.3
    adapted = gain > 0
    assert result["kept"] == ("adapted" if adapted else "as shipped")
    assert (train3d.model_digest(tmp_path / train3d.MODEL_FOLDER) != before) == adapted
