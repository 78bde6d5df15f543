"""Pixel size and camera settings from the tags of a TIFF file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile

from autods.io.base import MovieMetadata
from autods.io.readers.tiff_micromanager import micromanager_settings
from autods.io.units import length_nm, pixel_size, plain_unit, time_ms


def tiff_metadata(tif: TiffFile, path: Path, channel: int = 0) -> MovieMetadata:
    """Collect what an open TIFF file states about microscope and camera.

    Parameters
    ----------
    tif, path
        The file.
    channel
        Channel whose wavelength is wanted.
    """
    parts = [
        micromanager_metadata(micromanager_settings(path, tif)),
        _from_ome(tif.ome_metadata, channel),
        _from_resolution(tif),
    ]
    return MovieMetadata.merge(parts)


def _from_resolution(tif: TiffFile) -> MovieMetadata:
    """Read ImageJ's unit, or the plain TIFF tags, with the resolution in pixels per unit."""
    page = tif.pages.first
    imagej = tif.imagej_metadata or {}
    # A plain file says only "inch" or "centimetre".
    plain = {2: "inch", 3: "cm"}.get(int(page.tags.valueof(296, 2)), "")
    unit = str(imagej.get("unit", "")) or plain
    sides = []
    for code in (282, 283):
        value = page.tags.valueof(code)
        is_ratio = isinstance(value, tuple) and len(value) >= 2 and value[0] and value[1]
        sides.append(length_nm(value[1] / value[0], unit) if is_ratio else None)
    source = "ImageJ tags" if imagej else "TIFF resolution"
    is_imagej_unit = bool(imagej) and plain_unit(unit) not in ("inch", "pixel", "")
    return pixel_size(sides[0], sides[1], source, is_default_likely=not is_imagej_unit)


def _from_ome(xml: str | None, channel: int) -> MovieMetadata:
    """Read the first image of OME-XML."""
    if xml is None:
        return MovieMetadata()
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return MovieMetadata()
    pixels, channels = root.find(".//{*}Pixels"), root.findall(".//{*}Channel")
    plane, objective = root.find(".//{*}Plane"), root.find(".//{*}Objective")
    size = pixel_size(
        _length(pixels, "PhysicalSizeX", "um"), _length(pixels, "PhysicalSizeY", "um"), "OME-XML"
    )
    exposure = _number(plane.get("ExposureTime")) if plane is not None else None
    unit = plane.get("ExposureTimeUnit", "s") if plane is not None else "s"
    emission = channels[channel] if channel < len(channels) else None
    others = MovieMetadata(
        wavelength_nm=_length(emission, "EmissionWavelength", "nm"),
        na=_number(objective.get("LensNA")) if objective is not None else None,
        exposure_ms=None if exposure is None else time_ms(exposure, unit),
        source="OME-XML",
    )
    merged = MovieMetadata.merge([size, others])
    return replace(merged, source="OME-XML", notes=size.notes)


def _length(element: ElementTree.Element | None, name: str, unit: str) -> float | None:
    """Convert a length of OME-XML to nm by the unit stated beside it, or else by the default one."""
    value = _number(element.get(name)) if element is not None else None
    if element is None or value is None:
        return None
    return length_nm(value, element.get(f"{name}Unit", unit)) or None


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
    pixel = pixel_size(None if size is None else size * 1e3, None, "Micro-Manager")
    others = MovieMetadata(
        exposure_ms=_first(settings, "Exposure-ms", f"{camera}-Exposure"),
        em_gain=_first(settings, f"{camera}-MultiplierGain", f"{camera}-Gain") if has_register else None,
        offset_adu=_first(settings, f"{camera}-CONVERSION FACTOR OFFSET"),
        e_per_adu=_first(settings, f"{camera}-CONVERSION FACTOR COEFF"),
        source="Micro-Manager",
    )
    return replace(MovieMetadata.merge([pixel, others]), source="Micro-Manager", notes=pixel.notes)


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
