"""Speed and accuracy of networks of several widths."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from autods.inference import Localizer, pick_device
from autods.io.result_tables import Cell, Row, Table
from autods.networks import build_network, normalize
from autods.representation import build_representation
from autods.zoo.card import ModelCard
from benchmarks.contenders import zoo_cards
from benchmarks.style import lines, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAMILY = {"pixel": "mixture", "subpixel": "heatmap"}


@dataclass(frozen=True)
class Widths:
    """The suite ``widths``.

    Parameters
    ----------
    networks
        Names of networks that have a width: ``pixel`` (mixture), ``subpixel`` (heatmap).
    widths
        Channels of the convolutions.
    args
        Further arguments of the networks, by name.
    n_frames, size_px
        Frames that are timed, and their side.
    repeats
        How often each is timed; the fastest counts.
    trained
        Folders of models, each laid out as a zoo: the accuracy on their cards is shown where network and
        width agree.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    """

    networks: Sequence[str] = ("pixel", "subpixel")
    widths: Sequence[int] = (16, 24, 32, 48, 64)
    args: dict[str, Any] | None = None
    n_frames: int = 8
    size_px: int = 256
    repeats: int = 3
    trained: Sequence[Path | str] = ()
    zoo: Path | str | None = None
    device: str = "auto"
    name: str = "widths"

    def run(self) -> SuiteResult:
        """Time each network with random weights; look up what trained ones reached."""
        cards = zoo_cards(None if self.zoo is None else Path(self.zoo))
        for folder in self.trained:
            cards += zoo_cards(Path(folder))
        rows = [self._row(name, width, cards) for name in self.networks for width in self.widths]
        notes = [
            f"Network alone (normalisation, convolutions) on {self.n_frames} frames of {self.size_px} x"
            f" {self.size_px} px, {torch.get_num_threads()} threads, the fastest of {self.repeats}; decoding"
            " and the fit of photons come on top. Accuracy: the card's, of the named model, each on the fixed"
            " test set of its own conditions.",
        ]
        tables = [Table("results", "Speed and accuracy against width", rows)]
        return SuiteResult("Width of the networks", tables, {"against_width": _figure(rows)}, notes)

    def _row(self, name: str, width: int, cards: Sequence[ModelCard]) -> dict[str, Cell]:
        arguments = {"width": width, **((self.args or {}).get(name) or {})}
        network = build_network(name, **arguments)
        seconds = self._seconds(network, _FAMILY[name], int(arguments.get("upsampling", 4)))
        same = [card for card in cards if card.network.name == name and card.network.args["width"] == width]
        best = max(same, key=lambda card: (card.generalist, card.metrics.get("jaccard", 0)), default=None)
        row: dict[str, Cell] = {
            "network": name,
            "width": width,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "seconds": seconds,
            "megapixels_per_s": self.n_frames * self.size_px**2 * 1e-6 / seconds,
        }
        scores = {} if best is None else best.metrics
        row["model"] = None if best is None else best.name
        return {**row, "jaccard": scores.get("jaccard"), "rmse_nm": scores.get("rmse_nm")}

    @torch.inference_mode()
    def _seconds(self, network: torch.nn.Module, family: str, upsampling: int) -> float:
        device = pick_device(self.device)
        extra = {"upsampling": upsampling} if family == "heatmap" else {}
        representation = build_representation(family, pixel_size_nm=100.0, **extra)
        localizer = Localizer(network.eval(), representation, "noise", 0.5, device)
        generator = torch.Generator().manual_seed(0)
        frames = torch.poisson(torch.full((self.n_frames, 1, self.size_px, self.size_px), 20.0), generator)
        times = []
        for _ in range(self.repeats + 1):
            start = time.perf_counter()
            for frame in frames:
                normal = normalize(frame[None].to(device), localizer.normalization)
                localizer.network(normal.contiguous(memory_format=torch.channels_last))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
        return min(times[1:])


def _figure(rows: Sequence[Row]) -> Figure:
    networks = list(dict.fromkeys(str(row["network"]) for row in rows))
    widths = list(dict.fromkeys(float(row["width"] or 0) for row in rows))
    figure, axes = panels(2)
    shown = {"megapixels_per_s": "megapixels per second", "jaccard": "Jaccard index of trained models"}
    for axis, (column, label) in zip(axes, shown.items(), strict=True):
        series = {
            name: [float(row[column] or "nan") for row in rows if row["network"] == name] for name in networks
        }
        lines(axis, widths, series, ("width, channels", label))
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False, fontsize=8)
    return figure
