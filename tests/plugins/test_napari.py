"""napari gets picture and molecules of a run folder in one frame of reference, nothing that is not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autods.core import LocalizationTable
from autods.io.images import write_image_tiff
from autods.io.tables import write_parquet, write_thunderstorm
from autods.plugins import napari
from autods.rendering import render_gaussian


def run_folder(folder: Path, *, is_3d: bool = False) -> LocalizationTable:
    """One molecule well off the centre, drawn as the pipeline does."""
    depth = {"z_nm": np.array([120.0]), "uncertainty_z_nm": np.array([20.0])} if is_3d else {}
    table = LocalizationTable.build(
        np.array([3]), np.array([640.0]), np.array([210.0]), uncertainty_xy_nm=np.array([8.0]), **depth
    )
    folder.mkdir()
    write_thunderstorm(table, folder / "localizations.csv")
    write_parquet(table, folder / "localizations.parquet")
    image = render_gaussian(table.x_nm, table.y_nm, 8.0, (500.0, 1000.0), 10.0)
    write_image_tiff(image, folder / "reconstruction.tif", 10.0)
    return table


def test_picture_and_molecules_lie_on_top_of_each_other(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    read = napari.get_reader(str(tmp_path / "run"))
    assert read is not None
    (image, how, kind), (points, about, points_kind) = read(str(tmp_path / "run"))
    assert (kind, points_kind) == ("image", "points")
    brightest = np.unravel_index(np.argmax(image), image.shape)
    # A pixel's index is its centre: half a pixel at most from the molecule.
    place = np.array(brightest) * np.array(how["scale"]) + np.array(how["translate"])
    np.testing.assert_allclose(place, points[0], atol=5.01)
    assert about["features"]["frame"].tolist() == [3]


def test_depth_comes_first(tmp_path: Path) -> None:
    run_folder(tmp_path / "run", is_3d=True)
    (_, (points, about, _)) = napari.read_layers(str(tmp_path / "run"))
    np.testing.assert_allclose(points, [[120.0, 210.0, 640.0]])
    assert about["face_color"] == "z_nm"


def test_what_is_not_ours_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,age\nx,1\n")
    (tmp_path / "picture.tif").write_bytes(b"II*\0")
    for path in (tmp_path, tmp_path / "a.csv", tmp_path / "picture.tif", tmp_path / "none.parquet"):
        assert napari.get_reader(str(path)) is None
    assert napari.get_reader([]) is None


def test_the_manifest_names_what_there_is() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(Path(napari.__file__).with_name("napari.yaml"))
    (command,) = manifest.contributions.commands
    assert command.python_name == "autods.plugins.napari:get_reader"
