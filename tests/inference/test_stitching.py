import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autods.inference.stitching import stitch
from autods.inference.tiling import tile_field
from autods.representation import Detections

TOLERANCE = 0.5


def detections(frame, x, y, confidence, tile):
    frame, x, y, confidence, tile = (torch.from_numpy(column) for column in (frame, x, y, confidence, tile))
    return Detections(frame, x, y, confidence, tile=tile)


def views(truth, tiles, jitter, rng):
    """What a tile reports: each emitter of its window, with the tile's own error, also beyond the border."""
    parts = []
    for tile in tiles:
        y0, x0, y1, x1 = tile.window
        seen = (truth[:, 0] >= x0) & (truth[:, 0] < x1) & (truth[:, 1] >= y0) & (truth[:, 1] < y1)
        noisy = truth[seen, :2] + rng.uniform(-jitter, jitter, (seen.sum(), 2))
        parts.append(
            detections(
                truth[seen, 2].astype(np.int64),
                noisy[:, 0],
                noisy[:, 1],
                rng.uniform(1, 2, seen.sum()),
                np.full(seen.sum(), tile.index),
            )
        )
    return Detections.concatenate(parts)


def separated_emitters(shape, n, frames, distance, rng):
    kept = []
    for candidate in np.column_stack(
        [rng.uniform(0, shape[1], n), rng.uniform(0, shape[0], n), rng.integers(0, frames, n)]
    ):
        near = [c for c in kept if c[2] == candidate[2] and np.hypot(*(c[:2] - candidate[:2])) < distance]
        if not near:
            kept.append(candidate)
    return np.array(kept)


@settings(max_examples=40, deadline=None)
@example(34, 34, 10.0, 1, 34)  # four views of a molecule beside a corner, the owner's just off the strip
@given(st.integers(8, 70), st.integers(8, 70), st.floats(6, 30), st.integers(1, 8), st.integers(0, 10_000))
def test_no_molecule_is_lost_or_doubled(height, width, patch, margin, seed):
    rng = np.random.default_rng(seed)
    shape = (height, width)
    tiles = tile_field(shape, patch, margin)
    truth = separated_emitters(shape, 150, 3, 1.5, rng)
    # Emitters exactly on seams are the hard case.
    edges = sorted({edge for tile in tiles for edge in (tile.core[1], tile.core[3])})
    truth[: len(truth) // 3, 0] = np.minimum(rng.choice(edges, len(truth) // 3), np.nextafter(width, 0))
    truth = truth[np.lexsort(truth.T)]
    truth = np.array([t for i, t in enumerate(truth) if not _crowded(t, np.delete(truth, i, 0))])
    result = stitch(views(truth, tiles, 0.15, rng), tiles, shape, tolerance_px=TOLERANCE)
    assert len(result) == len(truth)
    found, found_x, found_y = result.places()
    for x, y, frame in truth:
        near = (found == frame) & (np.hypot(found_x - x, found_y - y) < 0.45)
        assert near.sum() == 1
    assert ((found_x >= 0) & (found_x <= width) & (found_y >= 0) & (found_y <= height)).all()


def _crowded(emitter, others):
    same = others[others[:, 2] == emitter[2]]
    return len(same) > 0 and np.hypot(*(same[:, :2] - emitter[:2]).T).min() < 1.5


def estimates(x, tile, frame=None):
    n = len(x)
    frame = np.zeros(n, np.int64) if frame is None else np.array(frame)
    return detections(frame, np.array(x), np.full(n, 10.0), np.ones(n), np.array(tile))


def test_two_near_molecules_of_one_tile_stay_two():
    tiles = tile_field((20, 40), 20, 5)
    found = estimates([19.9, 20.1, 19.95, 20.15], [0, 0, 1, 1])
    assert len(stitch(found, tiles, (20, 40))) == 2


def test_an_estimate_in_the_neighbours_core_is_the_neighbours_business():
    tiles = tile_field((20, 40), 20, 5)
    assert len(stitch(estimates([20.2, 23.0], [0, 0]), tiles, (20, 40))) == 0


def test_nothing_found_gives_nothing():
    tiles = tile_field((20, 40), 20, 5)
    assert len(stitch(Detections.concatenate([]), tiles, (20, 40))) == 0


def test_molecules_of_different_frames_are_never_joined():
    tiles = tile_field((20, 40), 20, 5)
    assert len(stitch(estimates([19.95, 20.05], [0, 1], frame=[0, 1]), tiles, (20, 40))) == 2


def test_estimates_just_beyond_the_border_stay_and_those_far_beyond_do_not():
    tiles = tile_field((20, 40), 20, 5)
    kept = stitch(estimates([-0.3, -0.8, 40.4, 40.9], [0, 0, 1, 1]), tiles, (20, 40))
    assert kept.x_px.tolist() == [0.0, pytest.approx(40.0)]
    assert kept.x_px.max() < 40
