"""How well a model explains a stack, and how close two pupils are."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from autods.optics.pupil import Pupil
from autods.optics.unwrap import unwrap_phase

Volume = NDArray[np.floating]

#: Width of the border of a cut-out, px.
_BORDER_PX = 2


def slice_correlation(model: Volume, data: Volume) -> NDArray[np.float64]:
    """Pearson correlation (Z,) of two stacks (Z, Y, X), slice by slice; 0 for a constant slice."""
    a = np.asarray(model, np.float64).reshape(len(model), -1)
    b = np.asarray(data, np.float64).reshape(len(data), -1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norm = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.where(norm > 0, (a * b).sum(1) / np.where(norm > 0, norm, 1), 0.0)


def corner_statistics(stack: Volume) -> tuple[Volume, Volume]:
    """Mean and standard deviation (Z,) of each slice's corners, a tenth of the side (at least 2 px) wide."""
    width = max(2, round(0.1 * stack.shape[1]))
    blocks = [stack[:, rows, columns] for rows in _ends(width) for columns in _ends(width)]
    corners = np.concatenate([block.reshape(len(stack), -1) for block in blocks], 1)
    return corners.mean(1), corners.std(1)


def light_above_border(images: Tensor) -> Tensor:
    """Return (Z,) the light of images (Z, S, S) above that at their border, which looks like background."""
    border = torch.ones(images.shape[1:], dtype=torch.bool)
    border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    level = images[:, border].median(1).values
    return (images - level[:, None, None]).sum((1, 2))


def _ends(width: int) -> tuple[slice, slice]:
    return slice(None, width), slice(-width, None)


def signal_mask(stack: Volume) -> NDArray[np.bool_]:
    """Pixels (Z, Y, X) over the corners' noise by 1 sigma, cleaned of lone pixels by an opening."""
    mean, std = corner_statistics(stack)
    bright = stack - mean[:, None, None] > std[:, None, None]
    return np.stack([ndimage.binary_opening(image) for image in bright])


def masked_correlation(model: Volume, data: Volume) -> NDArray[np.float64]:
    """Correlation (Z,) with the background of both stacks set to zero.

    The corners' mean is subtracted from each and pixels outside `signal_mask` of the data are zeroed.
    """
    mask = signal_mask(data)
    cleaned = [(stack - corner_statistics(stack)[0][:, None, None]) * mask for stack in (model, data)]
    return slice_correlation(*cleaned)


def focus_basis(pupil: Pupil) -> Tensor:
    """Piston, tilt along x and y and defocus (4, P, P): what position and focus explain instead of the mask.

    Tilts are in radians per nm of displacement, defocus is that of the objective's motion per nm.
    """
    k_axis = (2 * math.pi / pupil.wavelength_nm) * pupil.na_axis
    ones = torch.ones_like(pupil.u)
    return torch.stack([ones, k_axis * ones, k_axis[:, None] * ones, -pupil.kz_immersion])


def remove_focus(phase: Tensor, pupil: Pupil) -> tuple[Tensor, Tensor]:
    """Split a phase (P, P) into what only the pupil can explain and the coefficients (4,) of `focus_basis`.

    Weighted least squares inside the aperture on the unwrapped phase.
    """
    basis = focus_basis(pupil).double()
    weight = pupil.aperture.double()
    # Columns differ by orders of magnitude: scale them to unit rms before solving.
    scale = ((weight * basis**2).sum((1, 2)) / weight.sum()).sqrt()
    columns = (basis / scale[:, None, None]).flatten(1)
    normal = (columns * weight.flatten()) @ columns.T
    smooth = unwrap_phase(phase, pupil.aperture > 0)
    moment = (columns * weight.flatten()) @ smooth.double().flatten()
    coefficients = torch.linalg.solve(normal, moment) / scale
    rest = phase.double() - torch.tensordot(coefficients, basis, 1)
    return rest.to(phase.dtype), coefficients
