import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from autods.core import UserError
from autods.io.movie import open_movie

FRAMES = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.uint16)


class FakeFile:
    """The part of nd2.ND2File that the reader uses."""

    sizes: dict[str, int] = {"T": 6, "Y": 5, "X": 4}  # noqa: RUF012

    def __init__(self, path):
        channel = SimpleNamespace(
            channel=SimpleNamespace(emissionLambdaNm=670.0),
            microscope=SimpleNamespace(objectiveNumericalAperture=1.49),
        )
        self.metadata = SimpleNamespace(channels=[channel])
        self.attributes = SimpleNamespace(sequenceCount=6)
        self.dtype = FRAMES.dtype
        self.closed = False

    def voxel_size(self):
        return SimpleNamespace(x=0.16, y=0.16, z=1.0)

    def read_frame(self, index):
        return FRAMES[index]

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()


@pytest.fixture
def movie_path(tmp_path):
    path = tmp_path / "movie.bin"
    path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    return path


def _install(monkeypatch, **overrides):
    module = ModuleType("nd2")
    module.ND2File = type("ND2File", (FakeFile,), overrides)
    monkeypatch.setitem(sys.modules, "nd2", module)


def test_without_the_package_the_extra_is_named(movie_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nd2", None)
    with pytest.raises(UserError, match=r"pip install nd2"):
        open_movie(movie_path)


def test_frames_and_metadata(movie_path, monkeypatch):
    _install(monkeypatch)
    with open_movie(movie_path) as movie:
        np.testing.assert_array_equal(movie.read(1, 5), FRAMES[1:5])
        assert movie.metadata.known() == {"pixel_size_nm": 160.0, "wavelength_nm": 670.0, "na": 1.49}


def test_channels_and_positions_are_chosen(movie_path, monkeypatch):
    both = np.stack([FRAMES, FRAMES + 1], 1)  # the package reads the channels of a frame together
    sizes = {"T": 3, "P": 2, "C": 2, "Y": 5, "X": 4}
    _install(monkeypatch, sizes=sizes, read_frame=lambda _self, index: both[index])
    with pytest.raises(UserError, match="2 stage positions and 2 channels: choose with position=0 channel=0"):
        open_movie(movie_path)
    with open_movie(movie_path, channel=1, position=1) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES[1::2] + 1)


def test_a_stopped_recording_ends_where_it_was_stopped(movie_path, monkeypatch):
    _install(monkeypatch, sizes={"T": 100, "Y": 5, "X": 4})
    assert open_movie(movie_path).shape == (6, 5, 4)


@pytest.mark.parametrize("n_bytes", [50, 200, 5000])
def test_the_real_package_refuses_a_damaged_file(movie_path, n_bytes):
    movie_path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(n_bytes))
    with pytest.raises(UserError) as caught:
        open_movie(movie_path)
    assert "\n" not in str(caught.value)


def test_the_real_package_has_what_the_reader_uses():
    import nd2

    for name in ("sizes", "dtype", "attributes", "metadata", "voxel_size", "read_frame", "close"):
        assert hasattr(nd2.ND2File, name), name
