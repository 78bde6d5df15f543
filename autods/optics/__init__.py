"""Point-spread functions: pupils, diffraction and Gaussian models, phase masks, Fisher information."""

from autods.optics.crlb import crlb, fisher_information
from autods.optics.gaussian import AstigmaticGaussianPSF, DefocusCurve, GaussianPSF
from autods.optics.protocol import PSFModel
from autods.optics.pupil_psf import PupilPSF, ScalarPSF, VectorialPSF
from autods.optics.registry import PSF_MODELS
from autods.optics.spline import SplinePSF, tabulate
from autods.optics.storage import load_psf, save_psf

__all__ = [
    "PSF_MODELS",
    "AstigmaticGaussianPSF",
    "DefocusCurve",
    "GaussianPSF",
    "PSFModel",
    "PupilPSF",
    "ScalarPSF",
    "SplinePSF",
    "VectorialPSF",
    "crlb",
    "fisher_information",
    "load_psf",
    "save_psf",
    "tabulate",
]
