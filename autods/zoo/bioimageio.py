"""A model of the heatmap family as a package of bioimage.io, which takes frames as the camera gives them."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from autods import __version__
from autods.core import UserError
from autods.io.atomic import atomic_path
from autods.networks import normalize
from autods.optics.gaussian import GaussianPSF
from autods.zoo.card import ModelCard
from autods.zoo.export import write_onnx
from autods.zoo.registry import load_model

#: Version of the description, https://github.com/bioimage-io/spec-bioimage-io.
FORMAT = "0.5.4"
#: Least side of a frame, px: the noise is measured in the frame itself.
LEAST_PX = 32
_WEIGHTS, _PAGE, _COVER = "weights.onnx", "README.md", "cover.png"
_PAPER_TITLE = "One-click image reconstruction in single-molecule localization microscopy via deep learning"
_PAPER = "10.1038/s44303-025-00123-w"
_TEST_SIDE_PX, _TEST_EMITTERS, _TEST_PHOTONS, _TEST_BACKGROUND = 64, 12, 2000.0, 20.0


class RawHeatmap(nn.Module):
    """A network with its normalization in front: frames of any linear unit in, a heatmap out.

    Parameters
    ----------
    network
        Maps normalised frames (B, 1, Y, X) to heatmaps (B, 1, uY, uX).
    normalization
        Kind for `autods.networks.normalize`.
    """

    def __init__(self, network: nn.Module, normalization: str) -> None:
        super().__init__()
        self.network, self.normalization = network, normalization

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, 1, Y, X) to heatmaps (B, 1, uY, uX)."""
        heatmap: Tensor = self.network(normalize(frames, self.normalization))
        return heatmap


def export_bioimageio(card: ModelCard, path: str | Path) -> Path:
    """Write a heatmap model as a package of bioimage.io: a ZIP of ``rdf.yaml``, weights (ONNX) and test data.

    Programs that run such packages (Fiji with deepImageJ, ilastik, QuPath) get the heatmap, a picture of
    ``upsampling`` pixels a camera pixel; positions, photons and errors are autods' own. Returns the file.
    Raises `UserError` if the model is of another family, packages are missing, or the file cannot be written.

    Parameters
    ----------
    card
        From `autods.zoo.load_card`, of the family ``heatmap``.
    path
        File to write, ``*.zip``; replaced in one step.

    Examples
    --------
    >>> from autods.zoo import load_card
    >>> from autods.zoo.bioimageio import export_bioimageio
    >>> export_bioimageio(load_card("mixture_general"), "general.zip")
    Traceback (most recent call last):
    autods.core.errors.UserError: model mixture_general gives no heatmap: export one of the family heatmap
    """
    if card.family != "heatmap":
        raise UserError(f"model {card.name} gives no heatmap: export one of the family heatmap")
    network = RawHeatmap(load_model(card), card.normalization).eval()
    frames = _test_frames(card)
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(frames)).numpy()
    with TemporaryDirectory() as folder, atomic_path(Path(path)) as part:
        weights = write_onnx(network, Path(folder, _WEIGHTS))
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
            package.write(weights, _WEIGHTS)
            package.writestr(_PAGE, _page(card))
            package.writestr(_COVER, _cover(frames, heatmaps))
            for name, array in (("frames", frames), ("heatmap", heatmaps)):
                package.writestr(f"test_{name}.npy", _npy(array))
            described = yaml.safe_dump(_description(card, weights), sort_keys=False, allow_unicode=True)
            package.writestr("rdf.yaml", described)
    return Path(path)


def _test_frames(card: ModelCard) -> NDArray[np.float32]:
    """Draw one frame (1, 1, Y, X) of emitters of the card's width on a background, camera values."""
    generator = torch.Generator().manual_seed(0)
    pixel_nm, side = card.optics.pixel_size_nm, _TEST_SIDE_PX
    places = (torch.rand(_TEST_EMITTERS, 3, generator=generator) - 0.5) * (0.8 * side * pixel_nm)
    light = GaussianPSF(pixel_nm, card.optics.psf_sigma_nm)(places, side).sum(0) * _TEST_PHOTONS
    counts = 100 + torch.poisson(light + _TEST_BACKGROUND, generator=generator)
    return counts.numpy().astype(np.float32)[None, None]


def _description(card: ModelCard, weights: Path) -> dict[str, Any]:
    import onnx

    upsampling = int(card.representation.args["upsampling"])
    pixel_nm = card.optics.pixel_size_nm
    opset = max(one.version for one in onnx.load(str(weights)).opset_import if one.domain in ("", "ai.onnx"))
    told = f"Frames of a camera, any linear unit, {pixel_nm:g} nm pixels."
    drawn = f"A spot an emitter; {upsampling} pixels a camera pixel."
    bound = {axis: {"tensor_id": "frames", "axis_id": axis} for axis in "yx"}
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": f"autods {card.name} localization heatmap",
        "description": card.description,
        "authors": [{"name": "The autods developers"}],
        "cite": [{"text": _PAPER_TITLE, "doi": _PAPER}],
        "license": card.licence,
        "documentation": _PAGE,
        "covers": [_COVER],
        "tags": [
            "2d",
            "fluorescence",
            "pytorch",
            "single-molecule-localization-microscopy",
            "super-resolution",
        ],
        "version": __version__,
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": [_tensor("frames", told, pixel_nm, {axis: {"min": LEAST_PX, "step": 1} for axis in "yx"})],
        "outputs": [_tensor("heatmap", drawn, pixel_nm / upsampling, bound)],
        "weights": {"onnx": {"source": _WEIGHTS, "opset_version": opset}},
    }


def _tensor(name: str, told: str, pixel_nm: float, sizes: dict[str, Any]) -> dict[str, Any]:
    space = {"type": "space", "unit": "nanometer", "scale": pixel_nm}
    channel = {"type": "channel", "channel_names": ["intensity"]}
    return {
        "id": name,
        "description": told,
        "axes": [{"type": "batch"}, channel, *({**space, "id": axis, "size": sizes[axis]} for axis in "yx")],
        "data": {"type": "float32", "range": [None, None], "unit": "arbitrary unit"},
        "test_tensor": {"source": f"test_{name}.npy"},
    }


def _page(card: ModelCard) -> str:
    density, snr, optics = card.density_per_um2, card.snr, card.optics
    low, high = (
        optics.psf_sigma_low_nm or optics.psf_sigma_nm,
        optics.psf_sigma_high_nm or optics.psf_sigma_nm,
    )
    scores = ", ".join(f"{name} {value:g}" for name, value in card.metrics.items())
    return f"""# {card.name}

{card.description}

Trained for {density.low:g} to {density.high:g} emitters per um^2 and frame, signal-to-noise ratios of
{snr.low:g} to {snr.high:g}, PSF standard deviations of {low:g} to {high:g} nm and pixels of
{optics.pixel_size_nm:g} nm.

Give it frames as the camera gives them: the normalization is part of the network. The heatmap shows a spot
where an emitter is; maxima over {card.threshold:g} are detections. Whole movies, with positions, photons and
errors: `autods localize`.

## Validation

On fixed simulated frames of its own conditions: {scores}.
"""


def _npy(array: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _cover(frames: NDArray[np.float32], heatmaps: NDArray[np.float32]) -> bytes:
    """Draw the test frame beside its heatmap, as PNG."""
    from PIL import Image

    side = heatmaps.shape[-1]
    images = []
    for image in (frames[0, 0], heatmaps[0, 0]):
        scaled = 255 * (image - image.min()) / max(float(np.ptp(image)), 1e-9)
        drawn = Image.fromarray(scaled.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
        images.append(np.asarray(drawn))
    file = io.BytesIO()
    Image.fromarray(np.hstack(images)).save(file, format="PNG")
    return file.getvalue()
