"""AutoDS3D beside DeepSTORM3D with and without upsampling, trained and tested under the same conditions."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autods.core import Camera
from autods.inference import pick_device
from autods.io.result_tables import Cell, Row, Table
from autods.optics import PSFModel
from autods.simulation import VolumeConditions
from benchmarks.style import COLOURS, panels
from benchmarks.suite import SuiteResult
from benchmarks.volumes import Tested, Trained, VolumeComparison, VolumeTraining

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ds3dCompare:
    """The suite ``ds3d_compare``.

    Parameters
    ----------
    psf
        The PSF.
    conditions
        Of the training; the tests take its noise.
    training
        Size and length of each training.
    variants
        Names of :data:`~benchmarks.volumes.VARIANTS`.
    emitters
        Emitters a frame in the tests.
    brightness
        Lowest and highest photons of the emitters in the tests, by what their SNR is called.
    test_frames, test_size_px
        Frames of each test and their side.
    groups
        Into so many groups the frames of a test are divided, each a point of the box plots.
    radius_nm, axial_radius_nm
        Largest distance of a match, laterally and along z.
    folder
        Keeps checkpoints, so that a repeated call goes on; None keeps nothing.
    device
        Where to compute.
    """

    psf: PSFModel
    conditions: VolumeConditions
    training: VolumeTraining = field(default_factory=VolumeTraining)
    variants: Sequence[str] = ("AutoDS3D", "DS3D x4", "DS3D x1")
    emitters: Sequence[int] = (2, 5, 10)
    brightness: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"high": (4000.0, 5000.0), "low": (1000.0, 1500.0)}
    )
    test_frames: int = 80
    test_size_px: int = 64
    groups: int = 10
    radius_nm: float = 100.0
    axial_radius_nm: float = 500.0
    folder: Path | str | None = None
    device: str = "auto"
    name: str = "ds3d_compare"

    def run(self) -> SuiteResult:
        """Train each network, then test all on the same frames.

        Raises
        ------
        UserError
            If a variant is not known.
        """
        comparison = VolumeComparison(
            self.psf,
            self.conditions,
            self.training,
            self.radius_nm,
            self.axial_radius_nm,
            pick_device(self.device),
        )
        scores: list[Row] = []
        groups: list[Row] = []
        times: list[Row] = []
        for name, trained in comparison.train_each(self.variants, self.folder):
            places = list(itertools.product(self.brightness, self.emitters))
            tests = {place: self._test(comparison, trained, *place) for place in places}
            for (snr, n), tested in tests.items():
                density = self._density(n)
                place: Row = {"network": name, "snr": snr, "emitters": n, "density_per_um2": density}
                scores.append({**place, **self._scores(tested, None)})
                groups += [{**place, **row} for row in self._group_rows(tested)]
            times.append({"network": name, **self._times(trained, list(tests.values()))})
            logger.info("%s: done", name)
        low, high = self.conditions.z_min_nm, self.conditions.z_max_nm
        notes = [
            f"All networks: the same PSF, {self.training.steps} steps of {self.training.batch_size} frames of"
            f" {self.training.size_px} x {self.training.size_px} px, width {self.training.width},"
            f" {self.training.n_slices} slices over {low:g} to {high:g} nm, the same {self.test_frames} test"
            f" frames; threshold of the best Jaccard index on the validation set. Matches within"
            f" {self.radius_nm:g} nm laterally and {self.axial_radius_nm:g} nm axially.",
            "Data generation: drawing of the training frames, timed apart; training: the rest, validations"
            " included. Inference: the network alone; post-processing: from its output to positions.",
        ]
        tables = [
            Table("results", "Detection and precision", scores),
            Table("times", "Times and sizes", times),
            Table("groups", f"Groups of {max(self.test_frames // self.groups, 1)} frames", groups),
        ]
        figures = {"boxes": _boxes(groups), "radar": _radar(scores, times)}
        return SuiteResult("Three networks for 3D, trained alike", tables, figures, notes)

    def _density(self, emitters: int) -> float:
        edge_px = max(self.conditions.edge_px, 0)
        side_um = (self.test_size_px - 2 * edge_px) * self.conditions.pixel_size_nm * 1e-3
        return emitters / side_um**2

    def _test(self, comparison: VolumeComparison, trained: Trained, snr: str, emitters: int) -> Tested:
        low, high = self.brightness[snr]
        conditions = dataclasses.replace(
            self.conditions, n_emitters=(emitters, emitters), photons=(low, high)
        )
        return comparison.test(trained, conditions, self.test_frames, self.test_size_px, Camera())

    def _scores(self, tested: Tested, frames: tuple[int, int] | None) -> dict[str, Cell]:
        scores = tested.score(self.radius_nm, self.axial_radius_nm, frames)
        return {
            "jaccard": scores.jaccard,
            "precision": scores.precision,
            "recall": scores.recall,
            "rmse_lateral_nm": scores.rmse_lateral_nm,
            "rmse_axial_nm": scores.rmse_axial_nm,
        }

    def _group_rows(self, tested: Tested) -> list[dict[str, Cell]]:
        edges = np.linspace(0, self.test_frames, self.groups + 1).astype(int).tolist()
        pairs = enumerate(itertools.pairwise(edges))
        return [{"group": index, **self._scores(tested, pair)} for index, pair in pairs]

    def _times(self, trained: Trained, tests: Sequence[Tested]) -> dict[str, Cell]:
        frames = self.test_frames * len(tests)
        return {
            "generation_s": trained.generation_s,
            "training_s": trained.training_s,
            "inference_ms_per_frame": 1e3 * sum(test.inference_s for test in tests) / frames,
            "postprocessing_ms_per_frame": 1e3 * sum(test.decoding_s for test in tests) / frames,
            "peak_memory_mb": max(test.peak_mb for test in tests),
            "parameters": trained.parameters,
            "steps": trained.steps,
            "threshold": trained.scores["threshold"],
        }


def _boxes(groups: Sequence[Row]) -> Figure:
    """Draw box plots of the groups' scores, by SNR, number of emitters and network."""
    networks = list(dict.fromkeys(row["network"] for row in groups))
    tests = list(dict.fromkeys((row["snr"], row["emitters"]) for row in groups))
    figure, axes = panels(3)
    labels = {
        "jaccard": "Jaccard index",
        "rmse_lateral_nm": "lateral RMSE, nm",
        "rmse_axial_nm": "axial RMSE, nm",
    }
    width = 0.8 / len(networks)
    for axis, (column, label) in zip(axes, labels.items(), strict=True):
        for index, network in enumerate(networks):
            values = [
                [
                    float(row[column] or 0)
                    for row in groups
                    if row["network"] == network
                    and (row["snr"], row["emitters"]) == test
                    and row[column] == row[column]
                ]
                for test in tests
            ]
            places = np.arange(len(tests)) + (index - (len(networks) - 1) / 2) * width
            drawn = axis.boxplot(
                values,
                positions=places,
                widths=0.8 * width,
                patch_artist=True,
                sym=".",
                medianprops={"color": "black"},
            )
            for box in drawn["boxes"]:
                box.set(facecolor=COLOURS[index], alpha=0.7)
        axis.set_xticks(range(len(tests)), [f"{n}\n{snr}" for snr, n in tests])
        axis.set(xlabel="emitters a frame, SNR", ylabel=label)
    handles = [axes[0].plot([], [], "s", color=COLOURS[index])[0] for index in range(len(networks))]
    axes[0].legend(handles, [str(name) for name in networks], frameon=False, fontsize=8)
    return figure


def _radar(scores: Sequence[Row], times: Sequence[Row]) -> Figure:
    """Draw what each network reaches of the best, on seven axes: the middle test of the first SNR."""
    from matplotlib.figure import Figure

    emitters = list(dict.fromkeys(row["emitters"] for row in scores))
    chosen = scores[0]["snr"], emitters[len(emitters) // 2]
    middle = {row["network"]: row for row in scores if (row["snr"], row["emitters"]) == chosen}
    merged = {str(row["network"]): {**row, **middle[row["network"]]} for row in times}
    spokes = {
        "jaccard": "Jaccard",
        "rmse_lateral_nm": "lateral precision",
        "rmse_axial_nm": "axial precision",
        "generation_s": "data generation",
        "training_s": "training",
        "inference_ms_per_frame": "inference",
        "postprocessing_ms_per_frame": "post-processing",
    }
    goodness = {name: [_goodness(key, row) for key in spokes] for name, row in merged.items()}
    best = np.nanmax(np.array(list(goodness.values())), axis=0)
    angle = np.linspace(0, 2 * np.pi, len(spokes), endpoint=False)
    figure = Figure(figsize=(5.2, 4.4), layout="constrained", dpi=130)
    axis = figure.add_subplot(projection="polar")
    for index, (name, values) in enumerate(goodness.items()):
        relative = np.nan_to_num(np.array(values) / np.where(best > 0, best, 1))
        closed = np.append(relative, relative[0])
        axis.plot(np.append(angle, angle[0]), closed, "o-", ms=3, color=COLOURS[index], label=name)
    axis.set_xticks(angle, list(spokes.values()), size=8)
    axis.tick_params(axis="x", pad=12)
    axis.tick_params(axis="y", labelsize=6)
    axis.set_ylim(0, 1.05)
    figure.legend(loc="outside lower center", ncols=len(goodness), frameon=False, fontsize=8)
    return figure


def _goodness(key: str, row: Row) -> float:
    """Return a number that grows with what is better: errors and times are inverted."""
    value = float(row[key] or "nan")
    return value if key == "jaccard" else 1 / max(value, 1e-9)
