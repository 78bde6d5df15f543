"""Nikon ND2 movies, read by the optional package nd2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autods.io.base import Choice, Contents, Frames, MovieMetadata
from autods.io.readers.axes import axis_sizes, choose_planes, split_image_axes
from autods.io.readers.planes import PlaneMovie, movie_of_planes, needs
from autods.io.units import pixel_size


def open_nd2(path: Path, choice: Choice | None = None) -> PlaneMovie:
    """Open an ND2 movie.

    Raises `UserError` if the package nd2 is not installed, or the file is damaged or holds something to
    choose from.
    """
    with needs("nd2", path, "an ND2 movie"):
        import nd2
    return movie_of_planes(path, lambda: nd2.ND2File(str(path)), _movie, choice)


def _movie(path: Path, file: Any, choice: Choice) -> PlaneMovie:
    sizes = {name: int(n) for name, n in dict(file.sizes).items()}
    # Channels lie within what the package reads as one frame.
    order = [name for name in sizes if name not in "CYXS"] + [name for name in "CSYX" if name in sizes]
    axes, shape = split_image_axes("".join(name[0] for name in order), [sizes[name] for name in order], path)
    channels = getattr(file.metadata, "channels", None) or []
    names = {"C": [str(getattr(each.channel, "name", "")) for each in channels]}
    planes = choose_planes(axes, shape, path, choice, names)
    n_channels, size = sizes.get("C", 1), (sizes["Y"], sizes["X"])
    # A stopped recording keeps the planned number in its loops.
    recorded = planes // n_channels < int(file.attributes.sequenceCount)
    notes: tuple[str, ...] = ()
    if not recorded.all():
        whole = np.count_nonzero(recorded)
        notes = (f"it is cut short: {whole} of {len(planes)} frames are there and read",)

    def read_plane(plane: int) -> Frames:
        images: Frames = np.asarray(file.read_frame(plane // n_channels)).reshape(n_channels, *size)
        image: Frames = images[plane % n_channels]
        return image

    metadata = _metadata(file, choice.channel or 0)
    contents = Contents("ND2", axis_sizes(axes, shape), notes)
    kept = planes[recorded].tolist()
    return PlaneMovie(path, kept, size, np.dtype(file.dtype), read_plane, file.close, metadata, contents)


def _metadata(file: Any, channel: int) -> MovieMetadata:
    """Read pixel size, objective and emission of a channel."""
    channels = getattr(file.metadata, "channels", None) or []
    wavelength = na = None
    if channel < len(channels):
        wavelength = getattr(channels[channel].channel, "emissionLambdaNm", None)
        na = getattr(channels[channel].microscope, "objectiveNumericalAperture", None)
    voxel = file.voxel_size()
    size = pixel_size(float(voxel.x) * 1e3, float(voxel.y) * 1e3, "ND2")
    others = MovieMetadata(wavelength_nm=wavelength or None, na=na or None, source="ND2")
    return MovieMetadata.merge([size, others])
