import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import EmitterBatch
from autods.networks.losses import blur, gaussian_kernel
from autods.representation import HeatmapRepresentation

PIXEL = 100.0


def emitters(xy, frame=None, n_frames=1):
    xyz = torch.cat([torch.tensor(xy, dtype=torch.float32).view(-1, 2), torch.zeros(len(xy), 1)], 1)
    frame = torch.zeros(len(xy), dtype=torch.long) if frame is None else torch.tensor(frame)
    return EmitterBatch.from_flat(frame, xyz, torch.ones(len(xy)), n_frames)


def spikes(representation, xy, shape=(24, 32)):
    """Return the heatmap that a perfect network gives: mass shared between the four nearest pixels."""
    up = representation.upsampling
    image = torch.zeros(1, 1, shape[0] * up, shape[1] * up)
    for x, y in xy:
        u, v = x / PIXEL * up - 0.5, y / PIXEL * up - 0.5
        i, j = int(np.floor(v)), int(np.floor(u))
        for di in (0, 1):
            for dj in (0, 1):
                weight = (1 - abs(v - i - di)) * (1 - abs(u - j - dj))
                image[0, 0, i + di, j + dj] += 100 * weight
    return image


@pytest.mark.parametrize("upsampling", [4, 8, 16])
def test_target_is_a_gaussian_at_the_sub_pixel_position(upsampling):
    representation = HeatmapRepresentation(PIXEL, upsampling)
    target = representation.target(emitters([[1237.0, 811.0]]), (24 * upsampling, 32 * upsampling))[0, 0]
    grid_x = (torch.arange(32 * upsampling) + 0.5) * PIXEL / upsampling
    grid_y = (torch.arange(24 * upsampling) + 0.5) * PIXEL / upsampling
    assert float((target.sum(0) * grid_x).sum() / target.sum()) == pytest.approx(1237, abs=0.2)
    assert float((target.sum(1) * grid_y).sum() / target.sum()) == pytest.approx(811, abs=0.2)
    assert float(target.sum()) == pytest.approx(100 * 2 * np.pi, rel=1e-3)


@settings(deadline=None, max_examples=40)
@given(st.floats(300, 2800), st.floats(300, 2000))
def test_a_perfect_network_is_read_back(x, y):
    representation = HeatmapRepresentation(PIXEL, 8)
    found = representation.decode(spikes(representation, [(x, y)]), 0.3)
    assert len(found) == 1
    assert float(found.x_px[0]) * PIXEL == pytest.approx(x, abs=0.1)
    assert float(found.y_px[0]) * PIXEL == pytest.approx(y, abs=0.1)


def test_blurred_spikes_are_the_target():
    representation = HeatmapRepresentation(PIXEL, 8)
    x, y = 1206.25, 806.25
    target = representation.target(emitters([[x, y]]), (192, 256))
    ours = blur(spikes(representation, [(x, y)]), gaussian_kernel(1.0, 3))
    assert torch.allclose(ours[..., 50:80, 80:110], target[..., 50:80, 80:110], atol=1.2)


def test_neighbours_and_frames_stay_apart():
    representation = HeatmapRepresentation(PIXEL, 8)
    one = spikes(representation, [(1000.0, 1000.0), (1100.0, 1000.0)])
    two = spikes(representation, [(500.0, 600.0)])
    found = representation.decode(torch.cat([one, two]), 0.3)
    assert found.frame.tolist() == [0, 0, 1]
    assert (found.x_px * PIXEL).tolist() == pytest.approx([1000, 1100, 500], abs=0.2)


def test_emitters_outside_the_field_are_not_in_the_target():
    representation = HeatmapRepresentation(PIXEL, 4)
    target = representation.target(emitters([[-10.0, 500.0], [3210.0, 500.0]]), (96, 128))
    assert float(target.abs().max()) == 0


def test_confidence_grows_with_the_heatmap_and_the_threshold_holds():
    representation = HeatmapRepresentation(PIXEL, 8)
    heatmap = spikes(representation, [(1006.25, 1006.25)])
    assert float(representation.decode(heatmap, 0.1).confidence) == pytest.approx(1, abs=0.01)
    assert float(representation.decode(0.4 * heatmap, 0.1).confidence) == pytest.approx(0.4, abs=0.01)
    assert len(representation.decode(0.4 * heatmap, 0.5)) == 0
    assert len(representation.decode(-heatmap, 0.0)) == 0


def test_the_edge_is_part_of_the_field():
    representation = HeatmapRepresentation(PIXEL, 8)
    heatmap = torch.zeros(1, 1, 64, 64)
    heatmap[0, 0, 0, 63] = 100.0
    found = representation.decode(heatmap, 0.3)
    assert float(found.x_px) == pytest.approx(63.5 / 8)
    assert float(found.y_px) == pytest.approx(0.5 / 8)
