"""Patterns of backgrounds and defects of detectors: their statistics, against what they are said to be."""

import math

import numpy as np
import pytest
import torch

from autods.core import Camera
from autods.simulation import detector
from autods.simulation.background import linear_gradient, random_field, static_pattern, vignetting


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("shape", [(96, 96), (95, 121)])
def test_random_fields_have_unit_variance_and_the_grain(shape, generator):
    grain = torch.tensor([1.0, 4.0, 9.0]).repeat_interleave(60)
    fields = random_field(shape, grain, generator).view(3, 60, *shape)
    assert fields.mean().item() == pytest.approx(0, abs=0.02)
    assert fields.var((1, 2, 3)).numpy() == pytest.approx(np.ones(3), rel=0.15)
    # Smoothing by a Gaussian of variance s^2 gives a correlation exp(-d^2 / (4 s^2)).
    for index, size in enumerate((4.0, 9.0), 1):
        variance = (size / math.sqrt(8 * math.log(2))) ** 2
        for lag in (1, 3):
            correlation = (fields[index, ..., lag:] * fields[index, ..., :-lag]).mean()
            expected = math.exp(-(lag**2) / (4 * variance))
            assert correlation.item() == pytest.approx(expected * fields[index].var().item(), abs=0.04)


def test_static_patterns_keep_the_mean_and_have_the_deviation(generator):
    pattern = static_pattern((400, 400), 0.3, 4.0, generator)
    assert pattern.mean().item() == pytest.approx(1, abs=0.02)
    assert pattern.std().item() == pytest.approx(0.3, rel=0.05)
    assert pattern.min() > 0


def test_illumination_is_brightest_in_the_middle():
    beam = vignetting((64, 48), 0.1)
    assert beam.max().item() == pytest.approx(1, abs=0.01)
    assert 0.1 < beam[0, 0].item() < 0.2
    assert torch.allclose(beam, beam.flip(0, 1))
    ramp = linear_gradient((4, 100), 0.8)
    assert ramp.mean().item() == pytest.approx(1)
    assert (ramp[0, -1] / ramp[0, 0]).item() == pytest.approx(1.8 / 0.2, rel=0.1)


def test_scmos_maps_spread_round_the_camera(generator):
    camera = detector.scmos_maps(Camera(100.0, 0.5, qe=0.8, read_noise_e=1.6), (200, 200), generator)
    read, offset = np.asarray(camera.read_noise_e), np.asarray(camera.offset_adu)
    assert np.median(read) == pytest.approx(1.6, rel=0.03)
    assert 0.02 < np.mean(read > 3 * 1.6) < 0.04
    assert (offset.mean(), offset.std()) == pytest.approx((100, 2), rel=0.03)


def test_defects_say_which_pixels_they_leave(generator):
    frames = 100 + 10 * torch.rand((10, 40, 40), generator=generator)
    defects = {
        "border": (detector.zero_border(frames, 8), 24 * 24 * 10, 0.0),
        "half": (detector.constant_half(frames, 7.0), 20 * 40 * 10, 7.0),
        "saturated": (detector.saturated_area(frames, 20), (1600 - 400) * 10, 65535.0),
        "strip": (detector.growing_border(frames, 10), (400 - sum(range(1, 11))) * 40, 0.0),
    }
    for name, ((changed, valid), n_valid, value) in defects.items():
        assert int(valid.sum()) == n_valid, name
        assert torch.equal(changed[valid], frames[valid]), name
        assert (changed[~valid] == value).all(), name


def test_hot_pixels_stand_out_with_their_own_noise(generator):
    frames = torch.zeros((400, 50, 50))
    changed, hot = detector.hot_pixels(frames, 0.02, (100.0, 400.0), generator)
    assert 20 < int(hot.sum()) < 80
    level, variance = changed.mean(0)[hot], changed.var(0)[hot]
    assert level.min() > 95
    assert level.max() < 405
    assert (variance / level).mean().item() == pytest.approx(1, rel=0.1)
    assert not changed[:, ~hot].any()


def test_columns_and_cut_values(generator):
    offsets = detector.column_offsets((30, 2000), 3.0, generator)
    assert offsets.std().item() == pytest.approx(3, rel=0.1)
    assert torch.equal(offsets[0], offsets[-1])
    assert detector.digitize(torch.tensor([90.0, 130.4, 1e6]), 100.0).tolist() == [0, 30, 65535]
