"""Speed and memory: the shipped networks beside the paper's in the whole pipeline, and the simulation."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from autods.core import Camera, EmitterBatch, LocalizationTable, OpticalSystem, UserError
from autods.io.result_tables import Cell, Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.networks import build_network
from autods.pipelines.autods import localize
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.simulate import TRUTH_FILE, SimulationSettings, simulate_to_folder
from autods.simulation import GaussianRenderer, PsfBankRenderer, Scenes, Simulator
from autods.zoo.card import Component, ModelCard
from autods.zoo.registry import save_model
from benchmarks.contenders import Contender, Family, settings_for, zoo_cards
from benchmarks.fields import CAMERA
from benchmarks.measure import Measured, measured
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

#: The paper's network; its heatmap has 8 x 8 pixels a camera pixel.
_PAPER_NETWORK, _PAPER_UPSAMPLING = "deepstorm", 8
_OPTICS = OpticalSystem(100.0, wavelength_nm=660.0, na=1.3)
_EMITTERS_PER_PATCH, _PATCH_PX, _BATCH = 20, 40, 16


@dataclass(frozen=True)
class Speed:
    """The suite ``speed``.

    Parameters
    ----------
    n_frames, size_px
        Movie on which the shipped network runs beside the paper's.
    mixture_frames, mixture_size_px
        Movie for the mixture family; 0 frames leave it out.
    density_per_um2
        Emitters per um^2 and frame of both movies.
    simulation_batches
        Batches of 16 training patches of 40 x 40 px with 20 emitters each.
    repeats
        How often each run is timed; the fastest counts.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    seed
        Of the simulation.
    """

    n_frames: int = 100
    size_px: int = 256
    mixture_frames: int = 100
    mixture_size_px: int = 512
    density_per_um2: float = 0.5
    simulation_batches: int = 40
    repeats: int = 1
    zoo: Path | str | None = None
    device: str = "auto"
    seed: int = 0
    name: str = "speed"

    def run(self) -> SuiteResult:
        """Simulate, time and compare.

        Raises
        ------
        UserError
            If the zoo has neither family.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        families = {card.family for card in zoo_cards(zoo)}
        if not families:
            raise UserError(f"{zoo or 'the shipped zoo'} holds no model: build the zoo, or give zoo=DIR")
        rows: list[Row] = []
        notes = [
            "Whole pipeline: read, measure, localize, fit photons, after a warm-up. `cpu_s` is the"
            " processor time of all threads; memory is the peak of the whole process, sampled every 20 ms.",
        ]
        with TemporaryDirectory(prefix="autods-speed-") as folder:
            if "heatmap" in families:
                compared, more = self._compare(Path(folder), zoo)
                rows, notes = [*rows, *compared], [*notes, *more]
            else:
                notes.append("The paper's network is left out: the zoo has no heatmap model beside it.")
            if "mixture" in families and self.mixture_frames:
                rows.append(self._mixture(Path(folder), zoo))
        table = Table("results", "Whole pipeline", rows)
        simulation = Table("simulation", "Simulation of training patches, one thread", [self._simulation()])
        return SuiteResult("Speed and memory", [table, simulation], {}, notes)

    def _compare(self, folder: Path, zoo: Path | None) -> tuple[list[Row], list[str]]:
        """Time the shipped heatmap models and the paper's network on the same movie."""
        cards = zoo_cards(zoo)
        trained = [card for card in cards if card.network.name == _PAPER_NETWORK]
        shipped = next(card for card in cards if card.family == "heatmap" and card not in trained)
        movie = self._movie(folder / "compared", self.n_frames, self.size_px)
        paper = trained[0] if trained else paper_model(shipped, folder / "zoo")
        seconds = {}
        rows: list[Row] = []
        for label, card in (("shipped", shipped), ("paper's", paper)):
            assert card.folder is not None
            settings = self._settings("heatmap", f"fixed:{card.name}", card.folder.parent)
            found, cost = self._time(movie, settings)
            seconds[label] = cost
            row = self._row(f"{label}: {card.network.name}", self.n_frames, self.size_px, cost)
            if card is shipped or trained:
                row["jaccard"] = self._jaccard(movie, found)
            rows.append(row)
        ratio = seconds["paper's"].seconds / seconds["shipped"].seconds
        cpu_ratio = seconds["paper's"].cpu_seconds / seconds["shipped"].cpu_seconds
        notes = [
            f"The shipped network is {ratio:.1f} times as fast as the paper's in the whole pipeline"
            f" ({cpu_ratio:.1f} times by processor time)."
        ]
        if not trained:
            notes.append(
                "The paper's network has random weights and a threshold that nothing passes: its time holds"
                " no work per localization (decoding, fitting of photons): the ratio is a lower limit."
            )
        return rows, notes

    def _mixture(self, folder: Path, zoo: Path | None) -> Row:
        movie = self._movie(folder / "mixture", self.mixture_frames, self.mixture_size_px)
        found, cost = self._time(movie, self._settings("mixture", "auto", zoo))
        row = self._row("mixture", self.mixture_frames, self.mixture_size_px, cost)
        return {**row, "jaccard": self._jaccard(movie, found)}

    def _movie(self, folder: Path, n_frames: int, size_px: int) -> Path:
        settings = SimulationSettings(
            _OPTICS,
            CAMERA,
            n_frames=n_frames,
            size_px=size_px,
            structure="uniform",
            density_per_um2=self.density_per_um2,
            seed=self.seed,
        )
        return simulate_to_folder(settings, folder)

    def _settings(self, family: Family, selection: str, zoo: Path | None) -> LocalizeSettings:
        return settings_for(Contender(family, selection), _OPTICS.pixel_size_nm, CAMERA, zoo, self.device)

    def _time(self, movie: Path, settings: LocalizeSettings) -> tuple[LocalizationTable, Measured]:
        """Localize; return the table and the fastest of the repeats, after a run of two frames to warm up."""
        localize(movie, dataclasses.replace(settings, frames=slice(0, 2)))
        costs = []
        for _ in range(self.repeats):
            with measured() as cost:
                table = localize(movie, settings)
            costs.append(cost)
        return table, min(costs, key=lambda cost: cost.seconds)

    def _row(self, what: str, n_frames: int, size_px: int, cost: Measured) -> dict[str, Cell]:
        logger.info("%s: %.1f s", what, cost.seconds)
        return {
            "network": what,
            "frames": n_frames,
            "size_px": size_px,
            "seconds": cost.seconds,
            "cpu_s": cost.cpu_seconds,
            "frames_per_s": n_frames / cost.seconds,
            "megapixels_per_s": n_frames * size_px**2 * 1e-6 / cost.seconds,
            "peak_memory_mb": cost.peak_mb,
        }

    def _jaccard(self, movie: Path, found: LocalizationTable) -> float:
        return detection_metrics(read_table(movie.with_name(TRUTH_FILE)), found).jaccard

    def _simulation(self) -> Row:
        """Time the training patches, with both PSF models and with cameras of three kinds."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        pixel_nm = _OPTICS.pixel_size_nm
        simulator = training_simulator(pixel_nm)
        try:
            with measured() as cost:
                draw_patches(simulator, pixel_nm, self.simulation_batches, self.seed)
        finally:
            torch.set_num_threads(before)
        n = self.simulation_batches * _BATCH
        return {
            "patches": n,
            "size_px": _PATCH_PX,
            "emitters": _EMITTERS_PER_PATCH,
            "seconds": cost.seconds,
            "patches_per_s": n / cost.seconds,
            "patches_per_cpu_s": n / cost.cpu_seconds,
        }


def paper_model(like: ModelCard, root: Path) -> ModelCard:
    """Write a model of the paper's network with random weights, which the pipeline runs like any other.

    Parameters
    ----------
    like
        Card whose optics, normalisation and ranges it takes over.
    root
        Zoo folder to write to.
    """
    arguments = {**like.representation.args, "upsampling": _PAPER_UPSAMPLING}
    card = dataclasses.replace(
        like,
        name="paper_random",
        network=Component(_PAPER_NETWORK, {"upsampling": _PAPER_UPSAMPLING}),
        representation=Component(like.representation.name, arguments),
        threshold=1e9,
        metrics={},
        training={},
    )
    shutil.rmtree(root, ignore_errors=True)
    return save_model(card, build_network(card.network.name, **card.network.args), root / card.name)


def training_simulator(pixel_nm: float) -> Simulator:
    """Make a simulator of the kind that the zoo is trained with: two PSF models, three cameras."""
    return Simulator(
        [GaussianRenderer(pixel_nm), PsfBankRenderer.aberrated_airy(pixel_nm)],
        [
            Camera(),
            CAMERA,
            Camera(offset_adu=100.0, e_per_adu=10.0, em_gain=200.0, qe=0.9, read_noise_e=60.0),
        ],
    )


def draw_patches(simulator: Simulator, pixel_nm: float, n_batches: int, seed: int) -> None:
    """Simulate batches of training patches."""
    generator = torch.Generator().manual_seed(seed)
    shape = (_BATCH, _EMITTERS_PER_PATCH)
    for _ in range(n_batches):
        xyz = torch.rand((*shape, 3), generator=generator) * _PATCH_PX * pixel_nm
        xyz[..., 2] = 0
        emitters = EmitterBatch(xyz, torch.full(shape, 1000.0), torch.ones(shape, dtype=torch.bool))
        scenes = Scenes(emitters, torch.full((_BATCH,), 20.0), torch.full((_BATCH,), 110.0))
        simulator(scenes, (_PATCH_PX, _PATCH_PX), generator)
