import json

import numpy as np
import pytest
import tifffile

from autods.cli.main import main
from tests.calibration.simulated import field_of_beads
from tests.calibration.test_insitu import molecules

OPTICS = ["optics.pixel_size_nm=110", "optics.wavelength_nm=670", "optics.na=1.4"]
QUICK = ["calibration.steps=40", "calibration.phase=zernike", "calibration.zernike_max=15"]


@pytest.fixture(scope="module")
def beads(tmp_path_factory):
    stack, _ = field_of_beads([(24.7, 25.2), (70.4, 70.5), (60.2, 6.1)])
    path = tmp_path_factory.mktemp("beads") / "beads.tif"
    tifffile.imwrite(path, stack.astype(np.uint16))
    return path


def test_calibrates_and_shows(beads, tmp_path, capsys):
    out = tmp_path / "psf"
    words = [
        str(beads),
        "--out",
        str(out),
        "calibration.z_step_nm=60",
        "calibration.size_px=31",
        *OPTICS,
        *QUICK,
    ]
    assert main(["calibrate", *words]) == 0
    printed = capsys.readouterr().out
    assert "2 of 3 used" in printed
    assert "at the edge" in printed
    assert json.loads((out / "calibration.json").read_text())["correlation"]["mean"] > 0.95
    assert main(["psf", "show", str(out / "psf.h5"), "--out", str(tmp_path), "show.slices=3"]) == 0
    assert (tmp_path / "psf_psf.png").stat().st_size > 2000


@pytest.mark.slow
def test_calibrates_from_molecules(tmp_path):
    path = tmp_path / "blinks.tif"
    tifffile.imwrite(path, molecules(12)[0].astype(np.uint16))
    out = tmp_path / "psf"
    words = ["method=insitu", "insitu.rounds=1", *OPTICS]
    assert main(["calibrate", str(path), "--out", str(out), *words]) == 0
    assert (out / "psf.h5").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the z positions"),
        (["calibration.z_nm=-600:600:20"], "names 20 positions, the stack has 21 slices"),
        (
            ["calibration.z_step_nm=60", "calibration.scan=up"],
            "use one of auto, objective, stage, emitter, sample",
        ),
        (["calibration.z_step_nm=60", "calibration.size_px=12"], "give an odd number"),
        (["calibration.z_step_nm=60", "method=magic"], "use one of beads, insitu"),
        (["calibration.z_step_nm=60", "mask.file=absent.npy"], "absent.npy"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(beads, capsys, tmp_path, words, message):
    assert main(["calibrate", str(beads), "--out", str(tmp_path), *OPTICS, *words]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_unknown_optics_are_asked_for(beads, capsys, tmp_path):
    words = ["calibration.z_step_nm=60", "optics.pixel_size_nm=110", "optics.na=1.4"]
    assert main(["calibrate", str(beads), "--out", str(tmp_path), *words]) == 2
    assert "optics.wavelength_nm" in capsys.readouterr().err


def test_psf_needs_the_word_show(tmp_path, capsys):
    assert main(["psf", "render", str(tmp_path)]) == 2
    assert "psf show FILE" in capsys.readouterr().err
