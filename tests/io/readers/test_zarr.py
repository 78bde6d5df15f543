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
    with pytest.raises(UserError, match=r"pip install autods\[zarr\]"):
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
