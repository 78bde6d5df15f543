"""The page of the models, from their cards: ``python scripts/model_cards.py docs/models.md [docs/figures]``.

With a folder as second word, each model's picture is drawn there, too: a simulated frame of the conditions
that it was trained for, with what is there and what the model finds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import autods
from autods.io.atomic import atomic_path
from autods.zoo import ModelCard, load_card
from autods.zoo.registry import list_models

HEAD = """# The models

Made by `python scripts/model_cards.py docs/models.md` from `models/*/card.yaml`. All weights are
safetensors, MIT-licensed like the code, and verified by their SHA-256 when they are loaded. A density is in
emitters per um^2 and frame. Scores are those on fixed simulated frames of the model's own conditions, so
they do not compare across models: for that see [how good it is](results.md).

| model | family | density | SNR | PSF sigma, nm | threshold | Jaccard | RMSE, nm |
|---|---|---|---|---|---|---|---|
"""
EXPORT = """
## Export

```python
from autods.zoo import load_card
from autods.zoo.export import export_onnx

export_onnx(load_card("diff_1"), "diff_1.onnx")
```

writes the network as ONNX (`pip install onnx onnxscript`): input `frames` (B, C, Y, X), normalised as
`autods.networks.normalize(frames, card.normalization)` does; output as the card's representation says, a
heatmap of `upsampling` pixels a camera pixel for the heatmap family. `tests/zoo/test_export.py` compares
the numbers with those of PyTorch, at sizes other than that of the export. `universal` is told a PSF beside
the frame and has no such form.
"""


def main(page: Path, figures: Path | None) -> None:
    """Write the page, and the pictures where a folder is given."""
    cards = [load_card(name) for name in list_models()]
    parts = [HEAD + "\n".join(map(_row, cards)) + "\n", EXPORT, *(_section(card) for card in cards)]
    with atomic_path(page) as part:
        part.write_text("".join(parts), encoding="utf-8")
    for card in cards if figures else []:
        if card.family != "universal":
            _draw(card, figures / f"model_{card.name}.png")


def _row(card: ModelCard) -> str:
    density, snr, optics = card.density_per_um2, card.snr, card.optics
    low, high = optics.psf_sigma_low_nm, optics.psf_sigma_high_nm
    width = f"{low:g} to {high:g}" if low and high else f"{optics.psf_sigma_nm:g}"
    scores = [card.metrics.get(name) for name in ("jaccard", "rmse_nm")]
    shown = [f"{scores[0]:.3f}" if scores[0] else "-", f"{scores[1]:.1f}" if scores[1] else "-"]
    cells = [
        f"[{card.name}](#{card.name})",
        card.family,
        f"{density.low:g} to {density.high:g}",
        f"{snr.low:g} to {snr.high:g}",
        width,
        f"{card.threshold:g}",
        *shown,
    ]
    return f"| {' | '.join(cells)} |"


def _section(card: ModelCard) -> str:
    training = card.training
    known = {
        key: training[key]
        for key in ("max_steps", "max_minutes", "batch_size", "size_px", "seed")
        if training.get(key) is not None
    }
    facts = ", ".join(f"`{key}` {value}" for key, value in known.items())
    lines = [f"\n## {card.name}\n\n{card.description or 'A model of the ' + card.family + ' family.'}\n"]
    if card.family == "universal":
        lines.append(
            "Trained by `python scripts/train_universal.py`; see [3D without training](instant3d.md).\n"
        )
    else:
        lines.append(f"![A frame of its conditions, and what it finds](figures/model_{card.name}.png)\n")
        command = f"autods zoo build budget=gpu only=[{card.name}]"
        lines.append(f"Trained by `{command}` ({facts}).\n")
    arguments = ", ".join(f"{key} {value}" for key, value in card.network.args.items())
    lines.append(
        f"Network `{card.network.name}` ({arguments}); normalization `{card.normalization}`;"
        f" SHA-256 of the weights `{card.weights_sha256[:16]}...`.\n"
    )
    return "\n".join(lines)


def _draw(card: ModelCard, path: Path) -> None:
    from matplotlib.figure import Figure

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
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(made.frames[0], cmap="gray", extent=(0, 48 * pixel_nm, 48 * pixel_nm, 0))
    axes.plot(made.truth.x_nm, made.truth.y_nm, "o", mfc="none", mec="tab:green", ms=9, label="there")
    axes.plot(table.x_nm, table.y_nm, "+", c="tab:red", ms=7, label="found")
    axes.legend(loc="upper right", fontsize=7)
    axes.set(xticks=[], yticks=[], title=f"{density:g} per um$^2$, SNR {card.snr.mean:g}")
    with atomic_path(path) as part:
        figure.savefig(part, dpi=80, format="png")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
