"""The pages of the models, from their cards: ``python scripts/model_cards.py docs [--figures]``.

With ``--figures`` each model's picture is drawn, too: a simulated frame of the conditions that it was trained
for, with what is there and what the model finds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import autods
from autods.core import LocalizationTable
from autods.io.atomic import atomic_path
from autods.zoo import ModelCard, load_card
from autods.zoo.registry import list_models

HEAD = """# The models

Made by `python scripts/model_cards.py docs` from `models/*/card.yaml`; each model has a page with its
picture, what it was trained for, and the command that trains it. All weights are safetensors, MIT-licensed
like the code, and verified by their SHA-256 when they are loaded. A density is in emitters per um^2 and
frame. Scores are those on fixed simulated frames of the model's own conditions, so they do not compare
across models: for that see [how good it is](results.md).

| model | family | density | SNR | PSF sigma, nm | threshold | Jaccard | RMSE, nm |
|---|---|---|---|---|---|---|---|
"""
EXPORT = """
`diff_1` to `diff_4` are the paper's four Deep-STORM models (table 2); `mixture_*` give positions with
errors in place of a heatmap and are the default; `universal` is told the PSF and serves 3D. [How a movie's
patches get theirs](localize.md).

## Export

```python
from autods.zoo import load_card
from autods.zoo.bioimageio import export_bioimageio
from autods.zoo.export import export_onnx

export_onnx(load_card("diff_1"), "diff_1.onnx")
export_bioimageio(load_card("diff_1"), "diff_1.zip")
```

The first writes the network as ONNX (`pip install onnx onnxscript`): input `frames` (B, C, Y, X),
normalised as `autods.networks.normalize(frames, card.normalization)` does; output as the card's
representation says, a heatmap of `upsampling` pixels a camera pixel for the heatmap family.

The second writes a package of [bioimage.io](https://bioimage.io) for programs that run such models
(deepImageJ, ilastik, QuPath): ONNX with the normalization in front, so that frames go in as the camera
gives them, `rdf.yaml`, a test frame with its heatmap, a cover. It is for the heatmap family, whose output
is a picture.

`tests/zoo/test_export.py` compares the numbers of both with those of PyTorch, at sizes other than that of
the export, and has the package validated by `bioimageio.spec`. `universal` is told a PSF beside the frame
and has no such form.
"""
#: Settings of a training that its page tells.
FACTS = (
    "max_steps",
    "max_minutes",
    "minutes",
    "batch_size",
    "size_px",
    "learning_rate",
    "warm_start",
    "seed",
)


def main(folder: Path, *, figures: bool) -> None:
    """Write the pages into a folder of docs, and the pictures where they are asked for."""
    cards = [load_card(name) for name in list_models()]
    pages = {folder / "models.md": HEAD + "\n".join(map(_row, cards)) + "\n" + EXPORT}
    pages |= {folder / "models" / f"{card.name}.md": _page(card) for card in cards}
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(text, encoding="utf-8")
    for card in cards if figures else []:
        draw = _draw_3d if card.family == "universal" else _draw
        draw(card, folder / "figures" / f"model_{card.name}.png")


def _row(card: ModelCard) -> str:
    density, snr, optics = card.density_per_um2, card.snr, card.optics
    low, high = optics.psf_sigma_low_nm, optics.psf_sigma_high_nm
    width = f"{low:g} to {high:g}" if low and high else f"{optics.psf_sigma_nm:g}"
    scores = [card.metrics.get(name) for name in ("jaccard", "rmse_nm")]
    shown = [f"{scores[0]:.3f}" if scores[0] else "-", f"{scores[1]:.1f}" if scores[1] else "-"]
    cells = [
        f"[{card.name}](models/{card.name}.md)",
        card.family,
        f"{density.low:g} to {density.high:g}",
        f"{snr.low:g} to {snr.high:g}",
        width,
        f"{card.threshold:g}",
        *shown,
    ]
    return f"| {' | '.join(cells)} |"


def _page(card: ModelCard) -> str:
    command = f"autods zoo build budget=gpu only=[{card.name}]"
    place = (
        f"Pixels of {card.optics.pixel_size_nm:g} nm; a movie with others is brought to them."
        " Outside of these ranges a report warns."
    )
    if card.family == "universal":
        command = "python scripts/train_universal.py --out weights.safetensors"
        place = "Of any PSF that it is told, whatever the pixel. [3D without training](../instant3d.md)"
    facts = ", ".join(f"`{key}` {card.training[key]}" for key in FACTS if card.training.get(key) is not None)
    arguments = ", ".join(f"{key} {value}" for key, value in card.network.args.items())
    scores = "\n".join(f"| {name} | {value:g} |" for name, value in card.metrics.items())
    ranges = "\n".join(f"| {name} | {low:g} to {high:g} |" for name, low, high in _ranges(card))
    return f"""# {card.name}

{card.description or f"A model of the {card.family} family."}

![A simulated frame of its conditions: circles are there, crosses are found](../figures/model_{card.name}.png)

## Trained for

| | lowest to highest |
|---|---|
{ranges}

{place}

## Trained by

```bash
{command}
```

({facts}). Network `{card.network.name}` ({arguments}); normalization `{card.normalization}`;
threshold {card.threshold:g}.

## Scores

On fixed simulated frames of its own conditions:

| | |
|---|---|
{scores}

## Licence

Weights: {card.licence}. SHA-256 `{card.weights_sha256}`.

[All models](../models.md)
"""


def _ranges(card: ModelCard) -> Iterator[tuple[str, float, float]]:
    """Yield what is drawn anew for each frame of the training, with its unit, lowest and highest."""
    optics = card.optics
    yield "emitters per um^2 and frame", card.density_per_um2.low, card.density_per_um2.high
    yield "signal-to-noise ratio", card.snr.low, card.snr.high
    if optics.psf_sigma_low_nm and optics.psf_sigma_high_nm:
        yield "PSF standard deviation, nm", optics.psf_sigma_low_nm, optics.psf_sigma_high_nm
    background: dict[str, Any] = card.training.get("conditions", {}).get("background", {})
    if "low" in background:
        yield "background, photons a pixel", background["low"], background["high"]


def _draw(card: ModelCard, path: Path) -> None:
    density, pixel_nm = card.density_per_um2.mean, card.optics.pixel_size_nm
    amplitude = card.snr.mean * np.sqrt(20.0) * 2 * np.pi * (card.optics.psf_sigma_nm / pixel_nm) ** 2
    made = autods.simulate(
        n_frames=1,
        size_px=48,
        structure="uniform",
        density_per_um2=density,
        photons=float(amplitude),
        seed=7,
        gradient=0.0,
        blobs=0.0,
        on_frames=50.0,
        optics=autods.OpticalSystem(pixel_nm, 660.0, 1.4),
    )
    table = autods.localize(
        made.frames,
        pixel_size_nm=pixel_nm,
        selection=f"fixed:{card.name}",
        family=card.family if card.family in ("heatmap", "mixture") else None,
        offset_adu=100.0,
        e_per_adu=0.5,
        qe=0.9,
        read_noise_e=1.5,
        drift="none",
        device="cpu",
    )
    title = f"{density:g} per um$^2$, SNR {card.snr.mean:g}"
    _save(made.frames[0], pixel_nm, made.truth, table, title, path)


def _draw_3d(card: ModelCard, path: Path) -> None:
    """Draw what the model finds in depth, told an astigmatic PSF."""
    pixel_nm, z_nm = card.optics.pixel_size_nm, {"z_min_nm": -300.0, "z_max_nm": 300.0}
    known = {"psf": "astigmatic_gaussian", **z_nm}
    made = autods.simulate(
        n_frames=20, size_px=48, structure="uniform", density_per_um2=0.3, photons=4000, seed=7, **known
    )
    with tempfile.TemporaryDirectory() as folder:
        table = autods.localize3d(
            made.frames, folder, pixel_size_nm=pixel_nm, wavelength_nm=660, na=1.4, preset="instant", **known
        )
    assert table is not None
    first = (of.select(of.frame == 0) for of in (made.truth, table))
    _save(made.frames[0], pixel_nm, *first, "in depth: told an astigmatic PSF", path)


def _save(
    frame: np.ndarray,
    pixel_nm: float,
    truth: LocalizationTable,
    found: LocalizationTable,
    title: str,
    path: Path,
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    height, width = frame.shape
    axes.imshow(frame, cmap="gray", extent=(0, width * pixel_nm, height * pixel_nm, 0))
    axes.plot(truth.x_nm, truth.y_nm, "o", mfc="none", mec="tab:green", ms=9, label="there")
    axes.plot(found.x_nm, found.y_nm, "+", c="tab:red", ms=7, label="found")
    axes.legend(loc="upper right", fontsize=7)
    axes.set(xticks=[], yticks=[], title=title)
    with atomic_path(path) as part:
        figure.savefig(part, dpi=80, format="png")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="docs")
    parser.add_argument("--figures", action="store_true", help="draw the pictures, too")
    given = parser.parse_args()
    main(given.folder, figures=given.figures)
