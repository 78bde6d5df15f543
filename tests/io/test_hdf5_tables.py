import h5py
import numpy as np
import pytest
import yaml

from autods.core import UserError
from autods.io.tables import read_table

ROWS = np.array(
    [(0, 12.005, 20.5, 900.0), (4, 2.6, -0.0275, 1500.0)],
    [("frame", "<u4"), ("x", "<f8"), ("y", "<f8"), ("photons", "<f4")],
)


def _check(path):
    table = read_table(path)
    assert table.frame.tolist() == [0, 4]
    np.testing.assert_allclose(table.x_nm, [1250.5, 310])
    np.testing.assert_allclose(table.y_nm, [2100, 47.25])
    assert table.photons.tolist() == [900, 1500]


@pytest.mark.parametrize("kind", ["dataset", "table in a group", "columns in a group", "pandas"])
def test_picasso_as_dataset_and_as_groups(tmp_path, kind):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        if kind == "dataset":
            file.create_dataset("locs", data=ROWS)
        elif kind == "table in a group":
            file.create_group("locs").create_dataset("table", data=ROWS)
        elif kind == "columns in a group":
            for name in ROWS.dtype.names:
                file.create_dataset(f"locs/{name}", data=ROWS[name])
        else:
            for i, names in enumerate((["x", "y", "photons"], ["frame"])):
                file[f"locs/block{i}_items"] = [name.encode() for name in names]
                file[f"locs/block{i}_values"] = np.stack([ROWS[name] for name in names], 1)
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"Pixelsize": 100}))
    _check(tmp_path / "t.hdf5")


@pytest.mark.parametrize("place", ["attribute", "dataset"])
def test_picasso_with_its_description_inside(tmp_path, place):
    text = yaml.safe_dump_all([{"Frames": 5}, {"Pixelsize": 100}])
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file.create_dataset("locs", data=ROWS)
        if place == "attribute":
            file["locs"].attrs["metadata"] = text
        else:
            file["metadata"] = text
    _check(tmp_path / "t.hdf5")


@pytest.mark.parametrize(
    "content",
    [
        "Pixelsize: 100\nFile: 'D:\\lab\\50\u00b5m.tif'\n".encode("latin-1"),
        b"\xef\xbb\xbfPixelsize: 100\n",
        yaml.dump({"Pixelsize": np.float64(100.0), "Drift": (1, 2)}).encode(),
        yaml.dump({"Pixelsize": 100, "Path": "x", "Rois": np.arange(3)}).encode(),
    ],
)
def test_picasso_yaml_of_other_encodings_and_with_tags_of_numpy(tmp_path, content):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file.create_dataset("locs", data=ROWS)
    (tmp_path / "t.yaml").write_bytes(content)
    _check(tmp_path / "t.hdf5")


@pytest.mark.parametrize(("unit", "scale"), [("px", 1.0), ("nm", 100.0)])
def test_decode_has_rows_first_and_counts_from_the_centre(tmp_path, unit, scale):
    xyz = np.stack([ROWS["y"] * scale, ROWS["x"] * scale, [0, 10]], 1)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for name, values in {"xyz": xyz, "phot": ROWS["photons"], "frame_ix": ROWS["frame"]}.items():
            file.create_dataset(f"data/{name}", data=values)
        meta = file.create_group("meta")
        meta.attrs["xy_unit"], meta.attrs["px_size"] = unit, [100.0, 100.0]
    _check(tmp_path / "t.h5")


def test_a_dataset_that_claims_more_than_the_file_holds(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file.create_dataset("locs", shape=(2**31,), dtype=ROWS.dtype, chunks=(1000,))
    (tmp_path / "t.yaml").write_text("Pixelsize: 100")
    with pytest.raises(UserError, match="claims 51,539,607,552 bytes"):
        read_table(tmp_path / "t.hdf5")


def test_other_hdf5_files(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["image"] = np.zeros(3)
    with pytest.raises(UserError, match="holds no Picasso localizations"):
        read_table(tmp_path / "t.hdf5")
