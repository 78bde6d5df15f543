"""What TensorBoard is given: curves, gradients, time, conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autods.cli.main import main
from autods.core import EmitterBatch
from autods.representation import Detections
from autods.training.curves import score_figure
from autods.training.score import ThresholdScore


def score_with_bias(n: int = 2000, bias_px: float = 0.2) -> ThresholdScore:
    """Return detections that are drawn towards the middles of pixels, dim ones with a larger error."""
    generator = torch.Generator().manual_seed(0)
    position = 2 + 28 * torch.rand((n, 1, 2), generator=generator)
    photons = 100 + 4900 * torch.rand((n, 1), generator=generator)
    xyz = torch.cat([position * 100, torch.zeros(n, 1, 1)], 2)
    truth = EmitterBatch(xyz, photons, torch.ones((n, 1), dtype=torch.bool))
    towards = bias_px * (0.5 - position % 1)
    error = torch.randn((n, 1, 2), generator=generator) * 5 / photons.sqrt().unsqueeze(2)
    found = (position + towards + error)[:, 0]
    score = ThresholdScore()
    detections = Detections(torch.arange(n), found[:, 0], found[:, 1], torch.full((n,), 0.8))
    score.update(detections, truth, 100.0, 3200.0)
    return score


def test_errors_and_bias_are_those_that_were_made() -> None:
    score = score_with_bias()
    truth, error = score.errors(0.5)
    assert truth[:, 3].min() >= 100
    place = (truth[:, 0] / 100) % 1
    low, high = error[place < 0.2, 0].mean(), error[place > 0.8, 0].mean()
    assert low == pytest.approx(0.2 * 40, abs=3)
    assert high == pytest.approx(-0.2 * 40, abs=3)
    figure = score_figure(score, 100.0)
    errors = np.asarray(figure.axes[1].lines[0].get_ydata())
    assert errors[0] > errors[-1]
    assert len(figure.axes[2].lines) == 3


def test_a_training_tells_tensorboard(tmp_path: Path) -> None:
    words = ["experiment=zoo/mixture", "light=gaussian", "trainer.max_steps=4", "data.size_px=24"]
    words += ["data.batch_size=4", "data.batches_per_epoch=2", "data.validation_batches=8"]
    words += ["trainer.accelerator=cpu", "trainer.progress_bar=false", f"out={tmp_path / 'run'}"]
    assert main(["train", *words, f"hydra.run.dir={tmp_path / 'hydra'}"]) == 0
    events = EventAccumulator(
        str(tmp_path / "run" / "tensorboard"), {"images": 0, "tensors": 0, "scalars": 0}
    )
    events.Reload()
    tags = events.Tags()
    assert {"val/curves", "val/examples"} <= set(tags["images"])
    assert {"train/gradient_norm", "val/jaccard", "seconds/jaccard"} <= set(tags["scalars"])
    assert all(event.value > 0 for event in events.Scalars("train/gradient_norm"))
    (text,) = [
        event for tag in tags["tensors"] if tag.startswith("training") for event in events.Tensors(tag)
    ]
    assert b"density_per_um2" in text.tensor_proto.string_val[0]
