"""Point-spread functions: pupils, diffraction and Gaussian models, phase masks, Fisher information."""

from autods.optics.gaussian import AstigmaticGaussianPSF, DefocusCurve, GaussianPSF
from autods.optics.protocol import PSFModel
from autods.optics.pupil_psf import PupilPSF, ScalarPSF, VectorialPSF
from autods.optics.spline import SplinePSF, tabulate

__all__ = [
    "AstigmaticGaussianPSF",
    "DefocusCurve",
    "GaussianPSF",
    "PSFModel",
    "PupilPSF",
    "ScalarPSF",
    "SplinePSF",
    "VectorialPSF",
    "tabulate",
]
