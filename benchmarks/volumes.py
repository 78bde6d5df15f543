"""3D networks trained and tested under the same simulated conditions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from autods.core import Camera, LocalizationTable, UserError
from autods.core.grid import px_to_nm
from autods.inference import Localizer
from autods.io.atomic import atomic_path
from autods.metrics.detection import DetectionMetrics, detection_metrics
from autods.networks import normalize
from autods.optics import PSFModel
from autods.representation import Detections
from autods.runs.provenance import fingerprint
from autods.runs.steps import step_key
from autods.simulation import PsfRenderer, Scenes, Simulator, VolumeConditions
from autods.training import LocalizationModule, SimulatedDataModule
from autods.training.export import score_module
from autods.training.fit import claim_folder, fit
from benchmarks.measure import measured

#: Seed of the test frames: far from those of training and validation.
_TEST_SEED = 2**41
#: Frames that go through a network at once in the test.
_TEST_BATCH = 4


@dataclass(frozen=True)
class Variant:
    """What a network's output means.

    Parameters
    ----------
    representation
        ``voxels``, ``binary_voxels`` or ``mixture3d``.
    upsampling
        Lateral voxels along a camera pixel.
    """

    representation: Literal["voxels", "binary_voxels", "mixture3d"]
    upsampling: int = 1


#: The networks of the paper's comparison, and this program's mixture beside them.
VARIANTS = {
    "AutoDS3D": Variant("voxels"),
    "DS3D x4": Variant("binary_voxels", 4),
    "DS3D x1": Variant("binary_voxels"),
    "mixture": Variant("mixture3d"),
}


@dataclass(frozen=True)
class VolumeTraining:
    """Size and length of a training.

    Parameters
    ----------
    steps, max_minutes
        Optimizer steps at most, and minutes; None for no limit in time.
    size_px, batch_size
        Side of the training frames and frames of a step.
    n_slices
        Voxels along z.
    width
        Channels of the networks.
    batches_per_epoch, validation_batches
        Between two validations, and of one.
    learning_rate
        Its peak.
    seed
        Of data and network.
    """

    steps: int = 3000
    max_minutes: float | None = None
    size_px: int = 48
    batch_size: int = 8
    n_slices: int = 41
    width: int = 32
    batches_per_epoch: int = 250
    validation_batches: int = 8
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """A trained network and what it took.

    Parameters
    ----------
    localizer
        Network, normaliser and decoder, with the threshold that was best on the validation set.
    scores
        On the validation set.
    parameters, steps
        Size of the network, and optimizer steps done.
    generation_s, training_s
        Seconds that drawing the training frames took, and the rest of the training.
    """

    localizer: Localizer
    scores: dict[str, float]
    parameters: int
    steps: int
    generation_s: float
    training_s: float


@dataclass(frozen=True)
class Tested:
    """What a network finds in test frames.

    Parameters
    ----------
    truth, found
        Emitters and localizations.
    inference_s, decoding_s
        Seconds for the network and for reading its output, all frames.
    peak_mb
        Highest memory of the process, MiB.
    """

    truth: LocalizationTable
    found: LocalizationTable
    inference_s: float
    decoding_s: float
    peak_mb: float

    def score(
        self, radius_nm: float, axial_radius_nm: float, frames: tuple[int, int] | None = None
    ) -> DetectionMetrics:
        """Score all frames, or those from a first one on to before a last one."""
        tables = [self.truth, self.found]
        if frames is not None:
            tables = [t.select((t.frame >= frames[0]) & (t.frame < frames[1])) for t in tables]
        return detection_metrics(tables[0], tables[1], radius_nm, axial_radius_nm)


@dataclass(frozen=True)
class VolumeComparison:
    """The conditions that all networks of a comparison share.

    Parameters
    ----------
    psf
        The PSF.
    conditions
        Depths, emitters, photons and noise of the training.
    training
        Size and length of the training.
    radius_nm, axial_radius_nm
        Largest distance of a match, laterally and along z.
    device
        Where to compute.
    """

    psf: PSFModel
    conditions: VolumeConditions
    training: VolumeTraining
    radius_nm: float
    axial_radius_nm: float
    device: torch.device

    def train_each(self, names: Sequence[str], folder: Path | str | None) -> Iterator[tuple[str, Trained]]:
        """Train networks of `VARIANTS` one after the other; yield each with its name.

        Parameters
        ----------
        names
            Of the networks.
        folder
            For the checkpoints; None for one that is removed in the end.

        Raises
        ------
        UserError
            If a name is not known.
        """
        unknown = [name for name in names if name not in VARIANTS]
        if unknown:
            raise UserError(f"suite.variants: {unknown[0]!r} is not known: use {', '.join(VARIANTS)}")
        with TemporaryDirectory(prefix="autods-3d-") as temporary:
            for name in names:
                yield name, self.train(VARIANTS[name], Path(folder or temporary))

    def train(self, variant: Variant, folder: Path) -> Trained:
        """Train a network; a training that was interrupted in this folder goes on.

        Parameters
        ----------
        variant
            What its output means.
        folder
            For the checkpoints of all variants and settings.
        """
        own = folder / f"{variant.representation}_x{variant.upsampling}_{step_key(self._inputs())[:12]}"
        data = self._data()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            module = self._module(variant)
        try:
            with measured() as cost:
                fit(
                    module,
                    data,
                    own,
                    resume=claim_folder(own, [variant, self._inputs()]),
                    max_steps=self.training.steps,
                    max_minutes=self.training.max_minutes,
                    accelerator="gpu" if self.device.type == "cuda" else self.device.type,
                    progress_bar=False,
                )
        finally:  # an interrupted training goes on later, and took its time
            seconds = _add_seconds(own / "seconds.json", cost.seconds)
        steps = module.trainer.global_step
        generation = steps * self._seconds_per_batch(data)
        module.eval().to(self.device)
        scores = score_module(module, data)
        localizer = Localizer(
            module.network, module.representation, module.normalization, scores["threshold"], self.device
        )
        parameters = sum(parameter.numel() for parameter in module.network.parameters())
        return Trained(localizer, scores, parameters, steps, generation, max(seconds - generation, 0.0))

    def test(
        self, trained: Trained, conditions: VolumeConditions, n_frames: int, size_px: int, camera: Camera
    ) -> Tested:
        """Simulate test frames, the same for every network, and localize them.

        Parameters
        ----------
        trained
            The network.
        conditions
            Of the test.
        n_frames, size_px
            Number of frames and their side.
        camera
            The camera.
        """
        generator = torch.Generator().manual_seed(_TEST_SEED)
        scenes = conditions.sample(n_frames, size_px, generator).to(self.device)
        simulator = self._simulator(camera)
        frames = simulator(scenes, (size_px, size_px), torch.Generator(self.device).manual_seed(_TEST_SEED))
        localizer, parts = trained.localizer, []
        starts = list(range(0, n_frames, _TEST_BATCH))
        spent = [0.0, 0.0]
        with torch.inference_mode(), measured() as cost:
            localizer.network(normalize(frames[:1, None], localizer.normalization))  # warm up
            for start in starts:
                begun = time.perf_counter()
                batch = normalize(frames[start : start + _TEST_BATCH, None], localizer.normalization)
                output = localizer.network(batch.contiguous(memory_format=torch.channels_last))
                _synchronize(self.device)
                between = time.perf_counter()
                parts.append(localizer.representation.decode(output, localizer.threshold))
                _synchronize(self.device)
                spent[0] += between - begun
                spent[1] += time.perf_counter() - between
        found = _table(Detections.concatenate(parts, starts), conditions.pixel_size_nm)
        return Tested(
            _truth(scenes, size_px * conditions.pixel_size_nm), found, spent[0], spent[1], cost.peak_mb
        )

    def _simulator(self, camera: Camera) -> Simulator:
        renderer = PsfRenderer.fast(self.psf, self.conditions.z_min_nm, self.conditions.z_max_nm)
        return Simulator([renderer], [camera], gradient=0.0, blobs=0.0)

    def _data(self) -> SimulatedDataModule:
        t = self.training
        return SimulatedDataModule(
            self.conditions,
            self._simulator(Camera()),
            t.size_px,
            t.batch_size,
            t.batches_per_epoch,
            t.validation_batches,
            t.seed,
        )

    def _module(self, variant: Variant) -> LocalizationModule:
        t, c = self.training, self.conditions
        axis = {"pixel_size_nm": c.pixel_size_nm, "z_min_nm": c.z_min_nm, "z_max_nm": c.z_max_nm}
        if variant.representation == "mixture3d":
            network, arguments, reading = "dilated", {"width": t.width, "channels": 7}, axis
        else:
            network = "ds3d"
            arguments = {"n_slices": t.n_slices, "upsampling": variant.upsampling, "width": t.width}
            reading = {**axis, "n_slices": t.n_slices, "upsampling": variant.upsampling}
        if variant.representation == "voxels":
            reading["photons_at_amplitude"] = c.photons[1]
        return LocalizationModule(
            network,
            arguments,
            variant.representation,
            reading,
            learning_rate=t.learning_rate,
            match_radius_nm=self.radius_nm,
            axial_match_radius_nm=self.axial_radius_nm,
        )

    def _seconds_per_batch(self, data: SimulatedDataModule) -> float:
        """Time the drawing of training batches, on the validation set."""
        batches = data.val_dataloader()
        start = time.perf_counter()
        for scenes in batches:
            data.render(scenes.to(self.device))
        _synchronize(self.device)
        return (time.perf_counter() - start) / len(batches)

    def _inputs(self) -> dict[str, Any]:
        """Return what identifies the training, so that another one does not go on from its checkpoints."""
        length = replace(self.training, max_minutes=None)
        depths = torch.linspace(self.conditions.z_min_nm, self.conditions.z_max_nm, 5)
        with torch.no_grad():
            images = self.psf(torch.nn.functional.pad(depths[:, None], (2, 0)), 21)
        return {
            "conditions": self.conditions,
            "training": length,
            "radii_nm": (self.radius_nm, self.axial_radius_nm),
            "psf": fingerprint(images.double().round(decimals=6).tolist()),
        }


def _add_seconds(path: Path, seconds: float) -> float:
    """Add the seconds of this call to those of earlier ones and return the sum."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0.0
    with atomic_path(path) as part:
        part.write_text(json.dumps(before + seconds), encoding="utf-8")
    return float(before + seconds)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _table(found: Detections, pixel_size_nm: float) -> LocalizationTable:
    assert found.z_nm is not None
    x, y = (px_to_nm(place.double().cpu().numpy(), pixel_size_nm) for place in (found.x_px, found.y_px))
    z = found.z_nm.double().cpu().numpy()
    confidence = found.confidence.double().cpu().numpy()
    return LocalizationTable.build(found.frame.cpu().numpy(), x, y, z_nm=z, confidence=confidence)


def _truth(scenes: Scenes, side_nm: float) -> LocalizationTable:
    frame, xyz, photons = scenes.emitters.flat()
    inside = ((xyz[:, :2] >= 0) & (xyz[:, :2] < side_nm)).all(1)
    x, y, z = (column[inside].double().cpu().numpy() for column in xyz.unbind(1))
    brightness = photons[inside].double().cpu().numpy()
    return LocalizationTable.build(frame[inside].cpu().numpy(), x, y, z_nm=z, photons=brightness)
