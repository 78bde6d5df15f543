"""Parquet, SMAP and drift files: what is written is what is read, by us and by the libraries of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from scipy.io import loadmat

from autods.core import LocalizationTable, UserError
from autods.io.drift import read_drift, write_drift
from autods.io.parquet import read_parquet, write_parquet
from autods.io.smap import write_smap
from autods.io.tables import read_table


def table(*, is_3d: bool) -> LocalizationTable:
    rng = np.random.default_rng(0)
    n = 500
    depth = {"z_nm": rng.uniform(-500, 500, n), "uncertainty_z_nm": rng.uniform(10, 40, n)} if is_3d else {}
    return LocalizationTable.build(
        rng.integers(0, 90, n),
        rng.uniform(0, 50_000, n),
        rng.uniform(0, 50_000, n),
        photons=rng.gamma(2, 500, n),
        uncertainty_xy_nm=rng.uniform(5, 30, n),
        **depth,
    ).sorted()


@pytest.mark.parametrize("is_3d", [False, True])
def test_parquet_gives_back_the_table_with_units_and_provenance(tmp_path: Path, is_3d: bool) -> None:
    path = tmp_path / "localizations.parquet"
    written = table(is_3d=is_3d)
    event = np.arange(len(written))
    write_parquet(written, path, more={"event": event}, provenance={"movie": "a.tif"})
    found = read_table(path)
    for name, column in written.columns().items():
        np.testing.assert_allclose(found.columns()[name], column, rtol=1e-6, err_msg=name)
    assert found.x_nm.tolist() == written.x_nm.tolist()
    schema = parquet.read_schema(path)
    assert json.loads(schema.metadata[b"autods"])["movie"] == "a.tif"
    assert schema.field("x_nm").metadata[b"unit"] == b"nm"
    assert schema.field("photons").metadata[b"unit"] == b"photon"
    assert parquet.read_table(path)["event"].to_pylist() == event.tolist()


@pytest.mark.parametrize("cut", [4, 100, -8])
def test_a_damaged_parquet_file_is_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(table(is_3d=False), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="Parquet"):
        read_parquet(path)


def test_smap_finds_its_fields(tmp_path: Path) -> None:
    written = table(is_3d=True)
    write_smap(written, tmp_path / "a_sml.mat", 100.0)
    loc = loadmat(tmp_path / "a_sml.mat", simplify_cells=True)["saveloc"]["loc"]
    assert loc["frame"].tolist() == (written.frame + 1).tolist()
    np.testing.assert_allclose(loc["xnm"], written.x_nm)
    np.testing.assert_allclose(loc["znm"], written.z_nm)
    np.testing.assert_allclose(loc["locprecnm"], written.uncertainty_xy_nm)
    found = read_table(tmp_path / "a_sml.mat")
    for name in ("frame", "x_nm", "y_nm", "z_nm", "photons", "uncertainty_xy_nm"):
        np.testing.assert_allclose(found.columns()[name], written.columns()[name], err_msg=name)


@pytest.mark.parametrize("n_axes", [2, 3])
def test_drift_round_trip(tmp_path: Path, n_axes: int) -> None:
    curve = np.random.default_rng(0).normal(size=(40, n_axes)).cumsum(0)
    write_drift(tmp_path / "drift.csv", curve, 10)
    np.testing.assert_allclose(read_drift(tmp_path / "drift.csv", range(15, 50), 100.0), curve[5:], atol=6e-4)


def test_drift_of_picasso(tmp_path: Path) -> None:
    path = tmp_path / "a_drift.txt"
    np.savetxt(path, [[0.0, 0.5, -20.0], [0.1, 0.25, 30.0]], newline="\r\n")
    assert read_drift(path, range(2), 100.0).tolist() == [[0.0, 50.0, -20.0], [10.0, 25.0, 30.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x_nm,y_nm\n0,1,2\n1,1,2\n", "covers frames 0 to 1"),
        ("frame,x_nm,y_nm\n0,1,2\n2,1,2\n", "follow one another"),
        ("hello\n", "no drift curve"),
        ("1 2 3 4\n", "4 columns"),
        ("frame,x_nm,y_nm\n0,1,NaN\n1,1,2\n2,1,2\n", "not numbers"),
    ],
)
def test_files_that_are_no_drift_of_this_movie(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "drift.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_drift(path, range(3), 100.0)
