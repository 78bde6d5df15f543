"""Fitting a movie to the optics that a network was trained on (the paper's eq. 2).

The PSF width in pixels is ``s = c * wavelength / (NA * pixel_size)``. Where the network's is larger, the
movie is blurred by a Gaussian of ``sqrt(s_model^2 - s_movie^2)``; where it is smaller, the movie is
downsampled by ``s_movie / s_model`` with cubic interpolation. Both are linear and separable, so each is one
matrix an axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ive
from torch import Tensor

from autods.core import UserError

#: Widths that differ by less are taken as equal. A width measured from a movie is good to 2-5 %, and the
#: networks are trained on PSFs whose width is spread by more than this.
WIDTH_TOLERANCE = 0.05
#: Downsampling below this leaves too few pixels of the movie's; nothing sensible needs it.
MIN_ZOOM = 0.1


@dataclass(frozen=True)
class Rescaling:
    """How frames are brought to a network's PSF width: at most one of the two differs from identity."""

    #: Standard deviation of the Gaussian blur, movie pixels; 0 for none.
    blur_sigma_px: float = 0.0
    #: Network pixels per movie pixel, at most 1.
    zoom: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether frames pass unchanged."""
        return self.blur_sigma_px == 0.0 and self.zoom == 1.0

    def margin_px(self, network_margin_px: int) -> int:
        """Return the context, in movie pixels, that a network's receptive margin and the filter need."""
        kernel = 3.0 * self.blur_sigma_px if self.zoom == 1.0 else 2.0 / self.zoom
        return math.ceil(network_margin_px / self.zoom + (0.0 if self.is_identity else kernel))

    def seen_sigma_px(self, psf_sigma_px: float) -> float:
        """Return the standard deviation of the PSF in rescaled frames, network pixels."""
        return math.hypot(psf_sigma_px, self.blur_sigma_px) * self.zoom

    def noise_std(self, psf_sigma_px: float) -> float:
        """Return what white noise of unit standard deviation becomes for a network that looks for PSFs.

        The filter correlates the noise, so that its pixels' standard deviation says little: blurred noise is
        low but looks like emitters. What counts is the response of a PSF-shaped filter, here to the rescaled
        noise over that to white noise of unit standard deviation.

        Parameters
        ----------
        psf_sigma_px
            PSF standard deviation of the movie, px.
        """
        if self.is_identity:
            return 1.0
        seen_px = self.seen_sigma_px(psf_sigma_px)
        n_out = 2 * math.ceil(4 * seen_px) + 9
        n_in = math.ceil(n_out / self.zoom)
        offset = np.arange(n_out) - n_out // 2
        psf = np.exp(-0.5 * (offset / seen_px) ** 2)
        on_movie = psf @ _axis_matrix(n_in, n_out, self.zoom, self.blur_sigma_px)
        return float((on_movie**2).sum() / (psf**2).sum())  # the square root of the product of both axes

    def snr_factor(self, psf_sigma_px: float) -> float:
        """Return by how much the filter raises an emitter's peak over the noise, as `noise_std` counts it.

        Parameters
        ----------
        psf_sigma_px
            PSF standard deviation of the movie, px.
        """
        kept = psf_sigma_px**2 / (psf_sigma_px**2 + self.blur_sigma_px**2)
        return kept / self.noise_std(psf_sigma_px)

    def apply(self, frames: Tensor, *, multiple: int = 1) -> Tensor:
        """Bring frames to the network's scale.

        Returns (..., Y', X'); pixel edges lie at multiples of ``1 / zoom`` movie pixels from the same corner.

        Parameters
        ----------
        frames
            (..., Y, X), float.
        multiple
            The sides of the result are rounded up to a multiple of this; what is added at the bottom and
            the right continues the frame by its mirror image.
        """
        height, width = (
            math.ceil(math.ceil(side * self.zoom - 1e-9) / multiple) * multiple for side in frames.shape[-2:]
        )
        if self.is_identity and (height, width) == tuple(frames.shape[-2:]):
            return frames
        rows = torch.from_numpy(_axis_matrix(frames.shape[-2], height, self.zoom, self.blur_sigma_px))
        cols = torch.from_numpy(_axis_matrix(frames.shape[-1], width, self.zoom, self.blur_sigma_px))
        return rows.to(frames) @ frames @ cols.to(frames).T


def plan_rescaling(movie_sigma_px: float, model_sigma_px: float, *, enabled: bool = True) -> Rescaling:
    """Decide how a movie is fitted to a model's PSF width.

    Raises `UserError` if the widths are so different that the movie's optics must be wrong; `ValueError` if a
    width is not positive.

    Parameters
    ----------
    movie_sigma_px, model_sigma_px
        PSF standard deviation of the movie in its pixels and of the model's training data in its own.
        Both by eq. 2 or both measured: the constant c cancels only between like and like.
    enabled
        False: no rescaling.
    """
    if not enabled:
        return Rescaling()
    if not (movie_sigma_px > 0 and model_sigma_px > 0):
        raise ValueError(f"PSF widths must be positive: movie {movie_sigma_px}, model {model_sigma_px}")
    ratio = model_sigma_px / movie_sigma_px
    if abs(ratio - 1) <= WIDTH_TOLERANCE:
        return Rescaling()
    if ratio > 1:
        return Rescaling(blur_sigma_px=math.sqrt(model_sigma_px**2 - movie_sigma_px**2))
    if ratio < MIN_ZOOM:
        raise UserError(
            f"the movie's PSF is {movie_sigma_px:.3g} px wide, the model's {model_sigma_px:.3g} px:"
            " check optics.pixel_size_nm, optics.wavelength_nm and optics.na, or set rescale=false"
        )
    return Rescaling(zoom=ratio)


@lru_cache(maxsize=64)
def _axis_matrix(n_in: int, n_out: int, zoom: float, blur_sigma_px: float) -> NDArray[np.float64]:
    """Return the (n_out, n_in) matrix that filters and samples one axis.

    Output pixel j has its centre at ``(j + 0.5) / zoom`` corner pixels of the input. Rows sum to 1.
    """
    stretch = 1.0 / zoom
    reach = 4.0 * blur_sigma_px + 1.0 if blur_sigma_px else 2.0 * stretch
    centre = (np.arange(n_out) + 0.5) * stretch - 0.5
    first = math.floor(centre[0] - reach)
    last = math.ceil(centre[-1] + reach) + 1
    offset = np.arange(first, last)[None, :] - centre[:, None]
    if blur_sigma_px:
        # Lindeberg's discrete Gaussian (IEEE TPAMI 12, 234 (1990)): a sampled one is too narrow below 0.5 px.
        weight = ive(np.abs(np.rint(offset)), blur_sigma_px**2) * (np.abs(offset) <= reach)
    else:
        # Stretched by the sampling step, the kernel averages what would alias; its second moment is
        # zero, so the PSF keeps its width.
        weight = _cubic(offset / stretch)
    weight /= weight.sum(1, keepdims=True)
    matrix = np.zeros((n_out, n_in))
    np.add.at(matrix.T, _mirror_index(first, last, n_in), weight.T)
    return matrix


def _mirror_index(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Return the pixels of a line of ``length`` that stand for positions ``start`` to ``stop`` (excluded).

    Positions outside are mirrored about the line's outer borders, however far outside they lie.
    """
    folded = np.arange(start, stop, dtype=np.int64) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the cubic convolution kernel with a = -1/2 (Keys, IEEE Trans. ASSP 29, 1153 (1981))."""
    t = np.abs(t)
    inner = (1.5 * t - 2.5) * t * t + 1.0
    outer = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t <= 1.0, inner, np.where(t < 2.0, outer, 0.0))
