"""Every writer on a disk that is really full: one clear line, and nothing left behind."""

import numpy as np
import pytest
import torch

from autods.core import EmitterBatch, LocalizationTable, UserError
from autods.io.images import MovieWriter, write_image_tiff, write_movie_tiff, write_png
from autods.io.tables import write_picasso, write_thunderstorm, write_truth

N = 20_000
NOISE = np.random.default_rng(0).integers(0, 255, (20, 200, 200)).astype(np.uint16)
PICTURE = np.random.default_rng(0).integers(0, 255, (600, 600, 3)).astype(np.uint8)


def _table():
    rng = np.random.default_rng(0)
    return LocalizationTable.build(rng.integers(0, 99, N), rng.uniform(0, 9e4, N), rng.uniform(0, 9e4, N))


def _emitters():
    photons = torch.ones(100, N // 100)
    return EmitterBatch(torch.rand(100, N // 100, 3), photons, photons.bool())


def _stream(path):
    with MovieWriter(path, 100.0) as writer:
        for frame in NOISE:
            writer.append(frame[None])


WRITERS = {
    "thunderstorm": lambda path: write_thunderstorm(_table(), path),
    "picasso": lambda path: write_picasso(_table(), path, 100.0, (99, 900, 900)),
    "truth": lambda path: write_truth(_emitters(), path),
    "image": lambda path: write_image_tiff(NOISE[0].repeat(4, 0), path, 10.0),
    "movie": lambda path: write_movie_tiff(NOISE, path, 100.0),
    "stream": _stream,
    "png": lambda path: write_png(PICTURE, path),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_full_disk(full_disk, name):
    (full_disk / "before").write_text("kept")
    with pytest.raises(UserError, match="disk is full") as caught:
        WRITERS[name](full_disk / "file.out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in full_disk.iterdir()] == ["before"]
