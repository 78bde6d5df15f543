"""In which pixels the network that is told the PSF is shown a movie: the camera's, or squares of these."""

from __future__ import annotations

import logging
import math

import torch

from autods.core import Camera, LocalizationTable
from autods.core.grid import px_to_nm
from autods.core.resources import models_dir
from autods.inference import fitting_device
from autods.inference.told_psf import ToldPsfLocalizer
from autods.metrics.detection import detection_metrics
from autods.optics.extent import power_sums
from autods.pipelines import train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.simulation import PsfRenderer
from autods.zoo.card import CARD_FILE, read_card

logger = logging.getLogger(__name__)

#: Sides of squares, px, that are tried while each gains so much in the Jaccard index.
_SIDES, _GAIN = (2, 3), 0.02
#: Least side of the windows of fits, px, and least area of the PSF in squares: smaller PSFs are shown as they
#: are.
_LEAST_FITTED_PX, _LEAST_AREA = 21, 25.0
#: What is simulated: emitters of each crowd, in frames of which there are no more, and their side, px; noise;
#: emitters within the area of the PSF; photons in standard errors, median and standard deviation of the
#: logarithm.
_EMITTERS, _MOST_FRAMES, _SIZE_PX, _NOISE = 150, 64, 64, 5.0
_OVERLAPS, _SIGNIFICANCE, _LOG_WIDTH = (0.25, 0.6), 30.0, 0.6
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0


def best_bin_px(known: KnownPsf, extent: Extent, device: torch.device) -> int:
    """Return the side (px) of the squares in which the shipped network finds most of the PSF's emitters.

    The network was trained for PSFs of at most 41 px. How wide one may be depends on its shape, so that it is
    tried, on simulated frames.

    Parameters
    ----------
    known, extent
        The PSF.
    device
        Where the network runs.
    """
    low, high = known.z_range_nm
    square = power_sums(known.model, low, high)[0]
    sides = [side for side in _SIDES if 1 / square >= _LEAST_AREA * side**2]
    if extent.fit_px < _LEAST_FITTED_PX or not sides:
        return 1
    card = read_card(models_dir() / train3d.UNIVERSAL / CARD_FILE)
    psf = PsfRenderer.fast(known.model, low, high, size_px=extent.render_px).psf
    pixel_nm = known.model.pixel_size_nm
    photons = _SIGNIFICANCE * _NOISE / math.sqrt(square)
    crowds = []
    for number, overlap in enumerate(_OVERLAPS):
        per_px = overlap * square
        n_frames = min(math.ceil(_EMITTERS / (per_px * _SIZE_PX**2)), _MOST_FRAMES)
        noise = torch.full((n_frames,), _NOISE, device=fitting_device(device))
        simulate = population_frames(known, extent, Camera(), _SIZE_PX, noise)
        crowds.append(simulate(Population(per_px / (pixel_nm * 1e-3) ** 2, photons, _LOG_WIDTH), number))

    def jaccard(side: int) -> float:
        finder = ToldPsfLocalizer.from_card(
            card, psf, known.z_range_nm, extent.render_px, device=device, bin_px=side
        )
        scores = []
        for observation, truth in crowds:
            found = finder.find(observation.light, observation.variance)
            assert found.z_nm is not None
            x_nm, y_nm = (px_to_nm(place.double().numpy(), pixel_nm) for place in (found.x_px, found.y_px))
            table = LocalizationTable.build(found.frame.numpy(), x_nm, y_nm, z_nm=found.z_nm.numpy())
            scores.append(detection_metrics(truth, table, _RADIUS_NM, _AXIAL_RADIUS_NM).jaccard)
        mean = sum(scores) / len(scores)
        logger.info("squares of %d px: Jaccard index of the network %.3f", side, mean)
        return mean

    best, highest = 1, jaccard(1)
    for side in sides:
        tried = jaccard(side)
        if tried < highest + _GAIN:
            break
        best, highest = side, tried
    return best
