import h5py
import numpy as np
import pytest
from scipy.io import savemat

from autods.core import LocalizationTable, UserError
from autods.io.smap import write_smap
from autods.io.tables import read_table

TABLE = LocalizationTable.build(
    np.array([0, 4]),
    np.array([1250.5, 310.0]),
    np.array([2100.0, 47.25]),
    photons=np.array([900.0, 1500.0]),
    uncertainty_xy_nm=np.array([8.0, 6.0]),
)


def _check(path):
    table = read_table(path)
    assert table.frame.tolist() == [0, 4]
    assert table.x_nm.tolist() == [1250.5, 310]
    assert table.y_nm.tolist() == [2100, 47.25]
    assert table.photons.tolist() == [900, 1500]
    assert table.uncertainty_xy_nm.tolist() == [8, 6]


def test_what_was_written_comes_back(tmp_path):
    write_smap(TABLE, tmp_path / "t_sml.mat", 100.0)
    _check(tmp_path / "t_sml.mat")


def test_matlab_73(tmp_path):
    path = tmp_path / "t_sml.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        names = {"xnm": "x_nm", "ynm": "y_nm", "phot": "photons", "locprecnm": "uncertainty_xy_nm"}
        for name, column in names.items():
            file[f"saveloc/loc/{name}"] = getattr(TABLE, column)[None]
        file["saveloc/loc/frame"] = (TABLE.frame + 1.0)[None]
    content = bytearray(path.read_bytes())
    content[:19] = b"MATLAB 7.3 MAT-file"
    path.write_bytes(content)
    _check(path)


def test_other_files_of_matlab(tmp_path):
    savemat(tmp_path / "a.mat", {"saveloc": {"loc": {"xnm": [1.0]}}})
    with pytest.raises(UserError, match=r"lacks saveloc\.loc\.frame"):
        read_table(tmp_path / "a.mat")
    savemat(tmp_path / "b.mat", {"image": np.zeros(3)})
    with pytest.raises(UserError, match="no readable table of SMAP"):
        read_table(tmp_path / "b.mat")
