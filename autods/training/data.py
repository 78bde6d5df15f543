"""Training data that never touches the disk: scenes drawn by workers, light drawn on the device."""

from __future__ import annotations

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from autods.core import EmitterBatch, UserError
from autods.networks import needs_scene, normalize
from autods.simulation import BlinkingWindows, Scenes, SceneSampler, Simulator
from autods.simulation.scene_errors import SceneErrors, SceneMaps

#: Mean on-time of training with neighbouring frames where none is given, frames.
ON_FRAMES = 3.0


@dataclass(frozen=True)
class SceneBatch:
    """Scenes and the seed of the light that will be drawn for them."""

    scenes: Scenes
    seed: int

    def to(self, device: torch.device | str) -> SceneBatch:
        """Copy to a device."""
        return SceneBatch(self.scenes.to(device), self.seed)


@dataclass(frozen=True)
class FrameBatch:
    """What a network is trained with."""

    #: (B, C, Y, X) photons: C consecutive frames, the middle one is localized.
    frames: Tensor
    #: Emitters of the middle frames.
    emitters: EmitterBatch
    #: (B, Y, X) expected photons per pixel of the middle frames without the emitters.
    background: Tensor
    #: Background and noise as a program would measure them; None where the network is not given these.
    scene: SceneMaps | None = None

    def normalized(self, kind: str) -> Tensor:
        """Return the frames as a network of a normalization is given them; see `autods.networks.normalize`.

        Raises `UserError` if it needs a scene and there is none.
        """
        if not needs_scene(kind):
            return normalize(self.frames, kind)
        if self.scene is None:
            raise UserError(f"module.normalization={kind} needs the scene of the frames: set data.scene")
        return normalize(self.scene.whiten(self.frames), kind, psf_sigma_px=self.scene.psf_sigma_px)


class SceneDataset(Dataset[SceneBatch]):
    """Batches of scenes, each fully determined by the seed and its index.

    Parameters
    ----------
    sampler
        Source of scenes, or of windows of them.
    size_px
        Side of the square frames, px.
    batch_size
        Frames, or windows, a batch.
    n_batches
        Number of batches.
    seed
        Seed of the first batch; batch i has ``seed + i``.
    """

    def __init__(
        self,
        sampler: SceneSampler | BlinkingWindows,
        size_px: int,
        batch_size: int,
        n_batches: int,
        seed: int,
    ) -> None:
        self.sampler = sampler
        self.size_px = size_px
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed

    def __len__(self) -> int:
        """Count the batches."""
        return self.n_batches

    def __getitem__(self, index: int) -> SceneBatch:
        """Draw batch ``index``."""
        if not 0 <= index < self.n_batches:
            raise IndexError(index)
        seed = self.seed + index
        generator = torch.Generator().manual_seed(seed)
        return SceneBatch(self.sampler.sample(self.batch_size, self.size_px, generator), seed)


class SimulatedDataModule(pl.LightningDataModule):
    """Endless training frames and a fixed validation set, both simulated.

    Parameters
    ----------
    sampler
        Source of scenes.
    simulator
        Turns scenes into camera frames, on the training device.
    size_px
        Side of the square training frames, px.
    batch_size
        Frames a batch.
    batches_per_epoch
        Training batches between two validations.
    validation_batches
        Batches of the validation set, which is the same in every run of the same seed.
    seed
        Seed of all data; every epoch draws new batches.
    num_workers
        Processes that draw scenes; 0 draws them in the training process.
    context
        Consecutive frames that the network is shown of a blinking sample, odd; the middle one is localized.
    on_frames
        Mean on-time of an emitter, frames. None: at a context of 1 independent frames in which emitters shine
        all the time, else `ON_FRAMES`.
    scene
        How well background and noise are known, and what noise pixels have of their own; None for frames of
        a perfect detector whose scene is not told.
    pixel_size_nm
        Camera pixel, nm; needed with a scene.
    """

    _VALIDATION_SEED = 2**40

    def __init__(
        self,
        sampler: SceneSampler,
        simulator: Simulator,
        size_px: int = 40,
        batch_size: int = 16,
        batches_per_epoch: int = 200,
        validation_batches: int = 16,
        seed: int = 0,
        num_workers: int = 0,
        context: int = 1,
        on_frames: float | None = None,
        scene: SceneErrors | None = None,
        pixel_size_nm: float = 100.0,
    ) -> None:
        super().__init__()
        self.sampler = sampler
        self.context = context
        if context == 1 and on_frames is None:
            self._scenes: SceneSampler | BlinkingWindows = sampler
        else:
            self._scenes = BlinkingWindows(sampler, context, on_frames or ON_FRAMES)
        self.simulator = simulator
        self.size_px = size_px
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.validation_batches = validation_batches
        self.seed = seed
        self.num_workers = num_workers
        self.scene = scene
        self.pixel_size_nm = pixel_size_nm

    def train_dataloader(self) -> DataLoader[SceneBatch]:
        """Return the batches of the current epoch (the trainer reloads it every epoch)."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self._loader(self.batches_per_epoch, self._first_seed(epoch))

    def val_dataloader(self) -> DataLoader[SceneBatch]:
        """Return the fixed validation batches."""
        return self._loader(self.validation_batches, self._VALIDATION_SEED + self.seed)

    def _first_seed(self, epoch: int) -> int:
        return (self.seed << 32) + epoch * self.batches_per_epoch

    def _loader(self, n_batches: int, seed: int) -> DataLoader[SceneBatch]:
        dataset = SceneDataset(self._scenes, self.size_px, self.batch_size, n_batches, seed)
        return DataLoader(dataset, batch_size=None, num_workers=self.num_workers)

    def on_after_batch_transfer(self, batch: SceneBatch, dataloader_idx: int) -> FrameBatch:  # noqa: ARG002
        """Expose the camera to the scenes, on the device where they are."""
        return self.render(batch)

    def render(self, batch: SceneBatch) -> FrameBatch:
        """Draw the frames of a batch; the same batch gives the same frames."""
        emitters = batch.scenes.emitters
        generator = torch.Generator(emitters.photons.device).manual_seed(batch.seed)
        exposure = self.simulator.exposure(batch.scenes, (self.size_px, self.size_px), generator)
        middle = slice(self.context // 2, None, self.context)
        if self.scene is not None:
            frames, maps, emitters = self.scene.observe(exposure, batch.scenes, self.pixel_size_nm, generator)
            return FrameBatch(frames, emitters[middle], exposure.background[middle], maps)
        photons = exposure.camera.to_photons(exposure.frames)
        windows = photons.view(-1, self.context, *photons.shape[1:])
        return FrameBatch(windows, emitters[middle], exposure.background[middle])
