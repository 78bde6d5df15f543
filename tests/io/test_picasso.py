import h5py
import numpy as np
import pytest
import yaml

from autods.core import LocalizationTable, UserError
from autods.io.hdf5_tables import read_hdf5_table
from autods.io.picasso import write_picasso


def _table(**columns):
    known = {
        "photons": np.array([900.0, 800.0]),
        "background": np.array([10.0, 11.0]),
        "sigma_nm": np.array([130.0, 120.0]),
        "uncertainty_xy_nm": np.array([10.0, 12.0]),
    }
    return LocalizationTable.build(
        np.array([4, 0]), np.array([275.0, 1250.0]), np.array([50.0, 430.0]), **(known | columns)
    )


def test_the_file_is_what_picasso_expects(tmp_path):
    write_picasso(_table(), tmp_path / "t.hdf5", 100.0, (9, 32, 48), movie="cell.tif")
    with h5py.File(tmp_path / "t.hdf5") as file:
        locs = file["locs"][()]
    assert locs.dtype.names[:9] == ("frame", "x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy")
    assert locs["frame"].tolist() == [0, 4]
    # 275 nm is 2.75 px from the corner: 2.25 from the centre of the first pixel.
    np.testing.assert_allclose(locs["x"], [12.0, 2.25], rtol=1e-6)
    np.testing.assert_allclose(locs["y"], [3.8, 0.0], rtol=1e-6)
    np.testing.assert_allclose(locs["lpx"], [0.12, 0.1], rtol=1e-6)
    info = next(yaml.safe_load_all((tmp_path / "t.yaml").read_text()))
    assert (info["Width"], info["Height"], info["Frames"], info["Pixelsize"]) == (48, 32, 9, 100.0)


def test_3d(tmp_path):
    write_picasso(_table(z_nm=np.array([-50.0, 60.0])), tmp_path / "t.hdf5", 100.0, (9, 32, 48))
    with h5py.File(tmp_path / "t.hdf5") as file:
        np.testing.assert_allclose(file["locs"]["z"], [60.0, -50.0])


def test_a_single_unknown_value_gets_the_median(tmp_path):
    write_picasso(_table(uncertainty_xy_nm=np.array([np.nan, 12.0])), tmp_path / "t.hdf5", 100.0, (9, 32, 48))
    with h5py.File(tmp_path / "t.hdf5") as file:
        locs = file["locs"][()]
    assert all(np.isfinite(locs[name]).all() for name in locs.dtype.names)
    np.testing.assert_allclose(locs["lpx"], [0.12, 0.12], rtol=1e-6)


def test_without_the_side_file_the_pixel_size_is_asked_for(tmp_path):
    write_picasso(_table(), tmp_path / "t.hdf5", 100.0, (9, 32, 48))
    (tmp_path / "t.yaml").unlink()
    with pytest.raises(UserError, match=r"optics\.pixel_size_nm"):
        read_hdf5_table(tmp_path / "t.hdf5")
    assert read_hdf5_table(tmp_path / "t.hdf5", 200.0).x_nm.tolist() == [2500.0, 550.0]


def test_other_hdf5_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(UserError, match="no Picasso localizations"):
        read_hdf5_table(tmp_path / "t.hdf5")


def test_picasso_itself_reads_it(tmp_path):
    picasso_io = pytest.importorskip("picasso.io", reason="picassosr is not installed")
    picasso_lib = pytest.importorskip("picasso.lib")
    write_picasso(_table(), tmp_path / "t.hdf5", 100.0, (9, 32, 48))
    locs, info = picasso_io.load_locs(str(tmp_path / "t.hdf5"))
    kept = picasso_lib.ensure_sanity(locs, info)
    assert len(kept) == 2
    np.testing.assert_allclose(np.asarray(kept["x"]), [12.0, 2.25], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(kept["y"]), [3.8, 0.0], rtol=1e-6)


def test_we_read_what_picasso_writes(tmp_path):
    picasso_io = pytest.importorskip("picasso.io", reason="picassosr is not installed")
    write_picasso(_table(), tmp_path / "t.hdf5", 100.0, (9, 32, 48))
    locs, info = picasso_io.load_locs(str(tmp_path / "t.hdf5"))
    picasso_io.save_locs(str(tmp_path / "again.hdf5"), locs, info)
    back = read_hdf5_table(tmp_path / "again.hdf5")
    np.testing.assert_allclose(back.x_nm, [1250.0, 275.0], rtol=1e-5)
    np.testing.assert_allclose(back.y_nm, [430.0, 50.0], rtol=1e-5)
    assert back.frame.tolist() == [0, 4]
