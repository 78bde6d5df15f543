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

#: What the numbers of a detector depend on, in OME-XML.
_OME_MODE = ("Gain", "ReadOutRate", "Binning", "AmplificationGain")
#: How the drivers of Micro-Manager call a camera, its serial number, and what its numbers depend on.
_MM_MODEL = ("CameraName", "Camera", "ChipName", "Description")
_MM_SERIAL = ("CameraID", "SerialNumber", "Serial Number", "CameraSerialNumber")
_MM_MODE = (
    "Output_Amplifier",
    "Port",
    "AD_Converter",
    "ReadoutMode",
    "ReadoutRate",
    "PixelReadoutRate",
    "Pre-Amp-Gain",
    "ScanMode",
    "READOUT SPEED",
    "SENSOR MODE",
    "Sensitivity/DynamicRange",
    "Binning",
)


def tiff_metadata(tif: TiffFile, path: Path, channel: int = 0) -> MovieMetadata:
    """Collect what an open TIFF file states about microscope and camera."""
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
        camera=_ome_camera(root, emission),
        source="OME-XML",
    )
    merged = MovieMetadata.merge([size, others])
    return replace(merged, source="OME-XML", notes=size.notes)


def _ome_camera(root: ElementTree.Element, channel: ElementTree.Element | None) -> str:
    """Name the detector of a channel, else the only one, with the settings that its numbers depend on."""
    settings = channel.find("{*}DetectorSettings") if channel is not None else None
    detectors = root.findall(".//{*}Detector")
    wanted = settings.get("ID") if settings is not None else None
    found = [each for each in detectors if each.get("ID") == wanted] or detectors
    if len(found) != 1:
        return ""
    named = found[0].get
    mode = {name: settings.get(name) for name in _OME_MODE} if settings is not None else {}
    model = " ".join(filter(None, [named("Manufacturer"), named("Model")]))
    return _camera(model, named("SerialNumber"), mode)


def _camera(model: str | None, serial: str | None, mode: Mapping[str, str | None]) -> str:
    """Write which camera it is and how it was read; '' where it is not named."""
    first = [model or "", f"serial {serial}" if serial else ""]
    set_to = [f"{name} {value}" for name, value in mode.items() if value]
    return "; ".join([", ".join(filter(None, first)), *set_to]) if any(first) else ""


def _length(element: ElementTree.Element | None, name: str, unit: str) -> float | None:
    """Convert a length of OME-XML to nm by the unit stated beside it, or else by the default one."""
    value = _number(element.get(name)) if element is not None else None
    if element is None or value is None:
        return None
    return length_nm(value, element.get(f"{name}Unit", unit)) or None


def micromanager_metadata(settings: Mapping[str, Any]) -> MovieMetadata:
    """Read the device settings that Micro-Manager stores with a frame.

    Returns pixel size and exposure; gain of the EM register where the camera says that it is in use; offset
    and conversion where the camera (Hamamatsu) states them.

    Parameters
    ----------
    settings
        Properties such as ``PixelSizeUm``, ``Exposure-ms`` and ``CAMERA-PROPERTY``.
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
        camera=_micromanager_camera(settings, camera, () if has_register else ("Gain",)),
        source="Micro-Manager",
    )
    return replace(MovieMetadata.merge([pixel, others]), source="Micro-Manager", notes=pixel.notes)


def _micromanager_camera(settings: Mapping[str, Any], camera: str, also: tuple[str, ...]) -> str:
    def text(name: str) -> str | None:
        value = _plain(settings.get(f"{camera}-{name}"))
        return str(value).strip() if value not in (None, "") else None

    model, serial = (next(filter(None, map(text, names)), None) for names in (_MM_MODEL, _MM_SERIAL))
    return _camera(model, serial, {name: text(name) for name in (*_MM_MODE, *also)})


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
