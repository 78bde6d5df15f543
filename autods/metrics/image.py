"""Similarity of reconstructions: PSNR, NRMSE and MS-SSIM after a common normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autods.core import LocalizationTable

Image = NDArray[np.float64]

#: Exponents of the scales, finest first (Wang, Simoncelli & Bovik, Asilomar 2003).
_MS_SSIM_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

#: Shortest side, pixels, for 1, 2, ... 5 scales: the 11 pixel window must fit the image halved for each scale
#: (1, 2, 3), and torchmetrics asks for 11 (scales - 1)^2 (4, 5).
_MS_SSIM_LEAST_SIDES = (11, 22, 44, 99, 176)


@dataclass(frozen=True)
class ImageMetrics:
    """Similarity of a reconstruction to the true one."""

    #: Peak signal-to-noise ratio, dB, of images in [0, 1]; infinite when they are equal.
    psnr: float
    #: Root mean square difference over the root mean square of the true image.
    nrmse: float
    #: Multi-scale structural similarity, at most 1; NaN when the image is under 11 pixels a side.
    ms_ssim: float
    #: Scales used: 5, or fewer where the image is too small (under 176 pixels), with the exponents of those
    #: left scaled to the same sum. Numbers from different scales do not compare.
    ms_ssim_scales: int


def image_metrics(
    truth: LocalizationTable,
    found: LocalizationTable,
    shape_nm: tuple[float, float],
    *,
    pixel_size_nm: float = 12.5,
) -> ImageMetrics:
    """Compare the histograms of two tables after the common normalisation (`normalize_image`).

    Parameters
    ----------
    truth, found
        The tables.
    shape_nm
        Height and width of the field, nm.
    pixel_size_nm
        Pixel of the histograms, nm; adjusted slightly where the field is not a multiple of it.
    """
    images = (density_image(table, shape_nm, pixel_size_nm) for table in (truth, found))
    return compare_images(*(normalize_image(image) for image in images))


def density_image(table: LocalizationTable, shape_nm: tuple[float, float], pixel_size_nm: float) -> Image:
    """Count the localizations in pixels: (round(h / pixel), round(w / pixel)) for a field of h x w nm.

    Examples
    --------
    >>> import numpy as np
    >>> from autods import LocalizationTable
    >>> table = LocalizationTable.build(np.array([0, 1]), np.array([5.0, 15.0]), np.array([5.0, 5.0]))
    >>> density_image(table, (20.0, 20.0), 10.0)
    array([[1., 1.],
           [0., 0.]])
    """
    shape = [max(1, round(side / pixel_size_nm)) for side in shape_nm]
    places, inside = [], np.ones(len(table), bool)
    for values, side, n in zip((table.y_nm, table.x_nm), shape_nm, shape, strict=True):
        inside &= (values >= 0) & (values <= side)
        places.append(np.minimum((values * (n / side)).astype(np.intp), n - 1))
    flat = (places[0] * shape[1] + places[1])[inside]
    counts = np.bincount(flat, np.ones(len(flat)), shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64, copy=False)


def normalize_image(image: NDArray[np.generic], blur_px: float = 2.0, percentile: float = 99.5) -> Image:
    """Blur an image (Y, X) with a Gaussian, clip it to a percentile and scale it to [0, 1].

    Clipping keeps a few very bright pixels from deciding the comparison.

    Parameters
    ----------
    image
        (Y, X), not negative.
    blur_px
        Standard deviation of the Gaussian, pixels.
    percentile
        The level that becomes 1.

    Examples
    --------
    >>> import numpy as np
    >>> image = normalize_image(np.eye(4), blur_px=0.0, percentile=100.0)
    >>> float(image.min()), float(image.max())
    (0.0, 1.0)
    """
    blurred = gaussian_filter(image.astype(np.float64), blur_px)
    top = max(float(np.percentile(blurred, percentile)), 1e-12)
    scaled: Image = np.clip(blurred / top, 0.0, 1.0)
    return scaled


def compare_images(reference: Image, image: Image) -> ImageMetrics:
    """Compare two images (Y, X) with values in [0, 1]: PSNR, NRMSE and MS-SSIM.

    Multi-scale structural similarity after Wang, Simoncelli and Bovik, Asilomar Conference (2003). Raises
    `ValueError` if the shapes differ.
    """
    if reference.shape != image.shape:
        raise ValueError(f"images of shape {reference.shape} and {image.shape} do not compare")
    mean_square = float(np.mean((reference - image) ** 2))
    power = float(np.mean(reference**2))
    scales = ms_ssim_scales(min(reference.shape))
    return ImageMetrics(
        psnr=float(-10 * np.log10(mean_square)) if mean_square > 0 else float("inf"),
        nrmse=float(np.sqrt(mean_square / power)) if power > 0 else float("nan"),
        ms_ssim=_ms_ssim(reference, image, scales) if scales else float("nan"),
        ms_ssim_scales=scales,
    )


def ms_ssim_scales(side_px: int) -> int:
    """Return how many scales (0-5) fit an image whose shorter side has so many pixels.

    Examples
    --------
    >>> ms_ssim_scales(512), ms_ssim_scales(8)
    (5, 0)
    """
    return sum(side_px >= least for least in _MS_SSIM_LEAST_SIDES)


def _ms_ssim(reference: Image, image: Image, scales: int) -> float:
    """MS-SSIM with the given number of scales."""
    # Takes a second to import, and few programs compare images.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    betas = np.array(_MS_SSIM_BETAS[:scales]) / sum(_MS_SSIM_BETAS[:scales]) * sum(_MS_SSIM_BETAS)
    similarity = multiscale_structural_similarity_index_measure(
        torch.as_tensor(image, dtype=torch.float32)[None, None],
        torch.as_tensor(reference, dtype=torch.float32)[None, None],
        kernel_size=11,
        data_range=1.0,
        betas=tuple(betas.tolist()),
    )
    return float(similarity)
