"""Scores of a network that is told the PSF, on PSFs that no training draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.networks.precision import half_where_faster
from autods.networks.universal import UniversalNet
from autods.representation import Detections, MixtureRepresentation
from autods.simulation.psf_scenes import SceneRanges, ToldScenes, draw_scenes
from autods.simulation.random_psfs import FAMILIES, PsfLibrary, draw_psfs
from autods.training.score import ThresholdScore

#: Seed of the held-out PSFs: trainings count theirs from 0.
HELD_OUT_SEED = 900_000
#: Frames of the scores by name: sparse and bright, crowded, dim.
CONDITIONS = {
    "sparse": SceneRanges((40.0, 40.0), (0.1, 0.1), (5.0, 50.0)),
    "dense": SceneRanges((40.0, 40.0), (0.7, 0.7), (5.0, 50.0)),
    "dim": SceneRanges((10.0, 10.0), (0.1, 0.1), (5.0, 50.0)),
}
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_MATCH_NM, _MATCH_AXIAL_NM = 250.0, 500.0
#: PSFs whose frames go through the network at once.
_AT_ONCE = 8


@dataclass(frozen=True)
class HeldOut:
    """PSFs and their frames under each of `CONDITIONS`."""

    #: The PSFs.
    library: PsfLibrary
    #: By condition; all PSFs, the same number of frames each.
    scenes: dict[str, ToldScenes]

    @classmethod
    def draw(cls, n: int, frames: int, size_px: int, device: torch.device) -> HeldOut:
        """Draw the first n held-out PSFs and frames of each."""
        return cls.of(draw_psfs(n, torch.Generator().manual_seed(HELD_OUT_SEED), device), frames, size_px)

    @classmethod
    def of(
        cls,
        library: PsfLibrary,
        frames: int,
        size_px: int,
        conditions: Mapping[str, SceneRanges] | None = None,
    ) -> HeldOut:
        """Draw frames of the PSFs of a library under conditions; None for `CONDITIONS`."""
        n, device = len(library), library.pixel_nm.device
        generator = torch.Generator(device).manual_seed(HELD_OUT_SEED)
        rows = torch.arange(n, device=device)
        return cls(
            library,
            {
                name: draw_scenes(library, rows, frames, size_px, ranges, generator)
                for name, ranges in (conditions or CONDITIONS).items()
            },
        )


@torch.no_grad()
def score_held_out(
    network: UniversalNet, representation: MixtureRepresentation, held_out: HeldOut
) -> dict[str, Any]:
    """Score a network on held-out PSFs.

    Returns `dict`, by condition: mean Jaccard index over the PSFs at the threshold that is best for all
    together, that threshold, the mean of the best of each, errors in nm (medians over the PSFs), and the mean
    Jaccard index of each family.
    """
    network.eval()
    names = [FAMILIES[k] for k in held_out.library.family.tolist()]
    return {name: _score(network, representation, held_out, name, names) for name in held_out.scenes}


def _score(
    network: UniversalNet,
    representation: MixtureRepresentation,
    held_out: HeldOut,
    condition: str,
    families: list[str],
) -> dict[str, Any]:
    scenes = held_out.scenes[condition]
    n = len(held_out.library)
    per_psf = len(scenes.frames) // n
    outputs = _outputs(network, scenes, per_psf)
    curves = [
        _curve(held_out.library, scenes, outputs[row * per_psf : (row + 1) * per_psf], row, representation)
        for row in range(n)
    ]
    jaccard = np.array([[score["jaccard"] for score in curve] for curve in curves])
    best = int(jaccard.mean(0).argmax())
    at = [curve[best] for curve in curves]
    return {
        "jaccard": round(float(jaccard[:, best].mean()), 4),
        "threshold": _THRESHOLDS[best],
        "best_each": round(float(jaccard.max(1).mean()), 4),
        "rmse_nm": round(float(np.median([score["rmse_nm"] for score in at])), 1),
        "rmse_axial_nm": round(float(np.median([score["rmse_axial_nm"] for score in at])), 1),
        "families": {
            name: round(float(jaccard[[own == name for own in families], best].mean()), 4)
            for name in sorted(set(families))
        },
    }


def _outputs(network: UniversalNet, scenes: ToldScenes, per_psf: int) -> Tensor:
    device = scenes.frames.device
    outputs = []
    for first in range(0, len(scenes.kernels), _AT_ONCE):
        rows = slice(first * per_psf, (first + _AT_ONCE) * per_psf)
        with half_where_faster(device):
            kernels = scenes.kernels[first : first + _AT_ONCE]
            told = network(scenes.frames[rows], scenes.weight[rows], kernels, per_psf)
        outputs.append(told.output)
    return torch.cat(outputs)


def _curve(
    library: PsfLibrary,
    scenes: ToldScenes,
    output: Tensor,
    row: int,
    representation: MixtureRepresentation,
) -> list[dict[str, float]]:
    """Scores of one PSF at all thresholds."""
    n, size_px = len(output), output.shape[-1]
    pixel_nm, planes = float(library.pixel_nm[row]), library.planes[row : row + 1]
    found = representation.decode(output, _THRESHOLDS[0])
    assert found.z_nm is not None
    z_nm, _ = planes.to_nm(found.z_nm[None])
    found = Detections(found.frame, found.x_px, found.y_px, found.confidence)
    emitters = scenes.emitters[slice(row * n, (row + 1) * n)]
    depth, _ = planes.to_nm(emitters.xyz_nm[..., 2].reshape(1, -1))
    xyz = torch.cat([emitters.xyz_nm[..., :2] * pixel_nm, depth.view(n, -1, 1)], 2)
    score = ThresholdScore(_MATCH_NM, _THRESHOLDS, _MATCH_AXIAL_NM)
    score.update(
        replace(found, z_nm=z_nm[0]),
        EmitterBatch(xyz, emitters.photons, emitters.mask),
        pixel_nm,
        size_px * pixel_nm,
    )
    return score.curve()
