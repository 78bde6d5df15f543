import numpy as np
import pytest

from autods.estimation.empty import has_events, is_empty, noise_peak
from autods.estimation.statistics import frame_statistics
from tests.estimation.published import has_events_published, preprocess
from tests.estimation.simulate import simulate

SHAPE = (64, 64)
AREA = SHAPE[0] * SHAPE[1]


def detected(snr: float, density: float, n_frames: int = 60, background: float = 60.0) -> tuple[float, float]:
    """Fraction of the frames with an emitter that each test reports: (published, ours)."""
    movie = simulate(density, snr, n_frames=n_frames, shape=SHAPE, background=background, seed=5)
    holds = np.bincount(movie.frame, minlength=n_frames) > 0
    patch = preprocess(movie.frames)
    published = has_events_published(patch, patch.mean(axis=(1, 2)))
    ours = has_events(frame_statistics(movie.frames, 1.2), AREA, 1.2)
    return published[holds].mean(), ours[holds].mean()


@pytest.mark.parametrize("background", [5.0, 60.0, 1000.0])
def test_noise_alone_is_rarely_taken_for_an_event(background: float) -> None:
    movie = simulate(0.0, 1.0, n_frames=200, shape=SHAPE, background=background)
    false = has_events(frame_statistics(movie.frames, 1.2), AREA, 1.2).mean()
    assert false < 0.15
    assert false > 0  # a threshold that noise never reaches costs dim emitters


@pytest.mark.parametrize(
    ("snr", "density", "at_least"), [(2.0, 0.5, 0.9), (3.0, 0.1, 0.9), (4.0, 0.05, 0.95)]
)
def test_dim_emitters_are_kept_where_the_published_test_drops_them(
    snr: float, density: float, at_least: float
) -> None:
    published, ours = detected(snr, density)
    assert ours >= at_least
    assert published < 0.2


def area_under_roc(events: np.ndarray, empty: np.ndarray) -> float:
    """Chance that a frame with emitters scores above an empty one."""
    return float((events[:, None] > empty[None]).mean() + 0.5 * (events[:, None] == empty[None]).mean())


@pytest.mark.parametrize(("snr", "at_least"), [(2.0, 0.75), (3.0, 0.9), (5.0, 0.98)])
def test_roc_of_frames_with_one_or_two_emitters(snr: float, at_least: float) -> None:
    movie = simulate(0.03, snr, n_frames=150, shape=SHAPE, seed=7)
    holds = np.bincount(movie.frame, minlength=150) > 0
    assert 50 < holds.sum() < 130
    patch = preprocess(movie.frames)
    published = np.percentile(patch, 99, axis=(1, 2)) / patch.mean(axis=(1, 2))
    ours = frame_statistics(movie.frames, 1.2).peak
    assert area_under_roc(ours[holds], ours[~holds]) > at_least
    assert (
        area_under_roc(ours[holds], ours[~holds]) > area_under_roc(published[holds], published[~holds]) + 0.05
    )


@pytest.mark.parametrize("snr", [1.5, 2.0, 3.0, 5.0, 10.0])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_never_behind_the_published_test(snr: float, density: float) -> None:
    published, ours = detected(snr, density)
    assert ours >= published - 0.02


def test_published_test_as_written() -> None:
    rng = np.random.default_rng(0)
    patch = preprocess(rng.normal(0, 1, (2, 50, 50)))
    patch[1, 10:20, 10:20] += 200
    assert has_events_published(patch, patch.mean(axis=(1, 2))).tolist() == [False, True]
    # A patch no brighter than the rest of its frame holds nothing.
    assert not has_events_published(patch, np.full(2, 1000.0)).any()


def test_patch_over_the_movie_is_empty_only_without_a_single_event() -> None:
    noise = simulate(0.0, 1.0, n_frames=200, shape=SHAPE)
    assert is_empty(frame_statistics(noise.frames, 1.2), AREA, 1.2)
    once = noise.frames.copy()
    bright = simulate(0.03, 5.0, n_frames=40, shape=SHAPE, seed=2)
    frame = int(bright.frame[np.argmin(np.abs(bright.x_px - 32))])
    once[77] = bright.frames[frame]
    assert not is_empty(frame_statistics(once, 1.2), AREA, 1.2)
    many = simulate(0.5, 2.0, n_frames=60, shape=SHAPE)
    assert not is_empty(frame_statistics(many.frames, 1.2), AREA, 1.2)


def test_expected_height_of_the_noise() -> None:
    assert noise_peak(1e6, 1.2) > noise_peak(1e4, 1.2) > noise_peak(1e4, 2.0)
    assert noise_peak(1e4, 1.2, 0.5) < noise_peak(1e4, 1.2, 0.01)
