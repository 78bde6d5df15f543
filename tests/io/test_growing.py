"""A movie that is being written shows the frames that are whole, and never one that is not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from autods.io.growing import GrowingMovie
from tests.io.mmstack import write_mmstack, write_ndtiff

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


def _zarr(folder: Path, n: int) -> Path:
    """An array that is made longer with each frame."""
    path = folder / "movie.zarr"
    chunks = (1, *FRAMES.shape[1:])
    if not path.exists():
        zarr.create_array(path, shape=(0, *FRAMES.shape[1:]), chunks=chunks, dtype=FRAMES.dtype)
    array = zarr.open_array(path, mode="r+")
    known = array.shape[0]
    array.resize((n, *FRAMES.shape[1:]))
    array[known:n] = FRAMES[known:n]
    return path


def _announced_zarr(folder: Path, n: int) -> Path:
    """An array whose length is announced and whose frames come one by one."""
    path = folder / "movie.zarr"
    if not path.exists():
        zarr.create_array(path, shape=FRAMES.shape, chunks=(1, *FRAMES.shape[1:]), dtype=FRAMES.dtype)
    zarr.open_array(path, mode="r+")[:n] = FRAMES[:n]
    return path


def _ndtiff(folder: Path, n: int) -> Path:
    write_ndtiff(folder, [({"time": t}, frame) for t, frame in enumerate(FRAMES[:n])], 2)
    return folder


def _ndtiff_without_index(folder: Path, n: int) -> Path:
    _ndtiff(folder, n)
    (folder / "NDTiff.index").unlink()
    return folder


def _micromanager(folder: Path, n: int) -> Path:
    """A second file begins where the first is full."""
    first = folder / "a_MMStack.ome.tif"
    write_mmstack(first, FRAMES[: min(n, 7)], 0, len(FRAMES))
    if n > 7:
        write_mmstack(folder / "a_MMStack_1.ome.tif", FRAMES[7:n], 7, len(FRAMES))
    return first


def _bigtiff(folder: Path, n: int) -> Path:
    path = folder / "movie.tif"
    known = 0
    if path.exists():
        with tifffile.TiffFile(path) as file:
            known = len(file.pages)
    with tifffile.TiffWriter(path, bigtiff=True, append=known > 0) as writer:
        for frame in FRAMES[known:n]:
            writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    "write", [_zarr, _announced_zarr, _ndtiff, _ndtiff_without_index, _micromanager, _bigtiff]
)
def test_each_format_that_microscopes_write_grows(write, tmp_path: Path) -> None:
    growing = None
    for n in (2, 5, 7, 9, len(FRAMES)):
        path = write(tmp_path, n)
        growing = growing or GrowingMovie(path)
        growing._open_s = 0.0
        assert growing.poll(1e9) == n - 1, "the last one may be half written"
        np.testing.assert_array_equal(growing.read(0, n - 1), FRAMES[: n - 1])
    assert growing.poll(0.0) == len(FRAMES)
    np.testing.assert_array_equal(growing.read(0, len(FRAMES)), FRAMES)
