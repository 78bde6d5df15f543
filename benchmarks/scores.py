"""The numbers that every suite with simulated fields reports of a table."""

from __future__ import annotations

from autods.core import LocalizationTable
from autods.io.result_tables import Cell
from autods.metrics.decorrelation import decorrelation_resolution
from autods.metrics.detection import detection_metrics
from autods.metrics.image import density_image, image_metrics
from autods.metrics.resolution import frc_resolution
from benchmarks.fields import SimulatedField

#: Columns of :func:`field_scores`.
SCORES = ("psnr_db", "nrmse", "ms_ssim", "jaccard", "precision", "recall", "rmse_nm")
#: Columns of :func:`resolutions`.
RESOLUTIONS = ("frc_nm", "decorrelation_nm")


def field_scores(
    field: SimulatedField, found: LocalizationTable, radius_nm: float, image_pixel_nm: float
) -> dict[str, Cell]:
    """Score what was found in a field: similarity of the images, and detection.

    Parameters
    ----------
    field
        The movie with its truth.
    found
        The localizations.
    radius_nm
        Largest distance of a match, nm.
    image_pixel_nm
        Pixel of the images that are compared, nm.
    """
    detection = detection_metrics(field.truth, found, radius_nm)
    image = image_metrics(field.truth, found, field.shape_nm, pixel_size_nm=image_pixel_nm)
    return {
        "psnr_db": image.psnr,
        "nrmse": image.nrmse,
        "ms_ssim": image.ms_ssim,
        "jaccard": detection.jaccard,
        "precision": detection.precision,
        "recall": detection.recall,
        "rmse_nm": detection.rmse_lateral_nm,
    }


def resolutions(
    table: LocalizationTable, shape_nm: tuple[float, float], pixel_size_nm: float
) -> dict[str, Cell]:
    """Return the resolution of a table's image: FRC at 1/7 between blocks of frames, and decorrelation."""
    image = density_image(table, shape_nm, pixel_size_nm)
    return {
        "frc_nm": frc_resolution(table, shape_nm, pixel_size_nm=pixel_size_nm).resolution_nm,
        "decorrelation_nm": decorrelation_resolution(image, pixel_size_nm).resolution_nm,
    }
