import math

import pytest
import torch

from autods.simulation import ImagingConditions, Spread
from autods.simulation.positions import filament_positions, uniform_positions


@pytest.mark.parametrize("log", [False, True])
def test_half_of_the_draws_lie_on_each_side_of_the_centre(log):
    spread = Spread(2.0, 1.0, 10.0)
    values = spread.sample(20_000, torch.Generator().manual_seed(0), log=log)
    assert float(values.min()) >= 1 - 1e-5
    assert float(values.max()) <= 10 + 1e-4
    assert float((values < 2).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_a_spread_is_ordered():
    with pytest.raises(ValueError, match="low <= centre <= high"):
        Spread(1.0, 2.0, 3.0)


@pytest.mark.parametrize("structured", [0.0, 1.0])
def test_density_and_brightness_are_as_asked(structured):
    conditions = ImagingConditions(
        Spread(1.5, 1.5, 1.5),
        Spread(6.0, 6.0, 6.0),
        background=Spread(25.0, 25.0, 25.0),
        psf_sigma_nm=Spread(110.0, 110.0, 110.0),
        structured=structured,
        empty=0.0,
        read_noise_photons=0.0,
    )
    scenes = conditions.sample(400, 40, torch.Generator().manual_seed(2))
    frame, xyz, photons = scenes.emitters.flat()
    area_um2 = (4.6) ** 2
    assert len(frame) / 400 / area_um2 == pytest.approx(1.5, rel=0.02)
    peak = float(photons.mean()) / (2 * math.pi * 1.1**2)
    assert peak / math.sqrt(25) == pytest.approx(6, rel=0.02)
    assert float(xyz[:, :2].min()) >= -300
    assert float(xyz[:, :2].max()) <= 4300


def test_empty_frames_occur():
    conditions = ImagingConditions(Spread(1.0, 0.5, 2.0), Spread(6.0, 3.0, 9.0), empty=0.5)
    counts = conditions.sample(300, 40, torch.Generator().manual_seed(0)).emitters.counts
    assert float((counts == 0).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_filaments_are_denser_than_uniform_emitters():
    generator = torch.Generator().manual_seed(0)

    def nearest(xy):
        distance = torch.cdist(xy, xy) + 1e9 * torch.eye(xy.shape[1])
        return float(distance.min(-1).values.median())

    uniform = uniform_positions(20, 60, 0.0, 4000.0, generator)
    filaments = filament_positions(20, 60, 0.0, 4000.0, generator)
    assert float(filaments.min()) >= 0
    assert float(filaments.max()) < 4000
    assert nearest(filaments) < 0.7 * nearest(uniform)
