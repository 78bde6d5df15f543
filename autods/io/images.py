"""Images and movies that other programs open."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import tifffile
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.io.atomic import atomic_path
from autods.io.base import Frames

#: ImageJ's own reader takes plain TIFF only, which ends at 4 GB.
_PLAIN_TIFF_BYTES = 3_900_000_000


def write_image_tiff(
    image: NDArray[np.generic], path: str | Path, pixel_size_nm: float, axes: str = "ZYX"
) -> None:
    """Write a float32 ImageJ TIFF with its pixel size.

    Raises `UserError` if the image is too large for ImageJ's TIFF or cannot be written.

    Parameters
    ----------
    image
        (Y, X), or a stack (Z, Y, X).
    path
        File to write; replaced in one step.
    pixel_size_nm
        Side of a pixel of this image, nm.
    axes
        Of a stack: ``ZYX`` for depths, ``CYX`` for channels.
    """
    pixels = np.ascontiguousarray(image, np.float32)
    if pixels.nbytes > _PLAIN_TIFF_BYTES:
        raise UserError(f"cannot write {path}: the image needs {pixels.nbytes >> 20} MB; use larger pixels")
    per_um = 1e3 / pixel_size_nm
    metadata = {"unit": "um", "axes": "YX" if pixels.ndim == 2 else axes}
    with atomic_path(path) as part:
        tifffile.imwrite(part, pixels, imagej=True, resolution=(per_um, per_um), metadata=metadata)


class MovieWriter:
    """Writes a uint16 TIFF movie block by block, so that its length needs no memory.

    Raises `UserError` if the file cannot be written.

    Parameters
    ----------
    path
        File to write; it appears when the ``with`` block ends without an error.
    pixel_size_nm
        Side of a camera pixel, nm.
    n_bytes
        Size of all frames when known: a movie that fits becomes an ImageJ TIFF, else a BigTIFF.
    """

    def __init__(self, path: str | Path, pixel_size_nm: float, n_bytes: int | None = None) -> None:
        self._path = path
        self._is_plain = n_bytes is not None and n_bytes <= _PLAIN_TIFF_BYTES
        self._pixel_size_nm = pixel_size_nm

    def __enter__(self) -> MovieWriter:
        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self._path))
            writer = tifffile.TiffWriter(part, bigtiff=not self._is_plain, imagej=self._is_plain)
            self._writer = stack.enter_context(writer)
            self._open = stack.pop_all()
        return self

    def append(self, frames: Frames) -> None:
        """Write the next frames (t, Y, X); values are rounded and limited to 0-65535."""
        pixels = frames
        if frames.dtype != np.uint16:
            pixels = np.clip(np.rint(frames), 0, 65535).astype(np.uint16)
        per_um = 1e3 / self._pixel_size_nm
        density, unit = (per_um, None) if self._is_plain else (per_um * 1e4, "CENTIMETER")
        for frame in pixels:
            # Frame by frame, as a block would fix the size of all later ones; the axes before are Z and C.
            self._writer.write(
                frame[None, None] if self._is_plain else frame,
                photometric="minisblack",
                contiguous=True,
                resolution=(density, density),
                resolutionunit=unit,
                metadata={"unit": "um"} if self._is_plain else {},
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def write_movie_tiff(frames: Frames, path: str | Path, pixel_size_nm: float) -> None:
    """Write a movie (T, Y, X) as uint16 TIFF; see `MovieWriter` for one that does not fit memory."""
    with MovieWriter(path, pixel_size_nm, n_bytes=2 * frames.size) as writer:
        writer.append(frames)


def write_png(rgb: NDArray[np.uint8], path: str | Path) -> None:
    """Write a picture (Y, X, 3) or (Y, X) of 8 bits as PNG.

    Raises `UserError` if the file cannot be written.
    """
    from PIL import Image

    with atomic_path(path) as part:
        Image.fromarray(np.ascontiguousarray(rgb)).save(part, format="PNG")
