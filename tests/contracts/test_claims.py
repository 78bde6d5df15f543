"""Headers that claim 2^31 pixels or more: refused before the memory is asked for."""

import json
import struct

import h5py
import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io.movie import open_movie
from tests.contracts.test_damaged_files import limits

FRAMES = np.random.default_rng(7).integers(0, 999, (3, 16, 24)).astype(np.uint16)
SIDES = {"2^31 px": (2**16, 2**15), "2^40 px": (2**20, 2**20)}


def _tiff(folder, sides, compression=None):
    path = folder / "m.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in FRAMES:
            writer.write(frame, metadata=None, compression=compression)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            for code, side in zip((257, 256), sides, strict=True):
                struct.pack_into("<HHII", content, page.tags[code].offset, code, 4, 1, side)
    path.write_bytes(content)
    return path


def _npy(folder, sides):
    np.save(folder / "m.npy", FRAMES)
    content = (folder / "m.npy").read_bytes()
    claim = f"(3, {sides[0]}, {sides[1]})".encode()
    start = content.index(b"(3, 16, 24)")
    padded = content[:start] + claim + content[start + 11 : 127 - len(claim) + 11] + b"\n" + content[128:]
    (folder / "m.npy").write_bytes(padded)
    return folder / "m.npy"


def _raw(folder, sides):
    FRAMES.tofile(folder / "m.raw")
    (folder / "m.yaml").write_text(f"Frames: 3\nHeight: {sides[0]}\nWidth: {sides[1]}\nData Type: uint16\n")
    return folder / "m.raw"


def _zarr(folder, sides):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        store=str(folder / "m.zarr"), shape=FRAMES.shape, dtype="u2", chunks=(1, 16, 24), zarr_format=2
    )
    array[:] = FRAMES + 1
    place = folder / "m.zarr/.zarray"
    described = json.loads(place.read_text()) | {"shape": [3, *sides], "chunks": [1, *sides]}
    place.write_text(json.dumps(described))
    return folder / "m.zarr"


def _imaris(folder, sides):
    with h5py.File(folder / "m.ims", "w") as file:
        place = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"
        file.create_dataset(place, shape=(1, *sides), dtype="u2", chunks=(1, 64, 64))
    return folder / "m.ims"


FORMATS = {
    "tiff": _tiff,
    "tiff zlib": lambda folder, sides: _tiff(folder, sides, "zlib"),
    "npy": _npy,
    "picasso": _raw,
    "zarr": _zarr,
    "imaris": _imaris,
}


@pytest.mark.parametrize("sides", list(SIDES.values()), ids=list(SIDES))
@pytest.mark.parametrize("name", list(FORMATS))
def test_a_claim_is_refused(tmp_path, name, sides):
    path = FORMATS[name](tmp_path, sides)
    with limits(), pytest.raises(UserError) as caught:
        open_movie(path).read(0, 1)
    assert "\n" not in str(caught.value)
    assert "Memory" not in str(caught.value)


def test_a_table_that_claims_many_rows(tmp_path):
    from autods.io.tables import read_table

    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        kind = [("frame", "<u4"), ("x", "<f4"), ("y", "<f4")]
        file.create_dataset("locs", shape=(2**31,), dtype=kind, chunks=(1000,))
    (tmp_path / "t.yaml").write_text("Pixelsize: 100")
    with limits(), pytest.raises(UserError, match="claims"):
        read_table(tmp_path / "t.hdf5")
