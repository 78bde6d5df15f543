"""The mean bead itself as a PSF, free of any optical model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from autods.calibration.retrieval import Retrieved
from autods.optics.pupil import Pupil
from autods.optics.spline import SplinePSF


def axial_scale(pupil: Pupil) -> float:
    """Emitter's displacement in the sample that does what 1 nm of focal displacement does (about n_s / n_i).

    Least squares of the two defocus functions over the aperture, piston removed.
    """
    weight = pupil.aperture / pupil.aperture.sum()
    sample, immersion = (k.real if k.is_complex() else k for k in (pupil.kz_sample, pupil.kz_immersion))
    sample, immersion = (k - (weight * k).sum() for k in (sample, immersion))
    return float((weight * sample * immersion).sum() / (weight * sample**2).sum())


def empirical_psf(
    volume: NDArray[np.float32], nfp_nm: NDArray[np.float64], retrieved: Retrieved, pixel_size_nm: float
) -> SplinePSF:
    """Cubic-spline PSF of the mean bead: background removed, centred, one photon per slice.

    A bead at the coverslip with the focal plane at f looks like an emitter at ``z = -f`` (times
    `axial_scale`) seen with the focal plane at the coverslip.

    Parameters
    ----------
    volume
        (Z, S, S) mean bead.
    nfp_nm
        (Z,) focal planes with the bead in focus at 0.
    retrieved
        The fit, for background, photons and offset.
    pixel_size_nm
        Camera pixel, nm.
    """
    signal = (volume - retrieved.background[:, None, None]) / retrieved.photons[:, None, None]
    shift = (-retrieved.y_nm / pixel_size_nm, -retrieved.x_nm / pixel_size_nm)
    centred = ndimage.shift(signal, (0, *shift), order=3, mode="nearest")
    z = -nfp_nm * axial_scale(retrieved.psf.pupil)
    order = np.argsort(z)
    z, centred = z[order], centred[order]
    step = float(np.mean(np.diff(z)))
    if not np.allclose(np.diff(z), step, rtol=1e-3):  # a slice was left out
        even = np.linspace(z[0], z[-1], round((z[-1] - z[0]) / float(np.median(np.diff(z)))) + 1)
        centred, step = CubicSpline(z, centred, axis=0)(even), float(even[1] - even[0])
    return SplinePSF(centred, float(z[0]), step, pixel_size_nm)
