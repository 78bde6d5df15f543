"""The fourth stage of the 3D pipeline, shortened: the shipped network goes on learning for one PSF."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.inference import fitting_device
from autods.inference.finders import Finder
from autods.inference.told_psf import binned_side_px
from autods.optics.binned import BinnedPSF
from autods.pipelines import trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.pipelines.train3d import MODEL_FOLDER, copy_model, load_finder
from autods.simulation import VolumeConditions
from autods.simulation.psf_scenes import SceneRanges
from autods.simulation.random_psfs import PsfLibrary, library_of
from autods.training.universal import UniversalTrainer, UniversalTraining
from autods.training.universal_export import export_universal
from autods.zoo import ModelCard, load_model

#: Runs of frames of a batch, on a CPU and on a GPU, the frames' side, and how fast the weights may change.
_RUNS, _RUN_FRAMES = {"cpu": 2, "cuda": 16}, 4
_SIZE_PX, _LEARNING_RATE = 48, 5e-4
#: Crowds are drawn up to so many times the movie's density, which is their mean then, and up to a limit.
_CROWDING, _MOST_OVERLAP = 3.0, 1.5
#: Frames on which the results are compared, and by how much the Jaccard index must be higher for a change: as
#: much as two draws of so many frames may differ.
_SCORED_FRAMES, _LEAST_GAIN = 64, 0.02


def adapt(
    card: ModelCard,
    known: KnownPsf,
    extent: Extent,
    conditions: VolumeConditions,
    density_per_um2: float,
    minutes: float,
    folder: Path,
    key: str,
    device: torch.device,
    told: Callable[[str], None],
    camera: Camera,
    localizer_of: Callable[[Finder], VolumeLocalizer],
) -> dict[str, Any]:
    """Train the network for the PSF and conditions of a movie; keep what scores better with the fit.

    Parameters
    ----------
    card
        The network to start from.
    known, extent, conditions
        What is simulated.
    density_per_um2
        Of the movie, emitters per um^2 and frame.
    minutes
        Length.
    folder
        Run folder, whose ``model/`` holds the card's model; the result goes there, and a training that was
        interrupted goes on.
    key
        Identifies the training.
    device
        Where to train.
    told
        Gets a line now and then.
    camera
        Of the movie.
    localizer_of
        Puts the fit to a network.
    """
    bin_px = known.told_bin_px
    seen, side_px = BinnedPSF(known.model, bin_px), binned_side_px(extent.render_px, bin_px)
    library = library_of(seen, *known.z_range_nm, side_px)
    network = load_model(card)
    training = UniversalTraining(
        network=card.network.args,
        minutes=minutes,
        psfs=_RUNS.get(device.type, _RUNS["cpu"]),
        frames_per_psf=_RUN_FRAMES,
        size_px=_SIZE_PX,
        learning_rate=_LEARNING_RATE,
        warmup_steps=20,
        ranges=scene_ranges(conditions, density_per_um2, library, bin_px),
        evaluations=1,
        held_out_frames=24,
    )
    out = folder / f"adapting_{key[:10]}"
    trainer = UniversalTrainer(
        training, out / "weights.safetensors", out / "state.pt", device, network.state_dict(), library
    )
    trainer.run(told)
    export_universal(out / "weights.safetensors", out / MODEL_FOLDER, folder.resolve().name)

    def score(place: Path) -> float:
        localizer = localizer_of(load_finder(place, known, extent, None, device))
        where = (extent, camera, fitting_device(device))
        found, _ = trial3d.try_simulated(localizer, known, conditions, *where, _SCORED_FRAMES)
        return float(found["jaccard"])

    shipped, adapted = score(folder), score(out)
    is_better = adapted >= shipped + _LEAST_GAIN
    if is_better:
        copy_model(out / MODEL_FOLDER, folder)
    kept = "adapted" if is_better else "as shipped"
    return {"jaccard": shipped, "jaccard_adapted": adapted, "kept": kept}


def scene_ranges(
    conditions: VolumeConditions, density_per_um2: float, library: PsfLibrary, bin_px: int
) -> SceneRanges:
    """Turn what a movie holds into significances and overlaps of its PSF, whose pixels are squares of so many
    of the movie's.
    """
    per_px = density_per_um2 * (bin_px * conditions.pixel_size_nm * 1e-3) ** 2
    square = float(library.planes.kernels.square().sum((2, 3)).mean())
    quietest, loudest = (bin_px * noise for noise in conditions.noise_std)
    # Of typical emitters: those that are on for a part of a frame become dim by themselves.
    low, high = (
        photons * math.sqrt(square) / noise
        for photons, noise in zip(conditions.photons, (loudest, quietest), strict=True)
    )
    return SceneRanges(
        significance=(max(low, 3.0), max(high, 10.0)),
        overlap=(0.005, min(max(_CROWDING * per_px / square, 0.05), _MOST_OVERLAP)),
        background=(0.5 * quietest**2, 1.5 * loudest**2),
    )
