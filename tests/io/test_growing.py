"""A movie that is being written shows the frames that are whole, and never one that is not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile

from autods.io.growing import GrowingMovie

FRAMES = np.random.default_rng(0).integers(90, 200, (12, 16, 20)).astype(np.uint16)


def test_a_file_that_is_not_there_yet_has_no_frames(tmp_path: Path) -> None:
    growing = GrowingMovie(tmp_path / "movie.tif")
    assert growing.poll(10) == 0
    assert growing.movie is None


def test_a_folder_of_images_grows(tmp_path: Path) -> None:
    growing = GrowingMovie(tmp_path)
    counted = []
    for index, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"frame_{index:04d}.tif", frame)
        growing._open_s = 0.0  # looked at every time, however long it takes to open
        counted.append(growing.poll(10))
    # One is held back: it may be half written.
    assert counted[2:] == list(range(2, len(FRAMES)))
    assert growing.poll(0.0) == len(FRAMES)
    np.testing.assert_array_equal(growing.read(3, 6), FRAMES[3:6])


def test_a_file_laid_out_in_advance_counts_what_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "movie.npy"
    movie = np.lib.format.open_memmap(path, "w+", np.uint16, FRAMES.shape)
    for n in (3, 7, 12):
        movie[:n] = FRAMES[:n]
        movie.flush()
        growing = GrowingMovie(path)
        assert growing.poll(0.0) == n


def test_a_tiff_cut_within_a_page_counts_the_pages_before(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.tif", tmp_path / "movie.tif"
    with tifffile.TiffWriter(whole) as writer:
        for frame in FRAMES:
            writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")
    content = whole.read_bytes()
    with tifffile.TiffFile(whole) as file:
        ends = [page.dataoffsets[0] + page.databytecounts[0] for page in file.pages]
    growing = GrowingMovie(path)
    for n in (4, 9):
        path.write_bytes(content[: ends[n] - 40])
        os.utime(path)
        growing._open_s = 0.0
        assert growing.poll(10) in (n - 1, n)
        assert growing.n_frames <= n
