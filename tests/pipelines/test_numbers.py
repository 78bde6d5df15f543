"""Results change only together with `NUMBERS_VERSION`, or old ones would be taken for new ones.

After a change that is meant: raise `NUMBERS_VERSION` and run ``python -m tests.pipelines.test_numbers``.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from scipy.stats import trim_mean

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.optics import PSF_MODELS
from autods.pipelines.autods import localize
from autods.pipelines.autods3d import localize3d
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, TrainingSettings
from autods.pipelines.simulate import MOVIE_FILE, SimulationSettings, simulate_to_folder
from autods.runs.steps import NUMBERS_VERSION

FILE = Path(__file__).with_name("numbers.json")
#: Processors round differently: this share of the rows, and of each mean, may differ. A row that only one of
#: them finds can have an error many times the usual one: this share of the values on either side is left out.
TOLERANCE, LEFT_OUT = 0.01, 0.05
COLUMNS = ("frame", "x_nm", "y_nm", "z_nm", "photons", "background", "uncertainty_xy_nm", "confidence")
OPTICS = OpticalSystem(pixel_size_nm=100.0, wavelength_nm=660.0, na=1.4)
CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)
KNOWN = {
    "optics": OpticsSettings(pixel_size_nm=100.0, wavelength_nm=660.0, na=1.4),
    "camera": CameraSettings(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5),
    "device": "cpu",
}


def simulated(folder: Path, *, depth: bool) -> Path:
    settings = SimulationSettings(
        OPTICS,
        CAMERA,
        n_frames=40,
        size_px=64,
        density_per_um2=0.1 if depth else 0.6,
        photons=4000.0,
        drift="smooth",
        seed=3,
        psf=PSF_MODELS["astigmatism"] if depth else None,
        structure="uniform" if depth else "filaments",
    )
    simulate_to_folder(settings, folder)
    return folder / MOVIE_FILE


def summary(table: LocalizationTable) -> dict[str, float]:
    """Return the number of rows and the trimmed mean of each column over them."""
    columns = table.columns()
    means = {name: float(trim_mean(columns[name], LEFT_OUT)) for name in COLUMNS if name in columns}
    return {"rows": len(table), **means}


@mock.patch("autods.inference.execution.is_faster_in_half", return_value=False)
def results(name: str, folder: Path, _: mock.Mock) -> dict[str, float]:
    """Return the `summary` of a run; with 32 bits on every processor, or it would tell them apart."""
    movie = simulated(folder / "movie", depth=name == "3d")
    if name == "2d":
        return summary(localize(movie, LocalizeSettings(**KNOWN)))
    psf = PsfSettings(
        formula=PSF_MODELS["astigmatism"], formula_text="astigmatism", z_min_nm=-500.0, z_max_nm=500.0
    )
    settings = Localize3DSettings(psf, training=TrainingSettings(family="universal"), **KNOWN)
    table = localize3d(movie, settings, folder / "run")
    assert table is not None
    return summary(table)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["2d", "3d"])
def test_numbers_change_only_with_their_version(name: str, tmp_path: Path) -> None:
    expected = json.loads(FILE.read_text())
    assert expected["version"] == NUMBERS_VERSION, "run python -m tests.pipelines.test_numbers"
    found = results(name, tmp_path)
    assert found == pytest.approx(expected[name], rel=TOLERANCE), "raise NUMBERS_VERSION, then write anew"


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        made = {name: results(name, Path(temporary) / name) for name in ("2d", "3d")}
    FILE.write_text(json.dumps({"version": NUMBERS_VERSION, **made}, indent=2) + "\n")
