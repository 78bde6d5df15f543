"""The public functions take arrays, tensors, paths and open movies alike, and state their types."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
import torch

import autods
from autods.io.images import write_movie_tiff

FUNCTIONS = [name for name in autods.__all__ if inspect.isfunction(getattr(autods, name))]


@pytest.fixture(scope="module")
def simulated() -> autods.Simulated:
    return autods.simulate(n_frames=4, size_px=32, structure="uniform", density_per_um2=0.4, seed=2)


def test_a_movie_is_the_same_whatever_it_is_given_as(simulated: autods.Simulated, tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    write_movie_tiff(simulated.frames, path, 100.0)
    with autods.open_movie(path) as opened:
        given = [
            simulated.frames,
            torch.from_numpy(simulated.frames.astype(np.int32)),
            path,
            str(path),
            opened,
        ]
        tables = [
            autods.localize(movie, pixel_size_nm=100, drift="none", refine="none", device="cpu")
            for movie in given
        ]
    assert len(tables[0])
    for table in tables[1:]:
        np.testing.assert_allclose(table.x_nm, tables[0].x_nm, atol=1e-3)
    scores = autods.evaluate(tables[0], simulated.truth)
    assert scores["jaccard"] > 0.7
    assert scores["rmse_lateral_nm"] < 40


def test_what_is_no_movie_is_named() -> None:
    with pytest.raises(TypeError, match=r"movie is 5 \(int\): give a path, an array or an open movie"):
        autods.localize(5, pixel_size_nm=100)  # type: ignore[arg-type]


def test_a_simulation_is_that_of_the_command(tmp_path: Path) -> None:
    from autods.cli.main import main

    words = ["n_frames=3", "size_px=24", "structure=uniform", "seed=5", "psf=astigmatic_gaussian"]
    assert main(["simulate", "--out", str(tmp_path), *words]) == 0
    own = autods.simulate(n_frames=3, size_px=24, structure="uniform", seed=5, psf="astigmatic_gaussian")
    with autods.open_movie(tmp_path / "movie.tif") as movie:
        np.testing.assert_array_equal(movie.read(0, 3), own.frames)
    np.testing.assert_array_equal(autods.read_table(tmp_path / "truth.csv").z_nm, own.truth.z_nm)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_typed_and_documented(name: str) -> None:
    function = getattr(autods, name)
    hints = typing.get_type_hints(inspect.unwrap(function), vars(sys.modules[function.__module__]) | _types())
    parameters, told = inspect.signature(function).parameters, inspect.getdoc(function) or ""
    assert set(parameters) | {"return"} <= set(hints)
    for parameter in parameters:
        assert parameter in told, f"{name} does not document {parameter}"
    for section in (
        "Parameters",
        "Raises",
        "Examples",
        *(["Returns"] if hints["return"] is not None else []),
    ):
        if not (section == "Returns" and hints["return"] is type(None)):
            assert f"{section}\n---" in told, f"{name} lacks {section}"


def _types() -> dict[str, object]:
    """Return the types that annotations name without importing them."""
    from autods.calibration.bead_calibration import BeadCalibration, BeadSettings
    from autods.pipelines.settings3d import PsfSettings, TrainingSettings
    from autods.zoo import ModelCard

    types = (BeadCalibration, BeadSettings, PsfSettings, TrainingSettings, ModelCard)
    return {each.__name__: each for each in types}


def test_types_are_shipped_and_the_import_is_cheap() -> None:
    assert (Path(autods.__file__).parent / "py.typed").is_file()
    code = "import sys, autods; assert 'torch' not in sys.modules; print(dir(autods))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "localize3d" in done.stdout
    with pytest.raises(AttributeError, match="has no attribute 'lokalize'"):
        _ = autods.lokalize  # type: ignore[attr-defined]
