"""Networks that look at neighbouring frames find the same however a movie is cut."""

import numpy as np
import pytest

from autods.pipelines import autods as pipeline
from autods.pipelines.autods import localize
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from tests.pipelines.models import PIXEL_NM, simulate, write_zoo

N_FRAMES = 23


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    # Unequal weights: previous and next must not be mixed up, and both matter.
    return write_zoo(tmp_path_factory.mktemp("zoo"), frame_weights=(0.6, 1.0, 0.3))


@pytest.fixture(scope="module")
def movie():
    """A few emitters a frame; every third frame is empty, and skipped."""
    frames, _ = simulate(np.random.default_rng(0), n_frames=N_FRAMES, shape=(40, 48), per_frame=3)
    empty = np.random.default_rng(1).poisson(30, frames.shape) * 2 + 100
    dark = (np.arange(N_FRAMES) % 3 == 1)[:, None, None]
    return np.where(dark, empty, frames).astype(np.uint16)


@pytest.fixture(scope="module", autouse=True)
def frames_one_by_one():
    """A convolution rounds differently in batches of different sizes; here equal means equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autods.inference.localizer.CPU_BATCH_PX", 1)
        yield


def wanted(zoo, **changes):
    return LocalizeSettings(
        **{
            "optics": OpticsSettings(pixel_size_nm=PIXEL_NM),
            "camera": CameraSettings(offset_adu=100.0, e_per_adu=0.5),
            "zoo": zoo,
            "device": "cpu",
            "refine": "none",
            "rescale": False,
            "min_significance": 0.0,
            "patch_um": 2.5,
            **changes,
        }
    )


def places(table):
    return np.column_stack([table.frame, table.x_nm, table.y_nm, table.confidence])


@pytest.fixture(scope="module", params=["movie", "frame"])
def whole(request, zoo, movie):
    return request.param, places(localize(movie, wanted(zoo, scope=request.param)))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_blocks_of_any_length_give_the_same(zoo, movie, whole, length, monkeypatch):
    scope, expected = whole
    monkeypatch.setattr(pipeline, "block_length", lambda shape: length)
    assert np.array_equal(places(localize(movie, wanted(zoo, scope=scope))), expected)


@pytest.mark.parametrize(("first", "last"), [(0, 5), (4, 13), (20, 23)])
def test_a_range_of_frames_is_seen_between_its_true_neighbours(zoo, movie, whole, first, last):
    _, expected = whole
    here = expected[(expected[:, 0] >= first) & (expected[:, 0] < last)]
    part = localize(movie, wanted(zoo, frames=slice(first, last), selection="fixed:level_2"))
    assert len(here)
    assert np.array_equal(places(part), here)


def test_neighbours_matter(zoo, movie, whole, tmp_path):
    _, expected = whole
    alone = localize(movie, wanted(write_zoo(tmp_path / "zoo")))
    assert len(expected) > 1.3 * len(alone)


def test_empty_frames_are_skipped_but_seen(zoo, movie, whole):
    """Nothing is found in a frame without light, though its neighbours shine into the network's sum."""
    _, expected = whole
    assert np.mean(expected[:, 0] % 3 == 1) < 0.2
    swapped = movie.copy()
    swapped[1::3] = swapped[1]
    changed = places(localize(swapped, wanted(zoo)))
    assert not np.array_equal(changed, expected)
