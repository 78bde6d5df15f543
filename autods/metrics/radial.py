"""Spectra of real images, and sums over rings of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]


def spectrum(image: NDArray[np.generic], edges: tuple[Floats, Floats]) -> NDArray[np.complex64]:
    """Return the half-plane transform (Y, X // 2 + 1) of an image less its mean, single precision.

    Parameters
    ----------
    image
        (Y, X), real.
    edges
        (Y,) and (X,) the window that it is multiplied with, along each axis.
    """
    down, across = (values.astype(np.float32) for values in edges)
    windowed = image.astype(np.float32)
    windowed -= np.float32(image.mean())
    windowed *= down[:, None]
    windowed *= across
    transformed: NDArray[np.complex64] = fft.rfft2(windowed, overwrite_x=True)
    return transformed


class Rings:
    """Rings about the origin of the transform of real images of one shape.

    Values that are even in both frequencies together, as powers are, are the same at opposite frequencies:
    rows are folded onto each other first, which leaves a quarter of the plane to sort into rings.

    Parameters
    ----------
    shape
        (Y, X) of the images, px.
    n_rings
        Rings; what lies farther out is left out.
    per_frequency
        Rings per frequency of one cycle a pixel.
    centred
        Whether ring k is centred on k, or begins there.
    """

    def __init__(self, shape: tuple[int, int], n_rings: int, per_frequency: float, *, centred: bool) -> None:
        height, width = shape
        self.n_rings, self._height = n_rings, height
        down = fft.rfftfreq(height).astype(np.float32) * np.float32(per_frequency)
        across = fft.rfftfreq(width).astype(np.float32) * np.float32(per_frequency)
        place = np.hypot(down[:, None], across)
        if centred:
            np.rint(place, out=place)
        self._ring = np.minimum(place, n_rings).astype(np.intp).ravel()
        # How often each column stands in the full transform.
        self._weight = np.full(len(across), 2, np.float32)
        self._weight[0] = 1
        if width % 2 == 0:
            self._weight[-1] = 1

    def sums(self, values: NDArray[np.float32]) -> Floats:
        """Return the sums (n_rings,) of values (Y, X // 2 + 1) over the full plane."""
        folded = values[: self._height // 2 + 1].copy()
        paired = (self._height - 1) // 2
        folded[1 : paired + 1] += values[: self._height // 2 : -1][:paired]
        folded *= self._weight
        summed = np.bincount(self._ring, folded.ravel(), self.n_rings + 1)
        return summed[: self.n_rings].astype(np.float64, copy=False)


def power(transformed: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the squared magnitudes (Y, X // 2 + 1) of a half-plane transform."""
    squared: NDArray[np.float32] = transformed.real**2
    squared += transformed.imag**2
    return squared
