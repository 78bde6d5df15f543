import os

import numpy as np
import pytest

from autods.core import UserError
from autods.io.movie import open_movie


def _save(path, array):
    np.save(path, array, allow_pickle=True)
    return path


def test_one_image_is_one_frame(tmp_path):
    assert open_movie(_save(tmp_path / "a.npy", np.ones((4, 5), np.uint8))).shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{"a": 1}]), "Python objects"),
        (np.ones((2, 3, 4, 5)), "4 axes"),
        (np.ones(7), "1 axes"),
        (np.ones((2, 3, 4), complex), "complex"),
        (np.ones((0, 3, 4)), "no image"),
    ],
)
def test_what_is_no_movie(tmp_path, array, words):
    with pytest.raises(UserError, match=words):
        open_movie(_save(tmp_path / "a.npy", array))


def test_truncated(tmp_path):
    path = _save(tmp_path / "a.npy", np.ones((9, 8, 7)))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(UserError, match="truncated"):
        open_movie(path)


def test_big_endian_becomes_native(tmp_path):
    movie = open_movie(_save(tmp_path / "a.npy", np.arange(24, dtype=">u2").reshape(2, 3, 4)))
    assert movie.dtype.isnative
    assert movie.read(1, 2).ravel().tolist() == list(range(12, 24))
