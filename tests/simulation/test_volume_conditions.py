import pytest
import torch

from autods.core import UserError
from autods.simulation import VolumeConditions


def conditions(**changes) -> VolumeConditions:
    return VolumeConditions(-400.0, 400.0, (2000.0, 4000.0), n_emitters=(20, 30), edge_px=2.0, **changes)


def test_half_of_the_emitters_are_dimmer_where_that_is_asked_for():
    generator = torch.Generator().manual_seed(0)
    photons = conditions(dimmest_photons=100.0).sample(200, 40, generator).emitters.flat()[2]
    assert float((photons < 2000).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float(photons.min()) >= 99.9
    dim = photons[photons < 2000].log()
    # Uniform in the logarithm between 100 and 2000.
    assert float(dim.mean()) == pytest.approx(0.5 * (4.605 + 7.601), abs=0.1)


def test_without_dim_emitters_all_lie_in_the_range():
    photons = conditions().sample(50, 40, torch.Generator().manual_seed(0)).emitters.flat()[2]
    assert float(photons.min()) >= 2000
    assert float(photons.max()) <= 4000


@pytest.mark.parametrize("dimmest", [0.0, -1.0, 2001.0])
def test_dimmest_must_lie_below_the_range(dimmest):
    with pytest.raises(UserError, match="dimmest_photons"):
        conditions(dimmest_photons=dimmest)
