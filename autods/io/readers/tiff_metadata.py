"""Pixel size and camera settings from the tags of a TIFF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile, TiffPage

from autods.io.base import MovieMetadata

_NM = {
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter"), 1e6),
    **dict.fromkeys(("cm", "centimeter"), 1e7),
    "m": 1e9,
    **dict.fromkeys(("inch", "in", "inches"), 25.4e6),
}
_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3}

#: Pixel sizes outside this range, nm, are defaults of a program (72 dpi, 1 um), not calibrations.
PLAUSIBLE_NM = (5.0, 900.0)


def plausible_pixel_size(value: float, unit: str) -> float | None:
    """Convert a stated pixel size to nm; None when the unit is not a length or the value cannot be true."""
    size = value * _NM.get(unit.strip().lower(), 0.0)
    return size if PLAUSIBLE_NM[0] <= size <= PLAUSIBLE_NM[1] else None


def tiff_metadata(tif: TiffFile) -> MovieMetadata:
    """Collect what an open TIFF file states about microscope and camera."""
    parts = [_from_micromanager(tif), _from_ome(tif.ome_metadata), _from_resolution(tif)]
    return MovieMetadata.merge(parts)


def _from_resolution(tif: TiffFile) -> MovieMetadata:
    """Read ImageJ's unit, or the plain TIFF tags, with the resolution in pixels per unit."""
    page = tif.pages.first
    tag = page.tags.get("XResolution")
    if tag is None or not isinstance(tag.value, tuple) or not all(tag.value[:2]):
        return MovieMetadata()
    imagej = tif.imagej_metadata or {}
    # A plain file says only "inch" or "centimetre".
    plain = {2: "inch", 3: "cm"}.get(int(page.tags.valueof("ResolutionUnit", 2)), "")
    unit = str(imagej.get("unit", "")) or plain
    size = plausible_pixel_size(tag.value[1] / tag.value[0], unit)
    return MovieMetadata(pixel_size_nm=size, source="ImageJ tags" if imagej else "TIFF resolution")


def _from_ome(xml: str | None) -> MovieMetadata:
    """Read the first image of OME-XML."""
    if xml is None:
        return MovieMetadata()
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return MovieMetadata()
    pixels, channel = root.find(".//{*}Pixels"), root.find(".//{*}Channel")
    plane, objective = root.find(".//{*}Plane"), root.find(".//{*}Objective")

    def number(
        element: ElementTree.Element | None, name: str, units: Mapping[str, float], unit: str
    ) -> float | None:
        value = _number(element.get(name)) if element is not None else None
        if element is None or value is None:
            return None
        return value * units.get(element.get(f"{name}Unit", unit).lower(), 0.0) or None

    size = number(pixels, "PhysicalSizeX", _NM, "um")
    return MovieMetadata(
        pixel_size_nm=None if size is None else plausible_pixel_size(size, "nm"),
        wavelength_nm=_quantity(channel, "EmissionWavelength", _NM, "nm"),
        na=_quantity(objective, "LensNA", {"": 1.0}, ""),
        exposure_ms=_quantity(plane, "ExposureTime", _MS, "s"),
        source="OME-XML",
    )


def _quantity(
    element: ElementTree.Element | None, name: str, units: Mapping[str, float], unit: str
) -> float | None:
    """Convert an attribute of OME-XML by the unit stated beside it, or else by the default one."""
    value = _number(element.get(name)) if element is not None else None
    if element is None or value is None:
        return None
    return value * units.get(element.get(f"{name}Unit", unit).lower(), 0.0) or None


def _from_micromanager(tif: TiffFile) -> MovieMetadata:
    """Read the summary of a Micro-Manager file and the settings stored with its first frame."""
    settings: dict[str, Any] = {}
    if tif.is_micromanager:
        settings.update((tif.micromanager_metadata or {}).get("Summary") or {})
    page = tif.pages.first
    if isinstance(page, TiffPage):
        settings.update(_parsed(page.tags.valueof("MicroManagerMetadata")))
    return micromanager_metadata(settings)


def micromanager_metadata(settings: Mapping[str, Any]) -> MovieMetadata:
    """Read the device settings that Micro-Manager stores with a frame.

    Parameters
    ----------
    settings
        Properties such as ``PixelSizeUm``, ``Exposure-ms`` and ``CAMERA-PROPERTY``.

    Returns
    -------
    MovieMetadata
        Pixel size and exposure; gain of the EM register where the camera says that it is in use; offset and
        conversion where the camera (Hamamatsu) states them.
    """
    size = _first(settings, "PixelSizeUm", "PixelSize_um")
    camera = str(_plain(settings.get("Camera", settings.get("Core-Camera", ""))))
    register = (
        f"{_plain(settings.get(f'{camera}-Output_Amplifier'))} {_plain(settings.get(f'{camera}-Port'))}"
    )
    has_register = any(
        word in register.lower() for word in ("electron multiplying", "multiplication", "emgain")
    )
    return MovieMetadata(
        pixel_size_nm=None if size is None else plausible_pixel_size(size, "um"),
        exposure_ms=_first(settings, "Exposure-ms", f"{camera}-Exposure"),
        em_gain=_first(settings, f"{camera}-MultiplierGain", f"{camera}-Gain") if has_register else None,
        offset_adu=_first(settings, f"{camera}-CONVERSION FACTOR OFFSET"),
        e_per_adu=_first(settings, f"{camera}-CONVERSION FACTOR COEFF"),
        source="Micro-Manager",
    )


def _plain(value: Any) -> Any:
    """Unwrap Micro-Manager 2's ``{"PropVal": value, ...}``."""
    return value.get("PropVal") if isinstance(value, dict) else value


def _first(settings: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of the named settings that is a positive number."""
    values = (_number(_plain(settings.get(name))) for name in names)
    return next((value for value in values if value is not None and value > 0), None)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _parsed(value: Any) -> dict[str, Any]:
    """Return settings stored as JSON; empty when they are not."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
