import sys

import numpy as np
import pytest

from autods.core import UserError
from autods.io.movie import find_movies, open_movie

zarr = pytest.importorskip("zarr")

FRAMES = np.arange(5 * 4 * 3, dtype=np.uint16).reshape(5, 4, 3)


def _array(path, data, **options):
    array = zarr.create_array(store=str(path), shape=data.shape, dtype=data.dtype, **options)
    array[:] = data
    return path


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    path = _array(tmp_path / "a.zarr", FRAMES)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(UserError, match=r"pip install 'zarr>=3'"):
        open_movie(path)


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_and_extra_axes_of_length_one(tmp_path, version):
    path = _array(tmp_path / "a.zarr", FRAMES[:, None, None], zarr_format=version)
    np.testing.assert_array_equal(open_movie(path).read(0, 5), FRAMES)
    assert find_movies(tmp_path) == [path]


def test_ome_zarr_of_version_05(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("full", shape=FRAMES.shape, dtype="u2")[:] = FRAMES
    scale = [{"type": "scale", "scale": [1, 0.107, 0.107]}]
    axes = [{"name": "t"}, {"name": "y", "unit": "micrometer"}, {"name": "x", "unit": "micrometer"}]
    level = {"path": "full", "coordinateTransformations": scale}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
    movie = open_movie(tmp_path / "a.zarr")
    assert movie.metadata.pixel_size_nm == pytest.approx(107)
    np.testing.assert_array_equal(movie.read(2, 4), FRAMES[2:4])


def test_several_channels_and_bare_groups_are_refused(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    with pytest.raises(UserError, match="name the array"):
        open_movie(tmp_path / "a.zarr")
    group.create_array("0", shape=(5, 2, 1, 4, 3), dtype="u2")
    group.attrs["multiscales"] = [{"version": "0.4", "datasets": [{"path": "0"}]}]
    with pytest.raises(UserError, match="2 channels"):
        open_movie(tmp_path / "a.zarr")


def _ome(path, data, **level):
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array(
        "0", shape=data.shape, dtype="u2", chunks=(1,) * (data.ndim - 2) + data.shape[-2:]
    )
    array[:] = data
    axes = [{"name": "t"}, {"name": "c"}, {"name": "y"}, {"name": "x"}][-data.ndim :]
    axes = axes if data.ndim == 4 else [{"name": "t"}, *axes[-2:]]
    for axis in axes[-2:]:
        axis["unit"] = "micrometer"
    image = {"version": "0.4", "axes": axes, "datasets": [{"path": "0", **level}]}
    group.attrs["multiscales"] = [image]
    return group, image


def test_the_scales_of_image_and_level_multiply(tmp_path):
    def scale(side):
        return [{"type": "scale", "scale": [1, side, side]}]

    group, image = _ome(tmp_path / "a.zarr", FRAMES + 1, coordinateTransformations=scale(0.2))
    group.attrs["multiscales"] = [image | {"coordinateTransformations": scale(0.5)}]
    assert open_movie(tmp_path / "a.zarr").metadata.pixel_size_nm == pytest.approx(100)


def test_channels_and_images_are_chosen(tmp_path):
    both = np.stack([FRAMES + 1, FRAMES + 100], 1)
    _ome(tmp_path / "a.zarr", both)
    with pytest.raises(UserError, match="2 channels: choose with channel=0"):
        open_movie(tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_movie(tmp_path / "a.zarr", channel=1).read(0, 9), FRAMES + 100)
    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for number in (0, 1):
        _ome(tmp_path / "b.zarr" / str(number), FRAMES + 1 + number)
    with pytest.raises(UserError, match="2 stage positions: choose with position=0"):
        open_movie(tmp_path / "b.zarr")
    np.testing.assert_array_equal(open_movie(tmp_path / "b.zarr", position=1).read(0, 9), FRAMES + 2)


def test_what_was_not_copied_is_refused_or_counted(tmp_path, caplog):
    _ome(tmp_path / "a.zarr", FRAMES + 1)
    (tmp_path / "a.zarr/0/4.0.0").unlink()
    assert open_movie(tmp_path / "a.zarr").shape == (4, 4, 3)
    assert "4 of 5 frames are there" in caplog.text
    (tmp_path / "a.zarr/0/1.0.0").unlink()
    with pytest.raises(UserError, match="lacks the chunks of 1 of 4 frames"):
        open_movie(tmp_path / "a.zarr")
    (tmp_path / "a.zarr/0/2.0.0").write_bytes(b"damaged")
    (tmp_path / "a.zarr/0/0.0.0").rename(tmp_path / "a.zarr/0/1.0.0")
    (tmp_path / "a.zarr/0/3.0.0").rename(tmp_path / "a.zarr/0/0.0.0")
    with pytest.raises(UserError, match="frames 2 to 2 cannot be read"):
        open_movie(tmp_path / "a.zarr").read(2, 3)


def test_a_level_that_was_not_copied(tmp_path):
    import shutil

    _ome(tmp_path / "a.zarr", FRAMES + 1)
    shutil.rmtree(tmp_path / "a.zarr/0")
    with pytest.raises(UserError, match="lacks its full-resolution level '0'"):
        open_movie(tmp_path / "a.zarr")


def test_only_the_chunks_of_the_chosen_channel_count(tmp_path):
    _ome(tmp_path / "a.zarr", np.stack([FRAMES + 1, FRAMES + 100], 1))
    (tmp_path / "a.zarr/0/2.1.0.0").unlink()
    assert not open_movie(tmp_path / "a.zarr", channel=0).contents.notes
    with pytest.raises(UserError, match="lacks the chunks of 1 of 5 frames"):
        open_movie(tmp_path / "a.zarr", channel=1)
