"""The scene against simulated movies whose background, noise and valid pixels are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from autods.core import Camera, UserError
from autods.estimation.scene import NoiseModel, Scene, WhiteMovie
from autods.estimation.validity import Validity
from autods.io.movie import ArrayMovie
from tests.inference.test_amplitudes import expected_image

SHAPE = (64, 72)
CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, read_noise_e=1.5)


def pattern(rng, level=60.0, deviation=0.35, grain_px=4.5):
    """A random background, photons."""
    field = gaussian_filter(rng.normal(size=SHAPE), grain_px / 2.355, mode="wrap")
    return level * np.clip(1 + deviation * field / field.std(), 0.1, None)


def light(rng, n_frames, per_frame, photons=1000.0, on_line=False):
    """Blinking emitters anywhere, or all on one line, photons (T, Y, X)."""
    frames = []
    for _ in range(n_frames):
        x = rng.uniform(0, SHAPE[1], per_frame)
        y = np.full(per_frame, 30.3) if on_line else rng.uniform(0, SHAPE[0], per_frame)
        frames.append(expected_image(SHAPE, x, y, rng.gamma(4, photons / 4, per_frame)))
    return np.array(frames)


def expose(rng, photons, camera=CAMERA):
    electrons = rng.poisson(photons * camera.qe) + rng.normal(0, camera.read_noise_e, photons.shape)
    return np.rint(electrons / camera.e_per_adu + camera.offset_adu).clip(0, 65535).astype(np.uint16)


def errors(scene, background, camera=CAMERA):
    """Error of the background over the true noise, and noise over the true one, in the middle frame."""
    middle = scene.movie.shape[0] // 2
    seen = scene(middle, middle + 1)
    true = background / camera.photons_per_adu + camera.offset_adu
    std = np.sqrt(background + camera.read_noise_e**2) / camera.photons_per_adu
    return (seen.background[0] - true) / std, seen.noise[0] / std


@pytest.mark.parametrize("known", [True, False], ids=["camera known", "camera unknown"])
@pytest.mark.parametrize("deviation", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("per_frame", [0, 5, 40])
def test_background_and_noise_over_structure_and_density(known, deviation, per_frame):
    """Up to 40 emitters in 46 um^2: neither structure nor emitters are mistaken for the other."""
    rng = np.random.default_rng(0)
    background = pattern(rng, deviation=deviation)
    movie = ArrayMovie(expose(rng, background + light(rng, 150, per_frame)))
    scene = Scene(movie, NoiseModel.of_camera(CAMERA) if known else None)
    off, noise = errors(scene, background)
    # Without the camera, the flicker of crowded emitters cannot be told from noise.
    crowded = not known and per_frame > 20
    assert abs(off.mean()) < (0.5 if crowded else 0.25)
    assert off.std() < (0.12 if deviation == 0 and not crowded else 0.35)
    assert 0.94 < np.median(noise) < (1.45 if crowded else 1.06)


def test_where_emitters_are_nearly_always_on_the_neighbourhood_tells():
    """A line of emitters, lit in most frames: a fixed percentile over time would follow it."""
    rng = np.random.default_rng(1)
    background = np.full(SHAPE, 60.0)
    frames = expose(rng, background + light(rng, 150, 60, on_line=True))
    off, _ = errors(Scene(ArrayMovie(frames), NoiseModel.of_camera(CAMERA)), background)
    naive = np.percentile(frames, 35, axis=0)[30] - frames[:, :5].mean()
    assert naive.mean() > 2 * frames[:, :5].std()
    assert abs(off[28:33].mean()) < 0.3


@pytest.mark.parametrize("n_frames", [1, 6, 20])
def test_few_frames_tell_a_smooth_background(n_frames):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    background = 20 + 80 * np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / (2 * 25**2))
    movie = ArrayMovie(expose(rng, background + light(rng, n_frames, 6)))
    off, _ = errors(Scene(movie, NoiseModel.of_camera(CAMERA)), background)
    # A single frame cannot tell a slope from emitters as well as several can.
    assert abs(off.mean()) < (0.6 if n_frames == 1 else 0.35)
    assert off.std() < (0.8 if n_frames == 1 else 0.5)


def test_fixed_columns_are_found_in_twenty_frames():
    rng = np.random.default_rng(3)
    columns = rng.normal(0, 6, (1, SHAPE[1]))
    frames = expose(rng, 20 + light(rng, 20, 6)) + columns
    seen = Scene(ArrayMovie(frames), None)(10, 11)
    left = seen.background[0] - columns
    assert left.std() < 2 < columns.std()


def test_bleaching_is_followed_without_steps():
    rng = np.random.default_rng(4)
    level = 100 * np.exp(-np.arange(600) / 500)
    scene = Scene(
        ArrayMovie(expose(rng, level[:, None, None] + np.zeros(SHAPE))), NoiseModel.of_camera(CAMERA)
    )
    found = scene(0, 600).background.mean((1, 2)) / 2 - 50
    assert np.abs(found[60:-60] / level[60:-60] - 1).max() < 0.08
    assert np.abs(np.diff(found)).max() < 1.5


@pytest.mark.parametrize(("n_frames", "share"), [(60, 0.6), (100, 0.3), (200, 0.6), (600, 0.8)])
def test_background_that_bleaches_is_right_from_the_first_frame_to_the_last(n_frames, share):
    """Uneven, with emitters; noise that falls with it."""
    rng = np.random.default_rng(1)
    decay = np.exp(np.log(1 - share) * np.linspace(0, 1, n_frames))[:, None, None]
    background = pattern(rng, 60.0, 0.2) * decay
    movie = ArrayMovie(expose(rng, background + light(rng, n_frames, 5)))
    scene = Scene(movie, NoiseModel.of_camera(CAMERA))
    for t in (0, n_frames // 4, n_frames // 2, n_frames - 1):
        seen = scene(t, t + 1)
        true = background[t] / CAMERA.photons_per_adu + CAMERA.offset_adu
        std = np.sqrt(background[t] + CAMERA.read_noise_e**2) / CAMERA.photons_per_adu
        off = (seen.background[0] - true) / std
        assert abs(off.mean()) < 0.35
        assert off.std() < 0.35
        assert np.median(seen.noise[0] / std) == pytest.approx(1, abs=0.06)


def test_emitters_that_bleach_are_no_background():
    rng = np.random.default_rng(2)
    background = pattern(rng, 60.0, 0.2)
    numbers = np.linspace(60, 3, 150).round().astype(int)
    frames = np.array([light(rng, 1, n)[0] for n in numbers]) + background
    scene = Scene(ArrayMovie(expose(rng, frames)), NoiseModel.of_camera(CAMERA))
    true = background / CAMERA.photons_per_adu + CAMERA.offset_adu
    std = np.sqrt(background + CAMERA.read_noise_e**2) / CAMERA.photons_per_adu
    for t in (0, 75, 149):
        assert abs(((scene(t, t + 1).background[0] - true) / std).mean()) < 0.35


def test_any_range_of_frames_gives_the_same():
    rng = np.random.default_rng(5)
    movie = ArrayMovie(expose(rng, 30 + light(rng, 330, 4)))
    whole, parts = Scene(movie), Scene(movie)
    seen = whole(0, 330)
    for start, stop in ((100, 130), (0, 40), (320, 330)):
        part = parts(start, stop)
        assert np.array_equal(part.background, seen.background[start:stop])
        assert np.array_equal(part.noise, seen.noise[start:stop])


def broken(kind, frames):
    """Return frames with pixels that measure nothing, and where (T, Y, X)."""
    frames, bad = frames.copy(), np.zeros(frames.shape, bool)
    if kind == "constant half":
        bad[:, :, :36] = True
        frames[bad] = 120
    elif kind == "zero border":
        bad[:, :8] = bad[:, :, -8:] = True
        frames[bad] = 0
    elif kind == "growing":
        for t in range(len(frames)):
            bad[t, :, : 1 + t // 10] = True
        frames[bad] = 0
    elif kind == "saturated":
        bad[:, 20:40, 20:40] = True
        frames[bad] = 65535
    elif kind == "black frames":
        bad[:20] = True
        frames[bad] = 0
    elif kind == "not finite":
        frames = frames.astype(np.float32)
        bad[:, 5, 5] = bad[3:9, 30:40, 30:40] = True
        frames[bad] = np.nan
    return frames, bad


@pytest.mark.parametrize(
    "kind", ["constant half", "zero border", "growing", "saturated", "black frames", "not finite"]
)
def test_pixels_that_measure_nothing_are_told_and_spoil_nothing(kind):
    rng = np.random.default_rng(6)
    frames, bad = broken(kind, expose(rng, 20 + light(rng, 60, 5)))
    scene = Scene(ArrayMovie(frames))
    seen = scene(0, 60)
    assert not seen.valid[bad].any()
    assert seen.valid[~bad].mean() > (0.9 if kind == "growing" else 0.97)
    good = seen.valid & ~bad
    assert np.median(seen.background[good]) == pytest.approx(140, abs=3)
    assert np.median(seen.noise[good]) == pytest.approx(2 * np.sqrt(20 + 1.5**2), rel=0.12)
    white = WhiteMovie(scene).read(0, 60)
    assert white[~seen.valid].std() == pytest.approx(1, abs=0.1)
    assert np.array_equal(white, WhiteMovie(scene).read(0, 60))


@pytest.mark.parametrize("level", [-4.0, -2.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("known", [True, False], ids=["camera known", "camera unknown"])
def test_a_subtracted_background_that_was_clipped_leaves_noise_and_level(level, known):
    """Up to eight of ten values are cut off at 0; a camera's offset says nothing of such a movie."""
    rng = np.random.default_rng(0)
    values = np.rint(rng.poisson(20.0, (100, *SHAPE)) - 20.0 + level + light(rng, 100, 3)).clip(0)
    camera = Camera(offset_adu=100.0)
    movie = ArrayMovie(values.astype(np.uint16))
    seen = Scene(movie, NoiseModel.of_camera(camera) if known else None)(40, 60)
    empty = np.rint(rng.poisson(20.0, (400, *SHAPE)) - 20.0 + level).clip(0)
    assert np.median(seen.background) == pytest.approx(empty.mean(), abs=0.3)
    assert np.median(seen.noise) == pytest.approx(np.sqrt(20.0), rel=0.15 if level > -3 else 0.25)


def test_clipped_and_saturated_movies_are_named():
    rng = np.random.default_rng(7)
    frames = expose(rng, 20 + light(rng, 30, 5))
    clipped = np.clip(frames.astype(int) - 140, 0, None).astype(np.uint16)
    assert any("clipped" in note for note in Validity.measure(ArrayMovie(clipped)).notes)
    full, _ = broken("saturated", frames)
    assert any("saturated" in note for note in Validity.measure(ArrayMovie(full)).notes)
    assert Validity.measure(ArrayMovie(frames)).notes == ()
    noise = Scene(ArrayMovie(clipped))(15, 16).noise
    assert np.median(noise) == pytest.approx(2 * np.sqrt(22), rel=0.3)


def test_noisy_pixels_are_noisier_in_the_scene():
    rng = np.random.default_rng(8)
    read = np.full(SHAPE, 1.5)
    hot = rng.choice(read.size, 40, replace=False)
    read.flat[hot] = 15
    frames = expose(rng, np.full((120, *SHAPE), 20.0), Camera(100.0, 0.5, read_noise_e=read))
    noise = Scene(ArrayMovie(frames))(60, 61).noise[0]
    assert np.median(noise.flat[hot]) == pytest.approx(2 * np.sqrt(20 + 15**2), rel=0.2)
    assert np.quantile(np.delete(noise.ravel(), hot), 0.995) < 1.3 * np.median(noise)


@pytest.mark.parametrize("known", [True, False], ids=["camera known", "camera unknown"])
@pytest.mark.parametrize("photons", [3_000.0, 50_000.0])
def test_beads_that_never_go_out_are_no_background(known, photons):
    rng = np.random.default_rng(9)
    background = pattern(rng, level=40.0, deviation=0.1)
    beads = expected_image(SHAPE, np.array([20.3, 50.8]), np.array([15.1, 40.6]), np.full(2, photons))
    frames = expose(rng, background + beads + light(rng, 120, 4))
    scene = Scene(ArrayMovie(frames), NoiseModel.of_camera(CAMERA) if known else None)
    found = (scene(60, 61).background[0] - 100) / 2
    # What lies under a bead is taken from what is round it, which is right to the background's structure.
    assert np.abs(found - background)[beads > 0.1 * beads.max()].max() < 20
    assert np.abs(found - background)[beads < 1e-3 * beads.max()].std() < 3


@pytest.mark.parametrize("std", [0.6, 1.0, 1.7, 3.0, 20.0])
def test_noise_of_whole_numbers_is_not_measured_in_steps(std):
    rng = np.random.default_rng(10)
    frames = np.rint(rng.normal(100, std, (60, *SHAPE))).astype(np.uint16)
    noise = Scene(ArrayMovie(frames))(30, 31).noise
    assert np.median(noise) == pytest.approx(np.hypot(std, np.sqrt(1 / 12)), rel=0.06)
    small = Scene(ArrayMovie(rng.normal(0.01, 1e-4 * std, (60, *SHAPE)).astype(np.float32)))(30, 31).noise
    assert np.median(small) == pytest.approx(1e-4 * std, rel=0.06)


def test_an_unknown_method_is_refused():
    with pytest.raises(UserError, match="background"):
        Scene(ArrayMovie(np.zeros((3, 8, 8))), method="median")
