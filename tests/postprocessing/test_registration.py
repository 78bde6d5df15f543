"""An affine distortion between two tables is found from beads and from structure, or none at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autods.postprocessing.registration import register
from autods.simulation import STRUCTURES

SIDE = 12_800.0


def points(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of points of one sample, each with its own errors; of two samples where nothing is shared."""
    if kind == "beads":
        places = rng.uniform(0, SIDE, (n, 2))
        return tuple(places + 4 * rng.normal(size=places.shape) for _ in range(2))
    if kind == "nothing shared":
        return rng.uniform(0, SIDE, (n, 2)), rng.uniform(0, SIDE, (n, 2))
    sample = STRUCTURES[kind](SIDE, SIDE, torch.Generator().manual_seed(1)).xyz_nm[:, :2].double().numpy()
    return tuple(sample[rng.integers(len(sample), size=n)] + 8 * rng.normal(size=(n, 2)) for _ in range(2))


def distorted(xy: np.ndarray, rotation_deg: float, stretch: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(rotation_deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        [stretch, 1.0]
    )
    return (xy - SIDE / 2) @ matrix.T + SIDE / 2 + shift


@pytest.mark.parametrize(
    ("kind", "n", "rotation", "stretch", "shift"),
    [
        ("beads", 8, 1.0, 1.01, (700, -300)),
        ("clusters", 1500, 0.5, 1.003, (250, -180)),
        ("filaments", 2500, 0.5, 1.003, (-250, 100)),
    ],
)
def test_the_distortion_is_found(
    kind: str, n: int, rotation: float, stretch: float, shift: tuple[float, float]
) -> None:
    first, second = points(kind, n, np.random.default_rng(0))
    seen = distorted(second, rotation, stretch, shift)
    found = register(first, seen)
    assert found.is_found, found.note
    assert np.sqrt(((found.points(seen) - second) ** 2).sum(1).mean()) < 10


def test_beads_in_one_table_only_do_not_disturb() -> None:
    first, second = points("beads", 10, np.random.default_rng(0))
    seen = distorted(second, 0.5, 1.005, (100, 100))
    found = register(first[:8], seen[2:])
    common = slice(2, 8)
    assert np.sqrt(((found.points(seen[common]) - second[common]) ** 2).sum(1).mean()) < 10


@pytest.mark.parametrize("n", [8, 2000])
def test_tables_that_share_nothing_are_left_alone(n: int) -> None:
    found = register(*points("nothing shared", n, np.random.default_rng(0)))
    assert not found.is_found
    assert found.matrix.tolist() == np.eye(2).tolist()


def test_an_empty_table_is_no_fault() -> None:
    assert not register(np.zeros((0, 2)), np.ones((5, 2))).is_found
