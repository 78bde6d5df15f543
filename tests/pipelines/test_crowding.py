"""How crowded emitters are, to the eyes of a network."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from autods.estimation.patch import measure_patch
from autods.estimation.scene import Scene, WhiteMovie
from autods.inference import Localizer, Rescaling, tile_field
from autods.io.movie import ArrayMovie
from autods.pipelines.crowding import RADIUS_SIGMAS, with_crowding
from autods.zoo import load_card
from benchmarks.fields import HeterogeneousConditions, heterogeneous_field

SIGMA_PX, PIXEL_NM = 1.15, 100.0


def true_met_density(field):
    """Neighbours of a true emitter in its frame, per um^2."""
    radius_nm = RADIUS_SIGMAS * SIGMA_PX * PIXEL_NM
    truth = field.truth
    places = np.column_stack([truth.x_nm, truth.y_nm, truth.frame * 1e4])
    near = cKDTree(places).query_ball_point(places, radius_nm, return_length=True) - 1
    return near.mean() / (np.pi * (radius_nm * 1e-3) ** 2)


def met_density(frames):
    """What the pipeline's measurement says of a patch."""
    (tile,) = tile_field(frames.shape[1:], 10_000, 0)
    profile = measure_patch(frames, PIXEL_NM, SIGMA_PX)
    white = WhiteMovie(Scene(ArrayMovie(frames), psf_sigma_px=SIGMA_PX))
    network = Localizer.from_card(load_card("mixture_general"))
    (seen,) = with_crowding([profile], [True], white, [tile], network, Rescaling(), SIGMA_PX, PIXEL_NM)
    return seen.met_density_per_um2


@pytest.mark.parametrize("structure", ["uniform", "filaments", "mitochondria"])
@pytest.mark.parametrize("density", [0.4, 1.5])
def test_the_met_density_of_simulated_structures(structure, density):
    conditions = HeterogeneousConditions(structure, 1, 10.0, (density,) * 2, (7.0, 7.0), n_frames=10)
    field = heterogeneous_field(conditions, torch.Generator().manual_seed(3))
    seen, true = met_density(field.frames), true_met_density(field)
    # Emitters on for a part of a frame are among the true ones, but hardly seen; some are seen twice.
    assert 0.4 * true < seen < 1.1 * true + 0.6


def test_empty_patches_stay_and_broken_pixels_do_no_harm():
    conditions = HeterogeneousConditions("uniform", 1, 5.0, (1.0, 1.0), (7.0, 7.0), n_frames=6)
    field = heterogeneous_field(conditions, torch.Generator().manual_seed(4))
    frames = field.frames.astype(np.float32)
    whole = met_density(frames)
    frames[:, 3, 3] = np.nan
    assert met_density(frames) == pytest.approx(whole, rel=0.1)
    empty = np.random.default_rng(0).poisson(30, (6, 50, 50)).astype(np.float32)
    profile = dataclasses.replace(measure_patch(empty, PIXEL_NM, SIGMA_PX), density_per_um2=0.0)
    tiles = tile_field((50, 50), 10_000, 0)
    network = Localizer.from_card(load_card("mixture_general"))
    white = WhiteMovie(Scene(ArrayMovie(empty), psf_sigma_px=SIGMA_PX))
    seen = with_crowding([profile], [True], white, tiles, network, Rescaling(), SIGMA_PX, PIXEL_NM)
    same = seen[0] == profile
    assert same
