import numpy as np
import pytest

from autods.core import Camera
from autods.estimation.light import LightMovie
from autods.estimation.scene import NoiseModel, Scene
from autods.io.movie import ArrayMovie

CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8)
SHAPE = (24, 30)


def movie(lit: float, start: int = 0) -> tuple[LightMovie, np.ndarray, np.ndarray]:
    """A bleaching, uneven background with blinking pixels, a dead and a saturated place."""
    rng = np.random.default_rng(2)
    time = np.arange(400)
    rows = 1 + 0.5 * np.linspace(-1, 1, SHAPE[0])[:, None]
    background = 200 * np.exp(-time / 900)[:, None, None] * rows * np.ones(SHAPE)
    light = 300 * (rng.random((400, *SHAPE)) < lit)
    frames = 100 + rng.poisson((background + light) * CAMERA.qe) / CAMERA.e_per_adu
    frames[:, 4:8, 4:8] = 100
    frames = frames.round().astype(np.uint16)
    frames[:, 12:18, 20:26] = 65535
    scene = Scene(ArrayMovie(frames), NoiseModel.of_camera(CAMERA))
    return LightMovie(scene, CAMERA, start), background, light


@pytest.mark.parametrize("lit", [0.02, 0.2])
def test_light_and_background_are_photons(lit):
    seen, background, light = movie(lit)
    good = np.isfinite(seen.noise(0, 400))
    assert good.mean() == pytest.approx(1 - (16 + 64) / (SHAPE[0] * SHAPE[1]), abs=0.01)
    error = (seen.background(0, 400) - background)[good]
    assert abs(error.mean()) < 5
    assert error.std() < 0.6 * np.sqrt(background.mean() / CAMERA.qe)
    values = seen.read(0, 400)
    assert np.isfinite(values).all()
    assert values[good & (light > 0)].mean() == pytest.approx(300, rel=0.03)
    ratio = seen.noise(0, 400)[good] / np.sqrt(background / CAMERA.qe)[good]
    assert np.percentile(ratio, [1, 50, 99]) == pytest.approx([1, 1, 1], abs=0.1)


def test_a_part_is_the_same_as_in_the_whole():
    whole, part = movie(0.02)[0], movie(0.02, start=150)[0]
    assert part.shape == (250, *SHAPE)
    np.testing.assert_array_equal(part.read(10, 30), whole.read(160, 180))
    np.testing.assert_array_equal(part.background(10, 30), whole.background(160, 180))
