import numpy as np
import pytest
import torch

from autods.core import Camera, OpticalSystem
from autods.estimation.brightness import fluctuation_photons
from autods.estimation.light import LightMovie
from autods.estimation.scene import NoiseModel, Scene
from autods.io.movie import ArrayMovie
from autods.optics import PSF_MODELS
from autods.optics.extent import power_sums
from autods.simulation import PsfRenderer, Simulator, VolumeConditions

RANGE_NM = (-400.0, 400.0)
PHOTONS = 2500.0


def light(frames: np.ndarray, camera: Camera) -> LightMovie:
    return LightMovie(Scene(ArrayMovie(frames), NoiseModel.of_camera(camera)), camera)


def estimate(density_per_um2: float, camera: Camera, background: float = 20.0, exponential: bool = False):
    side, n_frames = 32, 300
    psf = PSF_MODELS["astigmatic_gaussian"](OpticalSystem(pixel_size_nm=100.0))
    area = ((side + 12) * 0.1) ** 2
    n = round(density_per_um2 * area)
    dark = (background, background)
    conditions = VolumeConditions(
        *RANGE_NM, (PHOTONS, PHOTONS), n_emitters=(4 * n, 4 * n), edge_px=-6.0, background=dark
    )
    generator = torch.Generator().manual_seed(1)
    scenes = conditions.sample(n_frames, side, generator)
    # Independent emitters: their number in a frame follows Poisson's law.
    numbers = torch.poisson(torch.full((n_frames, 1), float(n)), generator)
    emitters = scenes.emitters
    emitters.mask.copy_(torch.arange(emitters.mask.shape[1]) < numbers)
    emitters.photons.mul_(emitters.mask)
    if exponential:
        emitters.photons.mul_(torch.empty_like(emitters.photons).exponential_(generator=generator))
    renderer = PsfRenderer.fast(psf, *RANGE_NM, size_px=21)
    frames = Simulator([renderer], [camera], 0.0, 0.0)(scenes, (side, side), generator).numpy()
    movie = light(frames, camera)
    read = float(np.mean(np.square(camera.read_noise_e))) if camera.em_gain is None else 0.0
    return fluctuation_photons(
        movie, *power_sums(psf, *RANGE_NM), camera.qe, camera.excess_noise_factor, read
    )


@pytest.mark.parametrize("density", [0.1, 0.5, 2.0])
def test_photons_are_found_at_any_density(density):
    assert estimate(density, Camera()) == pytest.approx(PHOTONS, rel=0.15)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8, read_noise_e=2.0),
        Camera(offset_adu=100.0, e_per_adu=10.0, em_gain=200.0, qe=0.9, read_noise_e=40.0),
    ],
)
def test_photons_are_found_with_any_camera(camera):
    assert estimate(0.5, camera) == pytest.approx(PHOTONS, rel=0.2)


def test_exponential_photons_read_as_three_times_their_mean():
    assert estimate(0.5, Camera(), exponential=True) == pytest.approx(3 * PHOTONS, rel=0.25)


def test_noise_alone_tells_nothing():
    frames = np.random.default_rng(0).poisson(20.0, (200, 32, 32)).astype(np.float32)
    result = fluctuation_photons(light(frames, Camera()), 0.03, 0.002)
    assert not result > 300
