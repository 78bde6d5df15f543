"""Movies of microscope vendors, written by a writer or by minimal generators."""

import sys

import numpy as np
import pytest

from autods.core import UserError
from autods.io.movie import open_movie
from tests.io.writers import write_imaris, write_lif, write_sif, write_stk

FRAMES = np.random.default_rng(5).integers(0, 60_000, (6, 19, 14)).astype(np.uint16)


def _czi(path, scenes=1, channels=1, missing=()):
    czi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw is not installed")
    with czi.create_czi(str(path)) as writer:
        for t, frame in enumerate(FRAMES):
            for c in range(channels):
                for s in range(scenes):
                    if t not in missing:
                        place = {"location": (100 * s, 0), "scene": s} if scenes > 1 else {}
                        writer.write((frame + c + 10 * s)[..., None], plane={"T": t, "C": c}, **place)
        writer.write_metadata(document_name="movie", scale_x=1.07e-7, scale_y=1.07e-7)
    return path


def test_czi_channels_scenes_and_scaling(tmp_path):
    path = _czi(tmp_path / "m.czi", scenes=2, channels=2)
    with pytest.raises(UserError, match="2 stage positions and 2 channels"):
        open_movie(path)
    with open_movie(path, channel=1, position=1) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES + 11)
        assert movie.metadata.pixel_size_nm == pytest.approx(107)
        assert not movie.contents.notes


def test_czi_with_images_missing(tmp_path, caplog):
    with open_movie(_czi(tmp_path / "m.czi", missing=(2, 3))) as movie:
        np.testing.assert_array_equal(movie.read(4, 6), FRAMES[4:])
    assert "2 of its 6 images are missing" in caplog.text


def test_lif_images_are_chosen(tmp_path):
    pytest.importorskip("liffile", reason="liffile is not installed")
    path = write_lif(tmp_path / "m.lif", {"cell": FRAMES, "field": FRAMES[::-1]}, 107.0)
    with pytest.raises(UserError, match=r"2 stage positions \(cell, field\): choose with position=0"):
        open_movie(path)
    with open_movie(path, position=1) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES[::-1])
        assert movie.metadata.pixel_size_nm == pytest.approx(107)


def test_sif_and_a_copy_that_was_interrupted(tmp_path, caplog):
    pytest.importorskip("sif_parser", reason="sif_parser is not installed")
    path = write_sif(tmp_path / "m.sif", FRAMES)
    with open_movie(path) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES)
        assert movie.metadata.exposure_ms == pytest.approx(30)
    path.write_bytes(path.read_bytes()[:-10])
    assert open_movie(path).shape == (5, 19, 14)
    assert "5 of 6 frames" in caplog.text
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="damaged or truncated"):
        open_movie(path)


def test_imaris_without_its_padding(tmp_path):
    path = write_imaris(tmp_path / "m.ims", np.stack([FRAMES, FRAMES + 1]), 0.107)
    with pytest.raises(UserError, match="2 channels"):
        open_movie(path)
    with open_movie(path, channel=1) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES + 1)
        assert movie.metadata.pixel_size_nm == pytest.approx(107)


@pytest.mark.parametrize(
    ("module", "package", "start"),
    [
        ("pylibCZIrw", "pylibCZIrw", b"ZISRAWFILE"),
        ("liffile", "liffile", b"\x70\0\0\0\x2a"),
        ("sif_parser._sif_open", "sif_parser", b"Andor Technology Multi-Channel File\n"),
    ],
)
def test_without_a_package_its_installation_is_named(tmp_path, monkeypatch, module, package, start):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "m.bin").write_bytes(start + bytes(100))
    with pytest.raises(UserError, match=f"pip install {package}`"):
        open_movie(tmp_path / "m.bin")


def test_metamorph_stack_has_all_planes(tmp_path):
    with open_movie(write_stk(tmp_path / "m.stk", FRAMES)) as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES)
        assert movie.contents.kind == "MetaMorph stack"
