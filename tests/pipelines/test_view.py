"""Looking at movies and results: filters, pictures, side views, marks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autods.core import LocalizationTable, UserError
from autods.io.movie import ArrayMovie
from autods.io.tables import write_thunderstorm
from autods.pipelines.view import (
    Filters,
    RunView,
    Style,
    contrast_limits,
    frame_picture,
    highest_confidence,
    marks,
    open_view,
    png_bytes,
)


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


def view(*, is_3d: bool = False) -> RunView:
    return RunView(table(is_3d=is_3d), (500.0, 300.0), (1000.0, 2000.0))


def quarters(picture: np.ndarray) -> list[list[bool]]:
    """Tell which quarters of a picture are lit."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    lit = picture.max(-1) > picture.max(-1).min() + 8
    return [[bool(lit[y : y + height, x : x + width].any()) for x in (0, width)] for y in (0, height)]


def test_filters_keep_what_lies_inside_and_what_is_not_known() -> None:
    kept = view().select(Filters(photons=(150.0, 250.0)))
    assert kept.x_nm.tolist() == [2250.0, 2250.0]
    assert len(view().select(Filters(frame=(1, 5), uncertainty_nm=(0, 20)))) == 1
    assert len(view().select(Filters(z_nm=(0, 1)))) == 4
    assert len(view(is_3d=True).select(Filters(z_nm=(0, 1000)))) == 2
    assert view().count({"photons": (0.0, 100.0)}) == 2


def test_a_picture_shows_each_localization_in_its_place() -> None:
    picture = view().picture(Filters(), Style(), None, 400)
    assert picture.shape == (200, 400, 3)
    assert quarters(picture) == [[True, True], [True, True]]
    only = view().picture(Filters(photons=(0.0, 100.0), uncertainty_nm=(0.0, 7.0)), Style(), None, 400)
    assert quarters(only) == [[True, False], [False, False]]


def test_a_part_of_the_field_is_enlarged() -> None:
    box = (0.0, 1000.0, 500.0, 2000.0)
    picture = view().picture(Filters(), Style(drawing="histogram", colors="gray"), box, 400)
    assert picture.shape == (200, 400, 3)
    row, column = np.unravel_index(np.argmax(picture[..., 0]), picture.shape[:2])
    assert (row, column) == (20, 380)
    with pytest.raises(UserError, match="zoom out"):
        view().picture(Filters(), Style(), (0.0, 0.0, 0.0, 5.0), 100)


def test_depth_colours_and_sections_need_depths() -> None:
    style = Style(colors="depth")
    assert view(is_3d=True).picture(Filters(), style, None, 300).std(-1).max() > 10
    with pytest.raises(UserError, match="no depths"):
        view().picture(Filters(), style, None, 300)
    with pytest.raises(UserError, match="no depths"):
        view().section(Filters(), style, "xz", (0.0, 1000.0), 300)


def test_a_section_looks_along_its_slab() -> None:
    solid = view(is_3d=True)
    # The lower half of the field holds the two upper depths.
    side = solid.section(Filters(), Style(), "xz", (500.0, 1000.0), 400)
    assert quarters(side)[0] == [True, True]
    assert not any(quarters(side)[1])
    assert solid.section(Filters(), Style(), "yz", (0.0, 2000.0), 400).shape[1] == 400


def test_histograms_count_all() -> None:
    found = view().histograms()
    assert set(found) == {"photons", "uncertainty_nm", "frame"}
    assert found["photons"].counts.sum() == 3
    assert found["frame"].counts.tolist() == [2, 1, 0, 0, 0, 1]
    assert RunView(LocalizationTable.empty(), (0, 0), (1, 1)).histograms() == {}


def test_a_run_folder_is_opened_with_its_region(tmp_path: Path) -> None:
    write_thunderstorm(table(), tmp_path / "localizations.csv")
    assert open_view(tmp_path).shape_nm == (1450.0, 2250.0)
    region = {"pixel_size_nm": 100.0, "origin_px": [5, 3], "shape": [6, 10, 20]}
    (tmp_path / "run.json").write_text(json.dumps({"results": {"region": region}}))
    opened = open_view(tmp_path)
    assert (opened.origin_nm, opened.shape_nm) == ((500.0, 300.0), (1000.0, 2000.0))
    with pytest.raises(UserError):
        open_view(tmp_path / "absent")


def test_frames_are_drawn_between_the_limits() -> None:
    frames = np.zeros((3, 4, 6), np.uint16)
    frames[0] = 100
    frames[1, 2, 5] = 300
    movie = ArrayMovie(frames)
    low, high = contrast_limits(movie)
    assert 0 <= low < high <= 300
    picture = frame_picture(movie, 0, (0.0, 200.0))
    assert picture.shape == (4, 6, 3)
    assert set(picture.ravel().tolist()) == {128}
    brightest = frame_picture(movie, 0, (0.0, 200.0), projected=3)
    assert brightest[2, 5, 0] == 255
    with pytest.raises(UserError, match="0 to 2"):
        frame_picture(movie, 3, (0.0, 1.0))


def test_marks_are_in_pixels_of_the_shown_frame() -> None:
    assert marks(table(), 0, 0.1, 100.0) == ([3.5, 5.5, 22.5, 5.5], 4)
    assert marks(table(), 0, 0.4, 100.0) == ([22.5, 5.5], 3)
    assert highest_confidence(table()) == 0.9
    assert highest_confidence(LocalizationTable.empty()) == 1.0


def test_png() -> None:
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(rgb)))), rgb)
