import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io.movie import open_movie

FRAMES = np.random.default_rng(3).integers(0, 999, (6, 9, 8)).astype(np.uint16)


def _write(folder, names, frames=FRAMES):
    folder.mkdir()
    for name, frame in zip(names, frames, strict=True):
        tifffile.imwrite(folder / name, frame, metadata=None)
    return folder


@pytest.mark.parametrize(
    "pattern",
    [
        "img_channel{c:03d}_position000_time{t:09d}_z000.tif",
        "img_{t:09d}_{name}_000.tif",
        "cell_C{c}_T{t:04d}.tif",
        "exp_w{c}_t{t}.TIF",
        "TSeries_Cycle00001_Ch{c}_{t:06d}.tif",
    ],
)
def test_channels_in_names(tmp_path, pattern):
    names = [pattern.format(c=c, t=t, name=("DAPI", "Cy5")[c]) for c in (0, 1) for t in range(3)]
    folder = _write(tmp_path / "images", names)
    with pytest.raises(UserError, match="2 channels"):
        open_movie(folder)
    first, second = (open_movie(folder, channel=c).read(0, 9) for c in (0, 1))
    if "{name}" in pattern:  # channels by name come in the order of their names
        first, second = second, first
    np.testing.assert_array_equal(first, FRAMES[:3])
    np.testing.assert_array_equal(second, FRAMES[3:])


@pytest.mark.parametrize(
    "pattern", ["img_channel000_position{p:03d}_time{t:09d}_z000.tif", "a_s{p}_t{t}.tif"]
)
def test_positions_in_names(tmp_path, pattern):
    folder = _write(tmp_path / "images", [pattern.format(p=p, t=t) for p in (0, 1) for t in range(3)])
    with pytest.raises(UserError, match=r"2 stage positions .* choose with position=0"):
        open_movie(folder)
    np.testing.assert_array_equal(open_movie(folder, position=1).read(0, 9), FRAMES[3:])


def test_gaps_are_counted(tmp_path, caplog):
    folder = _write(tmp_path / "images", [f"img_{i}.tif" for i in (1, 2, 3, 6, 7, 8)])
    np.testing.assert_array_equal(open_movie(folder).read(0, 9), FRAMES)
    assert "numbered 1 to 8, 2 of them missing, such as 4" in caplog.text


def test_time_stamps_beside_a_counter_are_no_frames(tmp_path):
    names = [f"img_{i:04d}_{100 * i + i % 2}ms.tif" for i in range(6)]
    np.testing.assert_array_equal(open_movie(_write(tmp_path / "images", names)).read(0, 9), FRAMES)


def test_numbers_that_do_not_say_what_they_count(tmp_path):
    folder = _write(tmp_path / "images", [f"run{a}_{b}.tif" for a in (1, 2) for b in range(3)])
    with pytest.raises(UserError, match=r"numbered in 2 places \(2 x 3\)"):
        open_movie(folder)


def test_an_image_that_is_missing_between_channels(tmp_path):
    names = [f"img_c{c}_t{t}.tif" for c in (0, 1) for t in range(3)]
    folder = _write(tmp_path / "images", names)
    (folder / names[1]).unlink()
    with pytest.raises(UserError, match="lacks 1 of 3 images"):
        open_movie(folder, channel=0)
    assert open_movie(folder, channel=1).shape == (3, 9, 8)
