import numpy as np
import pytest

from autods.core import UserError
from autods.estimation.snr3d import characterise, choose_region, light_density_per_um2
from autods.io.movie import ArrayMovie

PEAK = 0.08
SIGMA = np.sqrt(1 / (2 * np.pi * PEAK))


def frames(
    emitters, shape=(60, 90), n_frames=150, photons=4000.0, mean=12.0, std=3.0, seed=0, columns=(4, 86)
):
    """Gaussian spots of peak PEAK at pixel centres between two columns, in normal noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    out = rng.normal(mean, std, (n_frames, *shape))
    for t in range(n_frames):
        for _ in range(rng.poisson(emitters)):
            y0, x0 = rng.integers(4, shape[0] - 4), rng.integers(*columns)
            spot = photons * PEAK * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / SIGMA**2)
            out[t] += rng.poisson(spot)
    return out.astype(np.float32)


@pytest.mark.parametrize("photons", [1500.0, 4000.0, 20_000.0])
def test_photons_and_noise_are_found(photons):
    movie = ArrayMovie(frames(0.8, photons=photons))
    found = characterise(movie, PEAK, "0:0:60:90")
    assert found.noise_mean == pytest.approx(12.0, abs=1.0)
    assert found.noise_std == pytest.approx(3.0, rel=0.2)
    # A maximum of noisy peaks lies above their mean.
    assert photons * 0.98 < found.photons < photons * 1.35
    assert found.photons_range == pytest.approx((0.5 * found.photons, 1.1 * found.photons))
    assert found.noise_std_range == pytest.approx((found.noise_std, 1.4 * found.noise_std))
    assert found.n_frames == 150


def test_a_given_maximum_is_taken():
    found = characterise(ArrayMovie(frames(0.0)), PEAK, "top-left", 20, max_pixel_value=332.0)
    assert found.photons == pytest.approx((332 - found.noise_mean) / PEAK)


def test_a_negative_floor_widens_downwards():
    found = characterise(ArrayMovie(frames(0.5, mean=-2.0)), PEAK, "0:0:60:90")
    assert found.noise_mean_range[0] == pytest.approx(1.4 * found.noise_mean)
    assert found.noise_mean_range[1] == pytest.approx(found.noise_mean)


@pytest.mark.parametrize(
    ("corner", "box"),
    [("top-left", (0, 0, 20, 20)), ("top-right", (0, 70, 20, 90)), ("bottom-left", (40, 0, 60, 20))],
)
def test_corners(corner, box):
    assert choose_region(ArrayMovie(np.zeros((2, 60, 90), np.uint16)), corner, 20).box == box


def test_the_automatic_region_is_sparse_but_not_empty():
    # Crowded on the left, sparse in the middle, nothing on the right.
    crowded, sparse = frames(20.0, columns=(4, 26)), frames(0.3, columns=(34, 56), mean=0.0, std=0.0, seed=1)
    found = choose_region(ArrayMovie(crowded + sparse), "auto", 20)
    assert 25 <= found.box[1] <= 60
    assert "automatically" in found.reason
    nothing = choose_region(ArrayMovie(frames(0.0)), "auto", 20)
    assert "no region" in nothing.reason


def test_a_region_without_molecules_is_said():
    with pytest.raises(UserError, match="no molecules"):
        characterise(ArrayMovie(frames(0.0)), PEAK, "auto", 20)


@pytest.mark.parametrize("region", ["middle", "0:0:61:20", "10:0:10:20", "1:2:3"])
def test_regions_that_make_no_sense_are_refused(region):
    with pytest.raises(UserError, match=r"snr\.region"):
        choose_region(ArrayMovie(np.zeros((2, 60, 90), np.uint16)), region)


@pytest.mark.parametrize("emitters", [1.0, 8.0, 40.0])
def test_density_from_light_does_not_saturate(emitters):
    movie = ArrayMovie(frames(emitters, n_frames=100))
    area_um2 = 60 * 90 * 0.01
    found = light_density_per_um2(movie, 4000.0, 100.0) * area_um2
    assert found == pytest.approx(emitters, rel=0.15, abs=0.3)
