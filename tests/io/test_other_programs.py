"""Tables as other programs' own code reads them, in a Python of their own named by AUTODS_PEERS_PYTHON.

It has picassosr, napari-storm with qtpy, pandas and pyarrow; where a program is missing its test skips.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from autods.core import LocalizationTable
from autods.io.tables import write_parquet, write_picasso, write_thunderstorm

PYTHON = os.environ.get("AUTODS_PEERS_PYTHON")
_PIXEL_NM, _SIDE_PX = 100.0, 64

#: What each program is asked for: columns frame, x, y and z in nm, corner origin, frames from 0.
SCRIPTS = {
    "picasso": """
from picasso import io
locs, info = io.load_locs(folder + "/table.hdf5")
pixel = info[0]["Pixelsize"]
found = np.column_stack([locs["frame"], (locs["x"] + 0.5) * pixel, (locs["y"] + 0.5) * pixel, locs["z"]])
assert (locs["n"] == 2).all()
""",
    "napari_storm": """
from napari_storm.localization_dataset_types.storm_class import StormDataClass
data = StormDataClass().load_csv(file_path=folder + "/table.csv", name="table")
data = data[0] if isinstance(data, (list, tuple)) else data
rows, pixel = data.locs_all, data.pixelsize_nm
axes = [np.asarray(rows[f"{axis}_pos_pixels"], float) * pixel for axis in "xyz"]
found = np.column_stack([rows["frame_number"], *axes])
found[:, 0] -= 1
""",
    "pandas": """
import pandas
table = pandas.read_parquet(folder + "/table.parquet")
found = table[["frame", "x_nm", "y_nm", "z_nm"]].to_numpy()
""",
}


@pytest.mark.skipif(PYTHON is None, reason="AUTODS_PEERS_PYTHON names no Python with the other programs")
@pytest.mark.parametrize("program", SCRIPTS)
def test_positions_are_the_same(program: str, tmp_path: Path) -> None:
    assert PYTHON is not None
    rng = np.random.default_rng(0)
    n = 300
    table = LocalizationTable.build(
        rng.integers(0, 90, n),
        *rng.uniform(100, _PIXEL_NM * (_SIDE_PX - 1), (2, n)),
        z_nm=rng.uniform(-500, 500, n),
        uncertainty_z_nm=rng.uniform(10, 40, n),
        photons=rng.gamma(3, 500, n),
        uncertainty_xy_nm=rng.uniform(5, 30, n),
    ).sorted()
    write_thunderstorm(table, tmp_path / "table.csv")
    two = np.full(n, 2)
    shape = (90, _SIDE_PX, _SIDE_PX)
    write_picasso(table, tmp_path / "table.hdf5", _PIXEL_NM, shape, more={"n": two, "len": two})
    write_parquet(table, tmp_path / "table.parquet")
    begin = f"import sys\nimport numpy as np\nfolder = sys.argv[1]\n{SCRIPTS[program]}"
    script = f"{begin}\nnp.save(folder + '/found.npy', np.asarray(found, float))"
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [PYTHON, "-c", script, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=300
    )
    if "No module named" in done.stderr:
        pytest.skip(f"{program} is not installed there: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npy")
    expected = np.column_stack([table.frame, table.x_nm, table.y_nm, table.z_nm])
    np.testing.assert_allclose(found, expected, atol=0.01)
