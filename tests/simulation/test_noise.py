import numpy as np
import pytest
import torch

from autods.core import Camera
from autods.simulation import expose
from autods.simulation.background import background_maps


@pytest.mark.parametrize("photons", [2.0, 30.0, 1000.0])
@pytest.mark.parametrize(
    "camera",
    [
        Camera(offset_adu=100, e_per_adu=0.5, qe=0.8, read_noise_e=1.5),
        Camera(offset_adu=100, e_per_adu=45, em_gain=300, qe=0.9, read_noise_e=74.4, spurious_charge_e=0.002),
    ],
    ids=["scmos", "emccd"],
)
def test_mean_and_variance_follow_the_camera_model(photons, camera):
    generator = torch.Generator().manual_seed(1)
    values = camera.to_photons(expose(torch.full((40, 100, 100), photons), camera, generator))
    assert float(values.mean()) == pytest.approx(photons, rel=0.01)
    shot = camera.excess_noise_factor * photons / camera.qe
    variance = shot + float(camera.read_noise_photons) ** 2
    assert float(values.var()) == pytest.approx(variance, rel=0.03)


def test_camera_maps_apply_pixel_by_pixel():
    offset = np.array([[0.0, 50.0]])
    noise = np.array([[0.0, 20.0]])
    camera = Camera(offset_adu=offset, read_noise_e=noise)
    values = expose(torch.full((5000, 1, 2), 4.0), camera, torch.Generator().manual_seed(0))
    assert values.mean(0)[0].numpy() == pytest.approx([4, 54], abs=1)
    assert values.std(0)[0].numpy() == pytest.approx([2, np.sqrt(404)], rel=0.05)


def test_the_same_seed_gives_the_same_noise():
    camera = Camera(em_gain=100, read_noise_e=10)
    frames = [expose(torch.full((2, 8, 8), 9.0), camera, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*frames)


def test_background_has_its_level_and_is_never_negative():
    level = torch.tensor([5.0, 50.0, 500.0])
    generator = torch.Generator().manual_seed(0)
    flat = background_maps(level, (32, 48), generator, gradient=0.0, blobs=0.0)
    assert torch.allclose(flat, level.view(-1, 1, 1).expand(3, 32, 48))
    sloped = background_maps(level, (32, 48), generator, gradient=0.5, n_blobs=0)
    assert torch.allclose(sloped.mean((1, 2)), level, rtol=1e-4)
    assert float(sloped.std()) > 0
    wild = background_maps(level, (32, 48), generator, gradient=3.0, blobs=1.0)
    assert float(wild.min()) >= 0
