"""A model that was exported gives the numbers of the network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from autods.core import UserError
from autods.networks import normalize
from autods.zoo import load_card, load_model
from autods.zoo.bioimageio import export_bioimageio
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


@pytest.mark.slow
def test_a_package_of_bioimageio_is_valid_and_gives_the_same_numbers(tmp_path: Path) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    runtime = pytest.importorskip("onnxruntime")
    card = load_card("diff_2")
    path = export_bioimageio(card, tmp_path / "diff_2.zip")
    described = spec.load_description(path, format_version="discover")
    assert not isinstance(described, spec.InvalidDescr), described.validation_summary.format()
    told = described.validation_summary
    assert told.status == "valid-format", told.format()  # "passed" would need their runtime, which runs it
    with zipfile.ZipFile(path) as package:
        package.extractall(tmp_path)
    session = runtime.InferenceSession(str(tmp_path / "weights.onnx"), providers=["CPUExecutionProvider"])
    # The test data of the package itself, and camera frames of another size and level than any seen before.
    generator = torch.Generator().manual_seed(1)
    frames = torch.poisson(torch.rand(3, 1, 45, 38, generator=generator) * 400 + 300, generator=generator)
    with torch.inference_mode():
        expected = load_model(card)(normalize(frames, card.normalization)).numpy()
    given, wanted = (np.load(tmp_path / f"test_{name}.npy") for name in ("frames", "heatmap"))
    assert wanted.shape == (1, 1, *(4 * side for side in given.shape[2:]))
    for inputs, outputs in ((given, wanted), (frames.numpy(), expected)):
        (found,) = session.run(None, {"frames": inputs})
        np.testing.assert_allclose(found, outputs, rtol=1e-3, atol=1e-4 * np.abs(outputs).max())


def test_a_network_that_is_told_a_psf_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(UserError, match="told a PSF"):
        export_onnx(load_card("universal"), tmp_path / "universal.onnx")
    assert not list(tmp_path.iterdir())
