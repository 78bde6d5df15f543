"""A model that was exported gives the numbers of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autods.core import UserError
from autods.zoo import load_card, load_model
from autods.zoo.export import export_onnx


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diff_1", "mixture_general", "mixture_wide"])
def test_onnx_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    card = load_card(name)
    path = export_onnx(card, tmp_path / f"{name}.onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    network = load_model(card)
    channels = getattr(network, "in_channels", 1)
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in ((1, 48, 48), (3, 37, 53)):
        frames = torch.randn(batch, channels, height, width, generator=generator) + 2
        with torch.inference_mode():
            expected = network(frames).numpy()
        (output,) = session.run(None, {"frames": frames.numpy()})
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_a_network_that_is_told_a_psf_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(UserError, match="told a PSF"):
        export_onnx(load_card("universal"), tmp_path / "universal.onnx")
    assert not list(tmp_path.iterdir())
