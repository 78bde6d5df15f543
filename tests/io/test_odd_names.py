"""Names of files that are no Unicode: in the file system, in tables, in what is printed."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from autods.core import LocalizationTable
from autods.io.tables import read_table, write_parquet, write_picasso, write_thunderstorm

NAME = b"gro\xdf".decode("utf-8", "surrogateescape")
TABLE = LocalizationTable.build(np.array([0, 2]), np.array([10.0, 30.0]), np.array([20.0, 40.0]))


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".parquet"])
def test_tables(tmp_path, suffix):
    path = tmp_path / f"{NAME}{suffix}"
    if suffix == ".csv":
        write_thunderstorm(TABLE, path)
    elif suffix == ".hdf5":
        write_picasso(TABLE, path, 100.0, (3, 8, 8), movie=f"{NAME}.tif")
    else:
        write_parquet(TABLE, path, provenance={"movie": NAME})
    assert read_table(path).frame.tolist() == [0, 2]


def test_what_is_printed(tmp_path):
    path = tmp_path / f"{NAME}.tif"
    tifffile.imwrite(path, np.ones((3, 8, 8), np.uint16), photometric="minisblack")
    command = [sys.executable, "-m", "autods.cli.main", "doctor", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"3 frames of 8 x 8 px" in done.stdout
