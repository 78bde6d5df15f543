"""Everything that can be said about a localization table whose truth is known, ready for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from autods.core import LocalizationTable, UserError
from autods.metrics.decorrelation import decorrelation_resolution
from autods.metrics.detection import DetectionMetrics, detection_metrics
from autods.metrics.image import density_image, image_metrics
from autods.metrics.matching import match_arrays, positions
from autods.metrics.resolution import frc_resolution

#: A shift of the frames is reported when it pairs at least so many times more localizations.
_SHIFT_GAIN = 1.5
#: A constant offset is reported when it is at least this share of the matching radius.
_NOTABLE_BIAS = 0.1
#: Localizations farther beyond the truth than this do not widen the field that is compared, nm.
_NEAR_NM = 2000.0
#: Pixels of an image, at most: 2 GB.
_MAX_IMAGE_PX = 2.5e8


def evaluate(
    truth: LocalizationTable,
    found: LocalizationTable,
    *,
    radius_nm: float = 200.0,
    axial_radius_nm: float | None = 500.0,
    remove_axial_offset: bool = False,
    remove_lateral_offset: bool = False,
    shape_nm: tuple[float, float] | None = None,
    image_pixel_size_nm: float = 12.5,
    resolution_pixel_size_nm: float = 10.0,
) -> dict[str, Any]:
    """Score localizations against the truth: detection, image similarity and resolution.

    Returns ``settings``, ``detection`` (fields of `DetectionMetrics`), ``image`` (fields of `ImageMetrics`),
    ``resolution`` (FRC at 1/7 and decorrelation, nm, of both tables, with the reason where FRC is null) and
    ``warnings``. Plain types only; what is not defined or not finite is None.

    Parameters
    ----------
    truth, found
        The tables, with frames and origin in common.
    radius_nm
        Largest lateral distance of a matched pair, nm.
    axial_radius_nm
        Largest axial distance of a matched pair, nm, when both tables are 3D; None matches laterally.
    remove_axial_offset, remove_lateral_offset
        Subtract the constant axial offset between the tables before matching; it is reported in any case.
    shape_nm
        Height and width of the field, nm; None takes the smallest that holds both tables.
    image_pixel_size_nm
        Pixel of the images compared, nm.
    resolution_pixel_size_nm
        Pixel of the images whose resolution is measured, nm.
    """
    field = shape_nm or _field(truth, found, image_pixel_size_nm)
    axial = axial_radius_nm if truth.is_3d and found.is_3d else None
    detection = detection_metrics(
        truth,
        found,
        radius_nm,
        axial,
        remove_axial_offset=remove_axial_offset,
        remove_lateral_offset=remove_lateral_offset,
    )
    report = {
        "settings": {
            "radius_nm": radius_nm,
            "axial_radius_nm": axial,
            "axial_offset_removed": bool(axial is not None and remove_axial_offset),
            "lateral_offset_removed": remove_lateral_offset,
            "field_nm": field,
            "image_pixel_size_nm": image_pixel_size_nm,
            "resolution_pixel_size_nm": resolution_pixel_size_nm,
        },
        "detection": asdict(detection),
        "image": asdict(image_metrics(truth, found, field, pixel_size_nm=image_pixel_size_nm)),
        "resolution": {
            "found": _resolution(found, field, resolution_pixel_size_nm),
            "truth": _resolution(truth, field, resolution_pixel_size_nm),
        },
        "warnings": _warnings(truth, found, detection, radius_nm, axial, remove_axial_offset),
    }
    plain: dict[str, Any] = json_ready(report)
    return plain


def flatten(report: dict[str, Any]) -> dict[str, Any]:
    """Put the numbers of detection and image of `evaluate` side by side, before the rest of the report."""
    rest = {name: report[name] for name in ("resolution", "settings", "warnings")}
    return {**report["detection"], **report["image"], **rest}


def json_ready(value: Any) -> Any:
    """Convert NumPy numbers, tuples and nested containers to plain types; numbers not finite become None.

    Examples
    --------
    >>> import numpy as np
    >>> json_ready({"jaccard": np.float32(0.5), "rmse_nm": float("nan"), "shape": (2, 3)})
    {'jaccard': 0.5, 'rmse_nm': None, 'shape': [2, 3]}
    """
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _field(truth: LocalizationTable, found: LocalizationTable, pixel_size_nm: float) -> tuple[float, float]:
    """Return the height and width, in whole pixels, that hold both tables, nm.

    What was found far outside of the truth is no part of the field: a stray position does not stretch the
    images.
    """
    sides = []
    for column in ("y_nm", "x_nm"):
        true, other = (getattr(table, column) for table in (truth, found))
        last = float(np.nanmax(true)) if len(true) else 0.0
        near = other[other <= last + _NEAR_NM] if len(true) else other
        last = max(last, float(np.nanmax(near)) if len(near) else 0.0)
        sides.append(max(math.ceil(last / pixel_size_nm), 1) * pixel_size_nm)
    if sides[0] * sides[1] > _MAX_IMAGE_PX * pixel_size_nm**2:
        raise UserError(
            f"the tables cover {sides[0] / 1e3:.4g} x {sides[1] / 1e3:.4g} um, too many pixels of"
            f" {pixel_size_nm:g} nm: give field_nm=HEIGHT:WIDTH or a larger image_pixel_size_nm"
        )
    return sides[0], sides[1]


def _resolution(table: LocalizationTable, field: tuple[float, float], pixel_size_nm: float) -> dict[str, Any]:
    """Return the FRC and decorrelation resolution of a table's density image."""
    rings = frc_resolution(table, field, pixel_size_nm=pixel_size_nm)
    image = density_image(table, field, pixel_size_nm)
    return {
        "frc_nm": rings.resolution_nm,
        "frc_reason": rings.reason,
        "decorrelation_nm": decorrelation_resolution(image, pixel_size_nm).resolution_nm,
    }


def _warnings(
    truth: LocalizationTable,
    found: LocalizationTable,
    detection: DetectionMetrics,
    radius_nm: float,
    axial_radius_nm: float | None,
    offset_removed: bool,
) -> list[str]:
    """Return what looks like a disagreement of conventions rather than bad localizations."""
    warnings = []
    if not len(truth) or not len(found):
        warnings.append(f"the {'truth' if not len(truth) else 'table of localizations'} is empty")
    for shift in (-1, 1):
        flat = (truth.frame, positions(truth), found.frame + shift, positions(found))
        pairs = len(match_arrays(*flat, radius_nm)[0])
        if pairs > _SHIFT_GAIN * max(detection.n_matched, 1):
            warnings.append(
                f"with the found frames {shift:+d}, {pairs} instead of {detection.n_matched} localizations"
                " match: do both tables count frames from the same number?"
            )
    bias = math.hypot(detection.bias_x_nm, detection.bias_y_nm)
    if bias > _NOTABLE_BIAS * radius_nm:
        warnings.append(
            f"found positions are shifted by ({detection.bias_x_nm:.0f}, {detection.bias_y_nm:.0f}) nm in"
            " (x, y) on average: do both tables have their origin at the outer corner of the first pixel?"
        )
    offset = detection.axial_offset_nm
    if axial_radius_nm is not None and not offset_removed and abs(offset) > _NOTABLE_BIAS * axial_radius_nm:
        warnings.append(
            f"found z is {offset:.0f} nm off on average: the two origins of z may differ (it can be removed)"
        )
    return warnings
