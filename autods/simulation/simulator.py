"""Composition of PSF, background and camera: scenes in, camera frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import Camera
from autods.simulation.background import background_maps
from autods.simulation.frames import FrameRenderer
from autods.simulation.noise import expose
from autods.simulation.scenes import Scenes


@dataclass(frozen=True)
class Exposure:
    """What a camera saw, and through what."""

    #: (B, Y, X) float32 camera values, ADU.
    frames: Tensor
    #: (B, Y, X) expected photons per pixel without the emitters.
    background: Tensor
    #: The camera that took them.
    camera: Camera


class Simulator:
    """Renders scenes with a PSF, a background and a camera.

    Parameters
    ----------
    renderers
        PSF models; each call takes one of them at random, so that a batch has one PSF family.
    cameras
        Cameras; each call takes one of them at random.
    gradient, blobs, structure
        Strength of the background's non-uniformity, see :func:`background_maps`.
    """

    def __init__(
        self,
        renderers: Sequence[FrameRenderer],
        cameras: Sequence[Camera] = (Camera(),),
        gradient: float = 0.3,
        blobs: float = 0.3,
        structure: float = 0.0,
    ) -> None:
        self.renderers = tuple(renderers)
        self.cameras = tuple(cameras)
        self.gradient = gradient
        self.blobs = blobs
        self.structure = structure

    def __call__(
        self,
        scenes: Scenes,
        shape: tuple[int, int],
        generator: torch.Generator,
        background: Tensor | None = None,
    ) -> Tensor:
        """Return the frames (B, Y, X), ADU, of :meth:`exposure`."""
        return self.exposure(scenes, shape, generator, background).frames

    def exposure(
        self,
        scenes: Scenes,
        shape: tuple[int, int],
        generator: torch.Generator,
        background: Tensor | None = None,
    ) -> Exposure:
        """Expose the camera to scenes.

        Parameters
        ----------
        scenes
            B scenes.
        shape
            Rows and columns.
        generator
            Source of randomness, on the scenes' device.
        background
            (B, Y, X) photons per pixel; None draws a map for each view of the scenes.
        """
        renderer = self.renderers[_choose(len(self.renderers), generator)]
        camera = self.cameras[_choose(len(self.cameras), generator)]
        light = renderer(scenes, shape, generator)
        if background is None:
            views = self.background(scenes.background[:: scenes.frames_per_view], shape, generator)
            background = views.repeat_interleave(scenes.frames_per_view, 0)
        frames = expose(light + background, camera, generator)
        if scenes.noise_std is not None:
            noise = torch.randn(frames.shape, generator=generator, device=frames.device)
            frames = frames + noise * (scenes.noise_std / camera.photons_per_adu).view(-1, 1, 1)
        return Exposure(frames, background.expand_as(frames), camera)

    def background(self, level: Tensor, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Draw background maps (B, Y, X) of the mean levels (B,), photons per pixel."""
        return background_maps(
            level, shape, generator, gradient=self.gradient, blobs=self.blobs, structure=self.structure
        )


def _choose(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (1,), generator=generator, device=generator.device))
