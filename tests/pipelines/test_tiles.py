"""Looking at millions of localizations: the sorted file, its tiles, filters, side views and exports."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import LocalizationTable, UserError
from autods.io.drift import write_drift
from autods.io.tables import read_table, write_parquet, write_thunderstorm
from autods.pipelines.exports import drift_curve, export_picture, export_table, export_tiff
from autods.pipelines.kept import Kept
from autods.pipelines.shown_rows import Look, Rows
from autods.pipelines.side_views import section, turned
from autods.pipelines.sorted_table import FOLDER, is_sorted, open_sorted, sort_table
from autods.pipelines.tiles import TILE_PX, Painter
from autods.rendering import render_gaussian, render_spots

REGION = {"pixel_size_nm": 100.0, "origin_px": [5, 3], "shape": [6, 10, 20]}


def table(*, is_3d: bool = False) -> LocalizationTable:
    """Four localizations, each in a quarter of a field of 1000 x 2000 nm whose corner is at (500, 300)."""
    return LocalizationTable.build(
        frame=np.array([0, 0, 1, 5]),
        x_nm=np.array([350.0, 2250.0, 350.0, 2250.0]),
        y_nm=np.array([550.0, 550.0, 1450.0, 1450.0]),
        photons=np.array([100.0, 200.0, 300.0, np.nan]),
        uncertainty_xy_nm=np.array([5.0, 10.0, 20.0, 40.0]),
        confidence=np.array([0.2, 0.5, 0.9, 0.9]),
        z_nm=np.array([-600.0, -400.0, 400.0, 600.0]) if is_3d else None,
    )


def run_of(folder: Path, found: LocalizationTable, *, ending: str = "parquet") -> Path:
    folder.mkdir(exist_ok=True)
    write_parquet(found, folder / "localizations.parquet") if ending == "parquet" else write_thunderstorm(
        found, folder / "localizations.csv"
    )
    (folder / "run.json").write_text(json.dumps({"results": {"region": REGION}}))
    sort_table(folder)
    return folder


def painter_of(run: Path) -> Painter:
    kept = Kept(1 << 26)
    return Painter(Rows(open_sorted(run), drift_curve(run), kept, "a"), kept, "a")


def quarters(light: np.ndarray) -> list[list[bool]]:
    """Tell which quarters of a picture are lit."""
    height, width = light.shape[0] // 2, light.shape[1] // 2
    lit = light > 0.01 * light.max(initial=1e-9)
    return [[bool(lit[y : y + height, x : x + width].any()) for x in (0, width)] for y in (0, height)]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_is_sorted_once_and_anew_when_it_changes(tmp_path: Path, ending: str) -> None:
    run = run_of(tmp_path, table(), ending=ending)
    found = open_sorted(run)
    assert (found.origin_nm, found.shape_nm) == ((500.0, 300.0), (1000.0, 2000.0))
    assert sorted(found.columns["x_nm"].tolist()) == [50.0, 50.0, 1950.0, 1950.0]
    assert found.histograms["photons"].counts.sum() == 3
    write_parquet(table().select(np.array([True, False, False, True])), run / "localizations.parquet")
    assert not is_sorted(run)
    with pytest.raises(UserError, match="not sorted yet"):
        open_sorted(run)
    sort_table(run)
    assert len(open_sorted(run)) == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4000), st.integers(0, 10_000), st.integers(0, 3))
def test_a_box_gives_every_row_that_lies_in_it(
    tmp_path_factory: pytest.TempPathFactory, number: int, seed: int, quarter: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(300, 2300, number), rng.uniform(500, 1500, number)
    run = run_of(tmp_path_factory.mktemp("run"), LocalizationTable.build(np.zeros(number), x, y))
    found = open_sorted(run)
    box = (250.0 * quarter, 100.0 * quarter, 250.0 * quarter + 300.0, 1500.0)
    got = np.concatenate([found.columns["x_nm"][rows] for rows in found.rows_in(box)] or [np.zeros(0)])
    inside = (y - 500 >= box[0]) & (y - 500 < box[2]) & (x - 300 >= box[1]) & (x - 300 < box[3])
    assert set(np.float32(x[inside] - 300)) <= set(got)
    assert len(found) == number


def test_tiles_of_all_levels_show_each_localization_in_its_place(tmp_path: Path) -> None:
    painter = painter_of(run_of(tmp_path, table()))
    for level in range(painter.levels):
        nm = painter.level_0_nm / 2**level
        row, column = int(50 / nm // TILE_PX), int(1950 / nm // TILE_PX)
        light, white = painter.tile(Look(), level, row, column)
        y, x = int(50 / nm - row * TILE_PX), int(1950 / nm - column * TILE_PX)
        top, left = max(y - 5, 0), max(x - 5, 0)
        around = light[top : y + 6, left : x + 6]
        peak = np.unravel_index(np.argmax(around), around.shape)
        assert np.allclose(np.add(peak, (top, left)), (y, x), atol=1.5), level
        assert around.max() > 0.3 * white, "a single localization must not look black"
    with pytest.raises(UserError, match="no tile"):
        painter.tile(Look(), 1, 0, 2)


def test_filters_by_text_use_the_coordinates_of_the_files(tmp_path: Path) -> None:
    painter = painter_of(run_of(tmp_path, table()))
    assert painter.rows.count("photons > 150 & uncertainty_xy < 20") == 1
    assert painter.rows.count("!(photons < 150)") == 3
    assert painter.rows.count("x > 2000") == 2
    light, _ = painter.part(Look("x < 2000 & photons < 150"), (0.0, 0.0, 1000.0, 2000.0), 400)
    assert quarters(light) == [[True, False], [False, False]]
    for wrong in ("nonsense > 3", "__import__('os')", "photons >"):
        with pytest.raises(UserError):
            painter.rows.count(wrong)


def test_the_drift_can_be_put_back(tmp_path: Path) -> None:
    run = run_of(tmp_path, table())
    write_drift(run / "drift.csv", np.tile([200.0, 0.0], (6, 1)))
    painter = painter_of(run)
    box = (0.0, 0.0, 1000.0, 2000.0)
    moved = [
        np.argmax(painter.part(Look(is_corrected=now), box, 400)[0].sum(0)[:200]) for now in (True, False)
    ]
    assert (moved[1] - moved[0]) * 5 == 200


def test_depths_have_colours_and_sides_only_in_3d(tmp_path: Path) -> None:
    flat, solid = (painter_of(run_of(tmp_path / name, table(is_3d=name == "3d"))) for name in ("2d", "3d"))
    light, _ = solid.tile(Look(colors="depth"), 0, 0, 0)
    assert light.shape == (TILE_PX, TILE_PX, 3)
    assert light.std(-1).max() > 0
    # The lower half of the field holds the two upper depths.
    assert quarters(section(solid.rows, Look(), "xz", (500.0, 1000.0), 400)[0]) == [
        [True, True],
        [False, False],
    ]
    assert section(solid.rows, Look(), "yz", (0.0, 2000.0), 400)[0].shape[1] == 400
    assert np.isclose(turned(solid.rows, Look(), 0, 0, 200)[0].sum(-1).max(1).argmax(), 80, atol=40)
    for draw in (
        lambda: flat.tile(Look(colors="depth"), 0, 0, 0),
        lambda: section(flat.rows, Look(), "xz", (0.0, 1.0), 100),
        lambda: turned(flat.rows, Look(), 0, 0, 100),
    ):
        with pytest.raises(UserError, match="no depths"):
            draw()


def test_a_second_table_lies_where_it_is_in_the_full_frame(tmp_path: Path) -> None:
    # Equally wide, since a coarse tile has one width for all.
    found = dataclasses.replace(table(), uncertainty_xy_nm=np.full(4, 15.0))
    first, second = (painter_of(run_of(tmp_path / name, found)) for name in ("a", "b"))
    for level in (0, 2):
        light, white = first.tile_with(second, Look(), level, 0, 0)
        assert white == 1
        likeness = np.corrcoef(light[..., 0].ravel(), light[..., 1].ravel())[0, 1]
        assert likeness > 0.8, "the same table twice is white"
    (tmp_path / "c").mkdir()
    moved = {**REGION, "origin_px": [5, 5]}
    write_parquet(table(), tmp_path / "c" / "localizations.parquet")
    (tmp_path / "c" / "run.json").write_text(json.dumps({"results": {"region": moved}}))
    sort_table(tmp_path / "c")
    light, _ = first.tile_with(painter_of(tmp_path / "c"), Look("x > 2000"), 0, 0, 0)
    assert [np.argmax(light[..., plane].sum(0)) for plane in (0, 1)] == pytest.approx([249, 249], abs=1)


def test_exports_hold_what_is_seen_with_its_scale(tmp_path: Path) -> None:
    run = run_of(tmp_path, table(is_3d=True))
    painter, box = painter_of(run), (0.0, 1000.0, 500.0, 2000.0)
    assert export_picture(painter, Look(colors="depth"), box, 500).shape == (250, 500, 3)
    export_tiff(painter, Look(colors="depth"), box, 500, tmp_path / "view.tif")
    with tifffile.TiffFile(tmp_path / "view.tif") as file:
        resolution = file.pages[0].tags["XResolution"].value
        assert file.pages[0].shape == (250, 500)
        assert np.isclose(resolution[1] / resolution[0] * 1000, 2.0)
    with pytest.raises(UserError, match="zoom out"):
        painter.part(Look(), (0.0, 0.0, 0.0, 5.0), 100)
    for name in ("some.csv", "some.parquet"):
        export_table(run, "localizations", "photons > 150", True, tmp_path / name)
        assert read_table(tmp_path / name).photons.tolist() == [200.0, 300.0]


def test_sorted_files_of_somebody_else_are_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", table())
    (run / FOLDER / "localizations.npy").write_bytes(b"\x93NUMPY garbage")
    with pytest.raises(UserError, match="damaged"):
        open_sorted(run)
    (run / FOLDER).rename(tmp_path / "elsewhere")
    (run / FOLDER).symlink_to(tmp_path / "elsewhere")
    assert not is_sorted(run)
    with pytest.raises(UserError, match="is a link"):
        sort_table(run)


@pytest.mark.parametrize("sigma", [0.6, 1.5, 4.0, 12.0])
def test_many_spots_look_as_those_drawn_one_by_one(sigma: float) -> None:
    rng = np.random.default_rng(0)
    number = 40_000
    x, y = (rng.normal(100, 25, number).astype(np.float32) for _ in range(2))
    width = np.full(number, sigma, np.float32)
    exact = render_gaussian(x, y, width, (200.0, 200.0), 1.0)
    quick = render_spots(x, y, width, width, (200, 200))[0]
    assert np.linalg.norm(quick - exact) < 0.15 * np.linalg.norm(exact)
    assert np.isclose(quick.sum(), exact.sum(), rtol=0.01)


def test_what_is_kept_is_limited_and_made_once() -> None:
    kept, made = Kept(100), []

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in (1, 2, 1, 3):
        assert kept.get(number, lambda number=number: make(number), lambda _: 40) == number
    assert made == [1, 2, 3]
    assert kept.n_bytes <= 100
    with pytest.raises(ZeroDivisionError):
        kept.get("bad", lambda: 1 // 0, lambda _: 1)
    assert kept.get("bad", lambda: 7, lambda _: 1) == 7
