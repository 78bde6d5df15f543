import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import EmitterBatch, UserError
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


def with_z(output, emitters, seed=0):
    generator = torch.Generator().manual_seed(seed)
    axial = torch.randn((len(output), 2, *output.shape[2:]), generator=generator, dtype=torch.double)
    z = 400 * (2 * torch.rand(emitters.photons.shape, generator=generator, dtype=torch.double) - 1)
    xyz = torch.cat([emitters.xyz_nm[..., :2], z[..., None]], -1)
    return torch.cat([output, axial], 1), EmitterBatch(xyz, emitters.photons, emitters.mask)


def test_the_axial_likelihood_equals_brute_force():
    output, emitters = with_z(*random_case(seed=2))
    likelihood = 0.0
    for b in range(2):
        total = float(torch.sigmoid(output[b, 0] - 4).sum())
        for x, y, z in emitters.xyz_nm[b].tolist():
            density = 0.0
            for i in range(7):
                for j in range(9):
                    o = output[b, :, i, j].tolist()
                    mean = (j + 0.5 + 1.5 * math.tanh(o[1]), i + 0.5 + 1.5 * math.tanh(o[2]), o[5])
                    std = [
                        math.log1p(math.exp(o[k])) + least for k, least in ((3, 0.02), (4, 0.02), (6, 0.005))
                    ]
                    p = 1 / (1 + math.exp(4 - o[0]))
                    for value, m, s in zip((x / PIXEL, y / PIXEL, z / 400), mean, std, strict=True):
                        p *= math.exp(-0.5 * ((value - m) / s) ** 2) / (math.sqrt(2 * math.pi) * s)
                    density += p
            likelihood -= math.log(density / total)
    representation = MixtureRepresentation(PIXEL, window_px=9, z_min_nm=-400.0, z_max_nm=400.0)
    terms = representation.loss(output, emitters)
    assert float(terms["mixture"]) == pytest.approx(likelihood * 100 / 63 / 2, rel=1e-6)


def test_gradcheck_in_3d():
    output, emitters = with_z(*random_case(n=2, size=(4, 5)))
    output.requires_grad_()
    representation = MixtureRepresentation(PIXEL, z_min_nm=-400.0, z_max_nm=400.0)
    assert torch.autograd.gradcheck(lambda o: sum(representation.loss(o, emitters).values()), output)


def test_half_a_range_is_refused():
    with pytest.raises(UserError, match="z_max_nm"):
        MixtureRepresentation(PIXEL, z_min_nm=-400.0)
    with pytest.raises(UserError, match="rising"):
        MixtureRepresentation(PIXEL, z_min_nm=400.0, z_max_nm=-400.0)


def with_light(output, emitters, seed=0):
    """Four more channels, random photons, and random backgrounds."""
    generator = torch.Generator().manual_seed(seed)
    light = torch.randn((len(output), 4, *output.shape[2:]), generator=generator, dtype=torch.double)
    photons = 300 + 3000 * torch.rand(emitters.photons.shape, generator=generator, dtype=torch.double)
    shape = (len(output), *output.shape[2:])
    background = 3 + 100 * torch.rand(shape, generator=generator, dtype=torch.double)
    bright = EmitterBatch(emitters.xyz_nm, photons, emitters.mask)
    return torch.cat([output, light], 1), bright, background


def log_normal(value, mean, raw_std, least):
    std = math.log1p(math.exp(raw_std)) + least
    return -0.5 * ((value - mean) / std) ** 2 - math.log(std * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("seed", range(2))
def test_the_likelihood_of_photons_and_background_equals_brute_force(seed):
    output, emitters, background = with_light(*random_case(seed=seed), seed)
    likelihood = light = 0.0
    for b in range(2):
        rows = output[b].permute(1, 2, 0).tolist()
        total = float(torch.sigmoid(output[b, 0] - 4).sum())
        for (x, y, _), n in zip(emitters.xyz_nm[b].tolist(), emitters.photons[b].tolist(), strict=True):
            density = 0.0
            for i in range(7):
                for j in range(9):
                    o = rows[i][j]
                    density += math.exp(
                        -math.log1p(math.exp(4 - o[0]))
                        + log_normal(x / PIXEL, j + 0.5 + 1.5 * math.tanh(o[1]), o[3], 0.02)
                        + log_normal(y / PIXEL, i + 0.5 + 1.5 * math.tanh(o[2]), o[4], 0.02)
                        + log_normal(math.log(n), math.log(1000) + o[5], o[6], 0.01)
                    )
            likelihood -= math.log(density / total)
        for i in range(7):
            for j in range(9):
                o, true = rows[i][j], float(background[b, i, j])
                light -= log_normal(math.log(1 + true), math.log(31) + o[7], o[8], 0.01)
    representation = MixtureRepresentation(PIXEL, window_px=9, photons=True)
    assert representation.channels == 9
    terms = representation.loss(output, emitters, background)
    assert float(terms["mixture"]) == pytest.approx(likelihood * 100 / 63 / 2, rel=1e-6)
    assert float(terms["background"]) == pytest.approx(light / 63 / 2, rel=1e-6)
    plain = MixtureRepresentation(PIXEL).loss(output[:, :5], emitters, background)
    assert set(plain) == {"count", "mixture"}
    assert float(terms["count"]) == float(plain["count"])


@pytest.mark.parametrize("axial", [False, True])
def test_gradcheck_with_photons(axial):
    case = random_case(n=2, size=(4, 5))
    output, emitters, background = with_light(*(with_z(*case) if axial else case))
    axis = {"z_min_nm": -400.0, "z_max_nm": 400.0} if axial else {}
    representation = MixtureRepresentation(PIXEL, photons=True, **axis)
    assert output.shape[1] == representation.channels
    output.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda o: sum(representation.loss(o, emitters, background).values()), output
    )


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


def ideal_output_3d(xyz):
    """One pixel for each emitter at (x px, y px, z nm), within -400 to 400 nm."""
    flat = ideal_output([(x, y) for x, y, _ in xyz])
    axial = torch.zeros(1, 2, *flat.shape[2:])
    axial[:, 1] = math.log(math.expm1(0.1 - 0.005))
    for x, y, z in xyz:
        axial[0, 0, int(y), int(x)] = z / 400
    return torch.cat([flat, axial], 1)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 23.9), st.floats(0, 19.9), st.floats(-500, 500))
def test_an_ideal_3d_output_is_read_back(x, y, z):
    representation = MixtureRepresentation(PIXEL, z_min_nm=-400.0, z_max_nm=400.0)
    found = representation.decode(ideal_output_3d([(x, y, z)]), 0.5)
    assert len(found) == 1
    assert float(found.x_px) == pytest.approx(x, abs=1e-3)
    # The faint rest of the neighbours at z = 0 that point to the same place is gathered with it.
    assert float(found.z_nm) == pytest.approx(z, abs=0.5)
    assert float(found.uncertainty_z_nm) == pytest.approx(40.0, abs=6.0)


@pytest.mark.parametrize(("dz", "n"), [(100.0, 1), (600.0, 2)])
def test_neighbours_at_one_place_merge_only_at_one_depth(dz, n):
    representation = MixtureRepresentation(PIXEL, z_min_nm=-400.0, z_max_nm=400.0)
    output = ideal_output_3d([(9.9, 5.5, -dz / 2), (10.1, 5.5, dz / 2)])
    assert len(representation.decode(output, 0.5)) == n


def test_three_axes_change_nothing_laterally():
    output, _ = with_z(*random_case(seed=5))
    flat = MixtureRepresentation(PIXEL).decode(output[:, :5], 0.05)
    deep = MixtureRepresentation(PIXEL, z_min_nm=-400.0, z_max_nm=400.0, merge_z_nm=1e9).decode(output, 0.05)
    for name in ("frame", "x_px", "y_px", "confidence", "uncertainty_px"):
        assert torch.allclose(getattr(flat, name), getattr(deep, name))
    assert flat.z_nm is None


def test_sharp_predictions_weigh_more_than_broad_ones():
    """A broad improbable follower hardly moves an emitter or its uncertainty."""
    output = ideal_output([(10.0, 5.5)], std_px=0.05, probability=0.8)
    output[0, 0, 5, 9] = 4 + math.log(0.1 / 0.9)
    output[0, 1, 5, 9] = math.atanh(0.8 / 1.5)
    output[0, 3:5, 5, 9] = math.log(math.expm1(0.5 - 0.02))
    found = MixtureRepresentation(PIXEL).decode(output, 0.5)
    assert len(found) == 1
    assert float(found.confidence) == pytest.approx(0.9, abs=0.01)
    assert float(found.x_px) == pytest.approx(10.0, abs=0.002)
    assert float(found.uncertainty_px) == pytest.approx(0.05, abs=0.01)


def ideal_light(output, places, background=20.0, std=0.1):
    """Add channels of photons at some pixels (row, column), and of an even background."""
    light = torch.zeros(1, 4, *output.shape[2:])
    light[:, 1::2] = math.log(math.expm1(std - 0.01))
    light[:, 2] = math.log((1 + background) / 31)
    for (i, j), photons in places.items():
        light[0, 0, i, j] = math.log(photons / 1000)
    return torch.cat([output, light], 1)


@pytest.mark.parametrize("axial", [False, True])
def test_ideal_photons_and_background_are_read_back(axial):
    flat = ideal_output_3d([(9.3, 5.4, 120.0)]) if axial else ideal_output([(9.3, 5.4)])
    axis = {"z_min_nm": -400.0, "z_max_nm": 400.0} if axial else {}
    found = MixtureRepresentation(PIXEL, photons=True, **axis).decode(
        ideal_light(flat, {(5, 9): 2500.0}), 0.5
    )
    assert len(found) == 1
    assert float(found.photons) == pytest.approx(2500, rel=0.01)
    assert float(found.uncertainty_photons) == pytest.approx(250, rel=0.1)
    assert float(found.background) == pytest.approx(20, rel=1e-3)
    assert (found.z_nm is not None) == axial
    assert MixtureRepresentation(PIXEL).decode(flat[:, :5], 0.5).photons is None


def test_photons_of_pixels_that_share_an_emitter_are_merged_in_the_logarithm():
    output = ideal_output([])
    for j, offset in ((9, 0.5), (10, -0.5)):
        output[0, 0, 5, j] = 4.0
        output[0, 1, 5, j] = math.atanh(offset / 1.5)
    output = ideal_light(output, {(5, 9): 1000.0, (5, 10): 4000.0}, std=0.1)
    found = MixtureRepresentation(PIXEL, photons=True).decode(output, 0.7)
    assert len(found) == 1
    assert float(found.photons) == pytest.approx(2000, rel=0.01)
    # Their disagreement, log 2 either side of the mean, is part of the uncertainty.
    assert float(found.uncertainty_photons) == pytest.approx(2000 * math.hypot(0.1, math.log(2)), rel=0.02)


def test_photons_change_no_place():
    output = with_light(*random_case(seed=5))[0]
    plain = MixtureRepresentation(PIXEL).decode(output[:, :5], 0.05)
    bright = MixtureRepresentation(PIXEL, photons=True).decode(output, 0.05)
    for name in ("frame", "x_px", "y_px", "confidence", "uncertainty_px"):
        assert torch.equal(getattr(plain, name), getattr(bright, name))
