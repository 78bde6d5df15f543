import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.core import OpticalSystem, UserError
from autods.estimation.patch import measure_patch
from autods.estimation.profile import profile_movie, sampled_runs
from autods.io.movie import ArrayMovie, open_movie
from tests.data import shared
from tests.estimation.simulate import simulate

OPTICS = OpticalSystem(100.0)


def test_whole_and_tiles_of_an_uneven_field() -> None:
    sparse = simulate(0.2, 8.0, shape=(64, 60), n_frames=40, tilt=0, seed=1)
    dense = simulate(2.0, 4.0, shape=(64, 60), n_frames=40, tilt=0, seed=2)
    frames = np.concatenate([sparse.frames, dense.frames], axis=2).round().astype(np.uint16)
    profile = profile_movie(ArrayMovie(frames), OPTICS, [(0, 0, 64, 60), (0, 60, 64, 120)])
    left, right = (tile.profile for tile in profile.tiles)
    assert left.density_per_um2 == pytest.approx(sparse.density_per_um2, rel=0.25)
    assert right.density_per_um2 == pytest.approx(dense.density_per_um2, rel=0.25)
    assert left.snr == pytest.approx(sparse.snr, rel=0.25)
    assert right.snr == pytest.approx(dense.snr, rel=0.25)
    assert profile.whole.density_per_um2 == pytest.approx((left.density_per_um2 + right.density_per_um2) / 2)
    assert right.snr < profile.whole.snr < left.snr
    assert profile.psf_sigma_px == pytest.approx(1.2, rel=0.08)
    assert profile.psf_source in ("fits", "autocorrelation")
    assert profile.tiles[1].core == (0, 60, 64, 120)


def test_profile_is_json_and_one_tile_equals_the_patch() -> None:
    movie = simulate(0.5, 6.0, n_frames=24)
    profile = profile_movie(ArrayMovie(movie.frames), OPTICS)
    values = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert values["shape"] == [24, 64, 64]
    assert values["tiles"][0]["core"] == [0, 0, 64, 64]
    assert values["whole"]["density_per_um2"] == profile.whole.density_per_um2
    patch = measure_patch(movie.frames, 100.0, profile.psf_sigma_px)
    assert profile.whole.density_per_um2 == pytest.approx(patch.density_per_um2, rel=0.02)
    assert profile.whole.snr == pytest.approx(patch.snr, rel=0.02)


@given(st.integers(1, 5000), st.integers(2, 300))
def test_sampled_frames_are_few_distinct_and_span_the_movie(n_frames: int, max_frames: int) -> None:
    runs = sampled_runs(n_frames, max_frames)
    frames = [frame for start, stop in runs for frame in range(start, stop)]
    assert frames == sorted(set(frames))
    assert len(frames) <= max(max_frames, 2)
    assert frames[0] >= 0
    assert frames[-1] < n_frames
    if n_frames <= max_frames:
        assert len(frames) == n_frames
    elif max_frames >= 4:
        assert frames[0] == 0
        assert frames[-1] == n_frames - 1


def test_reads_few_frames_of_a_long_movie() -> None:
    class Counting(ArrayMovie):
        largest = 0
        total = 0

        def read(self, start: int, stop: int) -> np.ndarray:
            self.largest = max(self.largest, stop - start)
            self.total += stop - start
            return super().read(start, stop)

    reads = []
    for n_frames in (3000, 9000):
        movie = Counting(np.random.default_rng(0).poisson(50, (n_frames, 16, 16)).astype(np.uint16))
        profile = profile_movie(movie, OPTICS, max_frames=60)
        assert profile.n_measured == 60
        assert movie.largest <= 8
        reads.append(movie.total)
    assert max(reads) < 2500


def test_optics_stand_in_where_the_width_cannot_be_measured() -> None:
    noise = np.random.default_rng(0).normal(100, 3, (10, 32, 32))
    with_optics = profile_movie(ArrayMovie(noise), OpticalSystem(100.0, wavelength_nm=670.0, na=1.4))
    assert with_optics.psf_source == "optics"
    assert with_optics.psf_sigma_px == pytest.approx(0.21 * 6.7 / 1.4)
    assert with_optics.psf_source not in ("fits", "autocorrelation")
    assert with_optics.whole.is_empty
    without = profile_movie(ArrayMovie(noise), OPTICS)
    assert without.psf_source == "typical"
    assert any("could not be measured" in note for note in without.notes)


def test_optics_that_contradict_the_movie_are_noted() -> None:
    movie = simulate(0.5, 8.0, n_frames=30, sigma_px=1.2)
    profile = profile_movie(ArrayMovie(movie.frames), OpticalSystem(100.0, wavelength_nm=670.0, na=0.5))
    assert any("differs from" in note for note in profile.notes)
    fitting = profile_movie(ArrayMovie(movie.frames), OpticalSystem(100.0, wavelength_nm=670.0, na=1.2))
    assert not fitting.notes


def test_movies_that_hold_nothing() -> None:
    constant = profile_movie(ArrayMovie(np.full((5, 20, 20), 7, np.uint16)), OPTICS)
    assert any("constant" in note for note in constant.notes)
    assert constant.whole.is_empty
    json.dumps(constant.to_dict(), allow_nan=False)
    single = profile_movie(ArrayMovie(simulate(1.0, 8.0, n_frames=1).frames), OPTICS)
    assert any("single frame" in note for note in single.notes)
    with pytest.raises(UserError, match="finite"):
        profile_movie(ArrayMovie(np.full((3, 20, 20), np.nan)), OPTICS)
    with pytest.raises(UserError, match="too small"):
        profile_movie(ArrayMovie(np.zeros((3, 4, 20))), OPTICS)


@pytest.mark.data
@pytest.mark.parametrize("name", ["2dgauss_ld", "2dgauss_md", "2dairy_ld"])
def test_density_of_third_party_movies(name: str) -> None:
    path: Path = shared(f"nairr/{name}.tif")
    truth = np.genfromtxt(path.with_suffix(".csv"), delimiter=",", names=True)
    with open_movie(path) as movie:
        profile = profile_movie(movie, OPTICS)
        area_um2 = movie.shape[1] * movie.shape[2] * 1e-2
        density = len(truth) / movie.shape[0] / area_um2
    assert profile.whole.density_per_um2 == pytest.approx(density, rel=0.35)
