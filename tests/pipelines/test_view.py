"""Looking at movies: frames with contrast, and marks over them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from autods.core import LocalizationTable, UserError
from autods.io.movie import ArrayMovie
from autods.pipelines.view import (
    contrast_limits,
    frame_picture,
    highest_confidence,
    marks,
    png_bytes,
)


def table() -> LocalizationTable:
    """Four localizations in three frames."""
    return LocalizationTable.build(
        frame=np.array([0, 0, 1, 5]),
        x_nm=np.array([350.0, 2250.0, 350.0, 2250.0]),
        y_nm=np.array([550.0, 550.0, 1450.0, 1450.0]),
        confidence=np.array([0.2, 0.5, 0.9, 0.9]),
    )


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
