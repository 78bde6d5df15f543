import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import EmitterBatch
from autods.representation import MixtureRepresentation

PIXEL = 100.0


def random_case(n=3, size=(7, 9), seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn((2, 5, *size), generator=generator, dtype=torch.double)
    xy = torch.rand((2 * n, 2), generator=generator, dtype=torch.double)
    xy = xy * torch.tensor([size[1], size[0]]) * PIXEL
    frame = torch.arange(2).repeat_interleave(n)
    xyz = torch.cat([xy, torch.zeros(2 * n, 1, dtype=torch.double)], 1)
    return output, EmitterBatch.from_flat(frame, xyz, torch.ones(2 * n), 2)


def brute_force(output, emitters):
    """Sum over every pixel and emitter in plain Python."""
    count = mixture = 0.0
    n_frames, _, height, width = output.shape
    for b in range(n_frames):
        p = torch.sigmoid(output[b, 0] - 4)
        total, variance = float(p.sum()), float((p * (1 - p)).sum())
        n = int(emitters.mask[b].sum())
        count += 0.5 * ((n - total) ** 2 / variance + math.log(variance))
        for x, y, _ in (emitters.xyz_nm[b][emitters.mask[b]] / PIXEL).tolist():
            density = 0.0
            for i in range(height):
                for j in range(width):
                    o = output[b, :, i, j]
                    mx, my = j + 0.5 + 1.5 * math.tanh(o[1]), i + 0.5 + 1.5 * math.tanh(o[2])
                    sx, sy = float(F.softplus(o[3])) + 0.02, float(F.softplus(o[4])) + 0.02
                    normal = math.exp(-0.5 * (((x - mx) / sx) ** 2 + ((y - my) / sy) ** 2))
                    density += float(p[i, j]) * normal / (2 * math.pi * sx * sy)
            mixture -= math.log(density / total)
    scale = 100 / (height * width) / n_frames
    return count * scale, mixture * scale


@pytest.mark.parametrize("seed", range(4))
def test_likelihood_equals_brute_force(seed):
    output, emitters = random_case(seed=seed)
    terms = MixtureRepresentation(PIXEL, window_px=9).loss(output, emitters)
    count, mixture = brute_force(output, emitters)
    assert float(terms["count"]) == pytest.approx(count, rel=1e-6)
    assert float(terms["mixture"]) == pytest.approx(mixture, rel=1e-5)


def test_the_window_leaves_out_only_the_negligible():
    output, emitters = random_case(seed=1, size=(16, 16))
    output[:, 3:] = -2.0
    near = MixtureRepresentation(PIXEL, window_px=2).loss(output, emitters)["mixture"]
    full = MixtureRepresentation(PIXEL, window_px=16).loss(output, emitters)["mixture"]
    assert float(near) == pytest.approx(float(full), rel=2e-3)


def test_gradcheck():
    output, emitters = random_case()
    output.requires_grad_()
    representation = MixtureRepresentation(PIXEL)
    assert torch.autograd.gradcheck(lambda o: sum(representation.loss(o, emitters).values()), output)


def test_frames_without_emitters_ask_for_silence():
    representation = MixtureRepresentation(PIXEL)
    nothing = EmitterBatch(torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    quiet, loud = torch.full((1, 5, 8, 8), -4.0), torch.full((1, 5, 8, 8), 2.0)
    assert float(representation.loss(quiet, nothing)["mixture"]) == 0
    assert float(representation.loss(quiet, nothing)["count"]) < float(
        representation.loss(loud, nothing)["count"]
    )


def ideal_output(xy_px, size=(20, 24), std_px=0.1, probability=0.99):
    output = torch.zeros(1, 5, *size)
    output[:, 0] = -9.0
    output[:, 3:] = math.log(math.expm1(std_px - 0.02))
    for x, y in xy_px:
        i, j = min(int(y), size[0] - 1), min(int(x), size[1] - 1)
        output[0, 0, i, j] = 4 + math.log(probability / (1 - probability))
        output[0, 1, i, j] = math.atanh((x - j - 0.5) / 1.5)
        output[0, 2, i, j] = math.atanh((y - i - 0.5) / 1.5)
    return output


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 24, exclude_max=True), st.floats(0, 20, exclude_max=True))
def test_an_ideal_output_is_read_back(x, y):
    found = MixtureRepresentation(PIXEL).decode(ideal_output([(x, y)]), 0.5)
    assert len(found) == 1
    assert float(found.x_px) == pytest.approx(x, abs=1e-3)
    assert float(found.y_px) == pytest.approx(y, abs=1e-3)
    assert float(found.uncertainty_px) == pytest.approx(0.1, abs=0.01)
    assert float(found.confidence) == pytest.approx(0.99, abs=0.01)


def test_probability_shared_by_neighbours_is_one_emitter():
    output = ideal_output([])
    for j, offset in ((9, 0.5), (10, -0.5)):
        output[0, 0, 5, j] = 4.0 + math.log(0.5 / 0.5)
        output[0, 1, 5, j] = math.atanh(offset / 1.5)
    found = MixtureRepresentation(PIXEL).decode(output, 0.7)
    assert len(found) == 1
    assert float(found.x_px) == pytest.approx(10.0, abs=1e-3)
    assert float(found.confidence) == pytest.approx(1.0, abs=0.01)


def test_two_emitters_in_neighbouring_pixels_stay_two():
    found = MixtureRepresentation(PIXEL).decode(ideal_output([(9.2, 5.5), (10.8, 5.5)]), 0.5)
    assert sorted(found.x_px.tolist()) == pytest.approx([9.2, 10.8], abs=1e-3)


def test_the_likelihood_prefers_the_truth():
    representation = MixtureRepresentation(PIXEL)
    truth = EmitterBatch.from_flat(torch.tensor([0]), torch.tensor([[930.0, 540.0, 0.0]]), torch.ones(1), 1)
    right = sum(representation.loss(ideal_output([(9.3, 5.4)]), truth).values())
    for wrong in ([(9.8, 5.4)], [(9.3, 5.4), (3.0, 3.0)], []):
        assert float(right) < float(sum(representation.loss(ideal_output(wrong), truth).values()))
