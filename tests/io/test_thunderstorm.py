import numpy as np
import pytest

from autods.core import LocalizationTable, UserError
from autods.io.programs import read_text_table
from autods.io.thunderstorm import write_thunderstorm


def _columns(n_rows):
    names = ("photons", "background", "background_std", "sigma_nm", "uncertainty_xy_nm", "confidence")
    return {name: np.full(n_rows, 1.0 + i) for i, name in enumerate(names)}


def test_the_file_is_what_thunderstorm_writes(tmp_path):
    table = LocalizationTable.build(
        np.array([3, 0]), np.array([10.0, 54.321]), np.array([20.0, 1.0]), **_columns(2)
    )
    write_thunderstorm(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == (
        b'"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
        b'"bkgstd [photon]","uncertainty_xy [nm]","confidence"\n'
        b"1,1,54.32,1.00,4.00,1.00,2.000,3.000,5.000,6.0000\n"
        b"2,4,10.00,20.00,4.00,1.00,2.000,3.000,5.000,6.0000\n"
    )


def test_3d_adds_z_and_its_uncertainty(tmp_path):
    z = {"z_nm": np.array([-12.0]), "uncertainty_z_nm": np.array([np.nan])}
    table = LocalizationTable.build(np.array([0]), np.ones(1), np.ones(1), **_columns(1), **z)
    write_thunderstorm(table, tmp_path / "t.csv")
    header, row = (tmp_path / "t.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert list(cells)[2:5] == ['"x [nm]"', '"y [nm]"', '"z [nm]"']
    assert list(cells)[-3:] == ['"uncertainty_xy [nm]"', '"uncertainty_z [nm]"', '"confidence"']
    assert cells['"z [nm]"'] == "-12.00"
    assert cells['"uncertainty_z [nm]"'] == "NaN"


def test_columns_in_any_order_and_some_missing(tmp_path):
    (tmp_path / "t.csv").write_text(
        '"y [nm]","uncertainty [nm]","frame","x [nm]","detections"\n5,7,1,3,1\n6,8,9,4,2\n'
    )
    table = read_text_table(tmp_path / "t.csv")
    assert table.frame.tolist() == [0, 8]
    assert table.x_nm.tolist() == [3, 4]
    assert table.y_nm.tolist() == [5, 6]
    assert table.uncertainty_xy_nm.tolist() == [7, 8]
    assert np.isnan(table.photons).all()
    assert not table.is_3d


def test_micrometres_are_converted_and_camera_units_are_not_taken_for_photons(tmp_path):
    (tmp_path / "t.csv").write_text(
        "frame,x [um],y [um],z [um],intensity [A/D counts]\n1,0.5,2,0.25,900\n", "utf-8"
    )
    table = read_text_table(tmp_path / "t.csv")
    assert (table.x_nm[0], table.y_nm[0]) == (500, 2000)
    assert table.z_nm is not None
    assert table.z_nm[0] == 250
    assert np.isnan(table.photons[0])


@pytest.mark.parametrize(
    ("header", "words"), [("frame,x [px],y [px]", "export it in nm"), ("id,x [nm],y [nm]", '"frame"')]
)
def test_unusable_tables_say_what_to_do(tmp_path, header, words):
    (tmp_path / "t.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(UserError, match=words):
        read_text_table(tmp_path / "t.csv")
