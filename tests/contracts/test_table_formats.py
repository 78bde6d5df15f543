"""Every table format passes the same battery: what was written comes back, half-pixel and x/y right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autods.core import EmitterBatch, LocalizationTable, UserError
from autods.io.tables import read_table, write_picasso, write_thunderstorm, write_truth

PIXEL_NM = 108.0
SHAPE = (50, 32, 48)


def _thunderstorm(table: LocalizationTable, folder: Path) -> Path:
    write_thunderstorm(table, folder / "table.csv")
    return folder / "table.csv"


def _picasso(table: LocalizationTable, folder: Path) -> Path:
    write_picasso(table, folder / "table.hdf5", PIXEL_NM, SHAPE)
    return folder / "table.hdf5"


def _truth(table: LocalizationTable, folder: Path) -> Path:
    z = np.zeros(len(table)) if table.z_nm is None else table.z_nm
    xyz = torch.tensor(np.stack([table.x_nm, table.y_nm, z], 1))
    emitters = EmitterBatch.from_flat(torch.tensor(table.frame), xyz, torch.tensor(table.photons), SHAPE[0])
    write_truth(emitters, folder / "truth.csv", is_3d=table.is_3d)
    return folder / "truth.csv"


FORMATS: dict[str, Callable[[LocalizationTable, Path], Path]] = {
    "thunderstorm": _thunderstorm,
    "picasso": _picasso,
    "truth": _truth,
}
#: Columns that every format keeps.
COMMON = {"frame", "x_nm", "y_nm", "z_nm", "photons"}


@pytest.fixture(params=list(FORMATS))
def write(request):
    return request.param, FORMATS[request.param]


def _random_table(n_rows: int, *, is_3d: bool, seed: int = 0) -> LocalizationTable:
    rng = np.random.default_rng(seed)
    columns = {
        "photons": rng.gamma(2, 500, n_rows),
        "background": rng.uniform(1, 50, n_rows),
        "background_std": rng.uniform(1, 5, n_rows),
        "sigma_nm": rng.uniform(90, 160, n_rows),
        "uncertainty_xy_nm": rng.uniform(3, 30, n_rows),
        "confidence": rng.uniform(0, 1, n_rows),
    }
    if is_3d:
        columns["z_nm"] = rng.uniform(-900, 900, n_rows)
        columns["uncertainty_z_nm"] = rng.uniform(10, 60, n_rows)
    x_nm, y_nm = rng.uniform(0, 48 * PIXEL_NM, n_rows), rng.uniform(0, 32 * PIXEL_NM, n_rows)
    return LocalizationTable.build(rng.integers(0, 50, n_rows), x_nm, y_nm, **columns)


@pytest.mark.parametrize("is_3d", [False, True])
def test_what_was_written_comes_back(write, tmp_path, is_3d):
    name, writer = write
    table = _random_table(400, is_3d=is_3d).sorted()
    back = read_table(writer(table, tmp_path)).sorted()
    assert back.is_3d == is_3d
    np.testing.assert_array_equal(back.frame, table.frame)
    for column, values in table.columns().items():
        if name != "truth" or column in COMMON:
            np.testing.assert_allclose(back.columns()[column], values, rtol=1e-5, atol=0.006, err_msg=column)
        else:
            assert np.isnan(np.asarray(back.columns().get(column, np.nan), float)).all()


def test_an_emitter_off_centre_in_x_only(write, tmp_path):
    """Column 20, a quarter of a pixel right of its centre; row 7, at its centre; in the first frame."""
    _, writer = write
    table = LocalizationTable.build(
        np.array([0]), np.array([20.75 * PIXEL_NM]), np.array([7.5 * PIXEL_NM]), photons=np.array([100.0])
    )
    back = read_table(writer(table, tmp_path))
    assert back.frame.tolist() == [0]
    assert back.x_nm[0] / PIXEL_NM == pytest.approx(20.75, abs=1e-4)
    assert back.y_nm[0] / PIXEL_NM == pytest.approx(7.5, abs=1e-4)


@pytest.mark.parametrize("is_3d", [False, True])
def test_no_localizations(write, tmp_path, is_3d):
    _, writer = write
    back = read_table(writer(LocalizationTable.empty(is_3d=is_3d), tmp_path))
    assert len(back) == 0
    assert back.is_3d == is_3d


def test_unknown_values_come_back_unknown(write, tmp_path):
    _, writer = write
    table = LocalizationTable.build(np.arange(3), np.ones(3), np.ones(3), photons=np.full(3, 5.0))
    back = read_table(writer(table, tmp_path))
    assert np.isnan(back.sigma_nm).all()
    assert np.isnan(back.uncertainty_xy_nm).all()
    np.testing.assert_allclose(back.photons, 5)


def test_same_table_same_bytes_whatever_the_order(write, tmp_path):
    name, writer = write
    table = _random_table(300, is_3d=True)
    contents = []
    for i, rows in enumerate((np.arange(300), np.random.default_rng(3).permutation(300))):
        (tmp_path / str(i)).mkdir()
        path = writer(table.select(rows) if name != "truth" else table, tmp_path / str(i))
        contents.append([file.read_bytes() for file in sorted(path.parent.iterdir())])
    assert contents[0] == contents[1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x_nm=st.floats(0, 1e5), y_nm=st.floats(0, 1e5), frame=st.integers(0, 49), photons=st.floats(0.01, 1e7))
def test_any_position_comes_back(write, tmp_path, x_nm, y_nm, frame, photons):
    _, writer = write
    table = LocalizationTable.build(
        np.array([frame]), np.array([x_nm]), np.array([y_nm]), photons=np.array([photons])
    )
    back = read_table(writer(table, tmp_path))
    assert back.frame[0] == frame
    assert back.x_nm[0] == pytest.approx(x_nm, rel=1e-6, abs=0.006)
    assert back.y_nm[0] == pytest.approx(y_nm, rel=1e-6, abs=0.006)
    assert back.photons[0] == pytest.approx(photons, rel=1e-6, abs=0.006)


def test_failure_leaves_no_file(write, tmp_path, monkeypatch):
    _, writer = write

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UserError, match="disk is full"):
        writer(_random_table(5, is_3d=False), tmp_path)
    assert not list(tmp_path.iterdir())
