import numpy as np
import tifffile

from autods.cli.main import main
from autods.io.base import MovieMetadata
from autods.io.describe import describe_movie
from autods.io.movie import ArrayMovie

FRAMES = np.random.default_rng(6).integers(0, 999, (5, 2, 9, 8)).astype(np.uint16)


def test_everything_that_is_known_has_a_line():
    stated = MovieMetadata(
        pixel_size_nm=100.0, pixel_size_y_nm=160.0, em_gain=300.0, na=1.45, source="file", notes=("x is odd",)
    )
    lines = dict(describe_movie(ArrayMovie(FRAMES[:, 0], stated)))
    assert lines["read"] == "5 frames of 9 x 8 px, uint16"
    assert lines["pixel size"] == "100 nm along x, 160 nm along y (file)"
    assert lines["camera"] == "EM gain 300 (file)"
    assert lines["optics"] == "NA 1.45 (file)"
    assert lines["note"] == "x is odd"


def test_doctor_prints_what_is_in_a_file(tmp_path, capsys):
    path = tmp_path / "m.ome.tif"
    sides = {"PhysicalSizeX": 0.107, "PhysicalSizeY": 0.107}
    tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "TCYX", **sides})
    assert main(["doctor", str(path)]) == 2
    assert "2 channels" in capsys.readouterr().err
    assert main(["doctor", str(path), "channel=1"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "OME-TIFF",
        "5 time points, 2 channels",
        "5 frames of 9 x 8 px, uint16",
        "107 nm (OME-XML)",
    ):
        assert words in shown
