"""A small zoo and a small movie, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autods.io.images import write_movie_tiff
from tests.pipelines.models import simulate, write_zoo


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """(12, 24, 32) uint16, a few emitters a frame."""
    return simulate(np.random.default_rng(0), n_frames=12, shape=(24, 32), per_frame=3)[0]


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory, frames: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    write_movie_tiff(frames, path, 100.0)
    return path
