import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from benchmarks.fields import (
    CAMERA,
    HeterogeneousConditions,
    UniformConditions,
    heterogeneous_field,
    uniform_field,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_uniform_emitters_have_the_density_and_the_light_asked_for():
    field = uniform_field(
        UniformConditions(1.5, n_frames=60, size_px=48, photons=800, background=12), generator()
    )
    n, area_um2 = len(field.truth), 4.8**2
    assert n == pytest.approx(60 * area_um2 * 1.5, abs=4 * math.sqrt(n))
    light = field.camera.to_photons(field.frames).mean()
    # Emitters outside lose as much light over the border as those inside bring in.
    assert light == pytest.approx(12 + 800 * 1.5 * 0.01, rel=0.05)


def test_isolated_emitters_are_apart_and_show_where_the_truth_says():
    field = uniform_field(UniformConditions(None, n_frames=20, size_px=64, photons=5000), generator(1))
    truth, frames = field.truth, field.camera.to_photons(field.frames)
    assert len(truth) == 20 * 16
    for frame in range(20):
        here = truth.select(truth.frame == frame)
        distance = cKDTree(np.column_stack([here.x_nm, here.y_nm])).query_pairs(1000)
        assert not distance
        brightest = np.unravel_index(frames[frame].argmax(), frames[frame].shape)
        position = np.array(brightest)[::-1] * 100 + 50
        assert np.hypot(here.x_nm - position[0], here.y_nm - position[1]).min() < 120


def test_cells_differ_in_density_and_brightness_over_the_whole_range():
    conditions = HeterogeneousConditions(
        "uniform", n_cells=2, n_frames=60, density_per_um2=(0.3, 2.5), snr=(2, 9)
    )
    field = heterogeneous_field(conditions, generator(2))
    truth = field.truth
    assert field.frames.shape == (60, 200, 200)
    cell = (truth.y_nm // 10_000 * 2 + truth.x_nm // 10_000).astype(int)
    density = np.bincount(cell, minlength=4) / 60 / 100
    np.testing.assert_allclose(np.sort(density), np.linspace(0.3, 2.5, 4), rtol=0.12)
    noise = math.sqrt(conditions.background / CAMERA.qe + CAMERA.read_noise_photons**2)
    photons = np.bincount(cell, truth.photons, 4) / np.bincount(cell, minlength=4)
    snr = photons / (2 * math.pi * 1.1**2) / noise
    np.testing.assert_allclose(np.sort(snr), np.linspace(2, 9, 4), rtol=0.12)


def test_a_cell_without_molecules_stays_dark_and_changes_no_other():
    conditions = HeterogeneousConditions("mitochondria", n_cells=4, cell_um=2.0, n_frames=30)
    field = heterogeneous_field(conditions, generator(3))
    truth = field.truth
    cell = (truth.y_nm // 2000 * 4 + truth.x_nm // 2000).astype(int)
    density = np.bincount(cell, minlength=16) / 30 / 4
    assert (density == 0).any()
    assert density.max() < 2.5 * 1.6


def test_the_same_seed_gives_the_same_field():
    conditions = HeterogeneousConditions("filaments", n_cells=1, n_frames=4)
    first, second = (heterogeneous_field(conditions, generator(5)).frames for _ in range(2))
    assert np.array_equal(first, second)
