import numpy as np
import pytest
import tifffile

from autods.io.base import MovieMetadata
from autods.io.movie import open_movie
from autods.io.readers.tiff_metadata import micromanager_metadata

FRAMES = np.arange(2 * 5 * 7, dtype=np.uint16).reshape(2, 5, 7)


def _pixel_size(path):
    return open_movie(path).metadata.pixel_size_nm


@pytest.mark.parametrize(
    ("unit", "per_unit", "nm"),
    [
        ("micron", 10.0, 100),
        ("um", 8.0, 125),
        ("\\u00B5m", 10.0, 100),
        ("nm", 0.008, 125),
        ("mm", 10_000.0, 100),
        ("inch", 254_000.0, 100),
        ("pixel", 1.0, None),
        ("inch", 72.0, None),
        ("um", 1.0, None),
    ],
)
def test_imagej_units(tmp_path, unit, per_unit, nm):
    path = tmp_path / "movie.tif"
    metadata = {"axes": "TYX", "unit": unit}
    tifffile.imwrite(path, FRAMES, imagej=True, resolution=(per_unit, per_unit), metadata=metadata)
    assert _pixel_size(path) == (None if nm is None else pytest.approx(nm, rel=1e-4))


@pytest.mark.parametrize(
    ("unit", "per_unit", "nm"), [("CENTIMETER", 1e5, 100), ("INCH", 254_000, 100), ("INCH", 72, None)]
)
def test_plain_resolution(tmp_path, unit, per_unit, nm):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert _pixel_size(path) == (None if nm is None else pytest.approx(nm, rel=1e-4))


@pytest.mark.parametrize(("size", "unit", "nm"), [(0.11, "µm", 110), (110, "nm", 110), (1.0, "µm", None)])
def test_ome(tmp_path, size, unit, nm):
    path = tmp_path / "movie.ome.tif"
    metadata = {"axes": "TYX", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit}
    tifffile.imwrite(path, FRAMES, ome=True, metadata=metadata, resolution=(1, 1), resolutionunit="NONE")
    assert _pixel_size(path) == (None if nm is None else pytest.approx(nm))


def test_ome_objective_channel_and_exposure(tmp_path):
    path = tmp_path / "movie.ome.tif"
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="I"><Objective ID="O"'
        ' LensNA="1.45"/></Instrument><Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16"'
        ' SizeX="7" SizeY="5" SizeZ="1" SizeC="1" SizeT="2" PhysicalSizeX="0.1"><Channel ID="C:0"'
        ' EmissionWavelength="670"/><TiffData/><Plane TheT="0" TheC="0" TheZ="0" ExposureTime="0.03"/>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, FRAMES, description=xml, metadata=None, photometric="minisblack")
    assert open_movie(path).metadata.known() == {
        "pixel_size_nm": pytest.approx(100),
        "wavelength_nm": 670,
        "na": 1.45,
        "exposure_ms": pytest.approx(30),
    }


def test_micromanager_hamamatsu_states_its_conversion():
    settings = {
        "Camera": "HamamatsuHam_DCAM",
        "PixelSizeUm": 0.0,
        "HamamatsuHam_DCAM-CONVERSION FACTOR COEFF": "0.46",
        "HamamatsuHam_DCAM-CONVERSION FACTOR OFFSET": "100",
        "HamamatsuHam_DCAM-Gain": "4",
        "Exposure-ms": 20,
    }
    assert micromanager_metadata(settings).known() == {
        "offset_adu": 100,
        "e_per_adu": 0.46,
        "exposure_ms": 20,
    }


def test_conventional_readout_has_no_em_gain():
    settings = {"Camera": "Andor", "Andor-Output_Amplifier": "Conventional", "Andor-Gain": "250"}
    assert micromanager_metadata(settings).em_gain is None


def test_merging_takes_the_first_statement():
    parts = [
        MovieMetadata(source="a"),
        MovieMetadata(na=1.4, source="b"),
        MovieMetadata(na=1.2, pixel_size_nm=100, source="c"),
    ]
    merged = MovieMetadata.merge(parts)
    assert merged == MovieMetadata(na=1.4, pixel_size_nm=100, source="b, c")


def test_the_camera_and_its_mode_are_named() -> None:
    settings = {
        "Camera": "Cam",
        "Cam-CameraName": "C11440-22C",
        "Cam-CameraID": "S/N: 500183",
        "Cam-ScanMode": {"PropVal": "2"},
        "Cam-Gain": "1",
        "Other-ReadoutMode": "fast",
    }
    expected = "C11440-22C, serial S/N: 500183; ScanMode 2; Gain 1"
    assert micromanager_metadata(settings).camera == expected
    assert micromanager_metadata({"Camera": "Cam", "Cam-Gain": "1"}).camera == ""
