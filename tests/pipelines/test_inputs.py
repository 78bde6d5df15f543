import dataclasses

import numpy as np
import pytest

from autods.core import Camera, OpticalSystem, UserError
from autods.estimation.profile import profile_movie
from autods.io.movie import ArrayMovie, MovieMetadata
from autods.pipelines.inputs import crop_camera, resolve_instrument, with_measured, with_read_noise
from autods.pipelines.settings import CameraSettings, OpticsSettings


def movie(metadata=None, shape=(4, 20, 30)):
    return ArrayMovie(np.zeros(shape, np.uint16), metadata)


def sources(instrument):
    return {row.key: row.source for row in instrument.rows}


def test_given_goes_before_metadata_before_default():
    metadata = MovieMetadata(pixel_size_nm=160.0, offset_adu=99.0, qe=0.8, source="OME-XML")
    found = resolve_instrument(
        movie(metadata), OpticsSettings(pixel_size_nm=100.0), CameraSettings(offset_adu=7.0)
    )
    assert found.optics.pixel_size_nm == 100
    assert found.camera == Camera(offset_adu=7.0, qe=0.8)
    assert sources(found)["optics.pixel_size_nm"] == "given"
    assert sources(found)["camera.qe"] == "metadata (OME-XML)"
    assert sources(found)["camera.e_per_adu"] == "default"
    assert not found.gain_known
    from_file = resolve_instrument(movie(metadata), OpticsSettings(), CameraSettings(e_per_adu=0.5))
    assert from_file.optics.pixel_size_nm == 160
    assert from_file.gain_known


def test_a_missing_pixel_size_is_asked_for_by_name():
    with pytest.raises(UserError, match=r"optics\.pixel_size_nm"):
        resolve_instrument(movie(), OpticsSettings(), CameraSettings())


@pytest.mark.parametrize("name", ["offset_adu", "read_noise_e"])
def test_a_map_of_another_shape_is_refused(name):
    camera = CameraSettings(**{name: np.zeros((30, 20), np.float32)})
    with pytest.raises(UserError, match=rf"camera\.{name}.*\(30, 20\).*\(20, 30\)"):
        resolve_instrument(movie(), OpticsSettings(100.0), camera)


def test_maps_are_cut_to_the_region():
    offset = np.arange(600, dtype=np.float32).reshape(20, 30)
    cut = crop_camera(Camera(offset_adu=offset, read_noise_e=1.5), (2, 3, 10, 20))
    assert np.array_equal(cut.offset_adu, offset[2:10, 3:20])
    assert cut.read_noise_e == 1.5


def test_measured_gain_replaces_only_defaults():
    """A background from 20 to 200 photons at 4 ADU each over an offset of 300: photon transfer sees it."""
    rng = np.random.default_rng(0)
    background = np.linspace(20, 200, 96)[None, None] * np.ones((40, 96, 1))
    frames = ArrayMovie((rng.poisson(background) * 4 + 300).astype(np.uint16))
    profile = profile_movie(frames, OpticalSystem(100.0))
    unknown = resolve_instrument(frames, OpticsSettings(100.0), CameraSettings())
    measured = with_measured(unknown, profile.camera)
    assert measured.camera.e_per_adu == pytest.approx(0.25, rel=0.15)
    assert measured.camera.offset_adu == pytest.approx(300, abs=60)
    assert measured.gain_known
    assert sources(measured)["camera.offset_adu"] == "measured"
    given = resolve_instrument(frames, OpticsSettings(100.0), CameraSettings(offset_adu=0.0))
    assert with_measured(given, profile.camera) == given


def test_pixels_that_are_not_square_are_refused_unless_a_size_is_given():
    stated = movie(MovieMetadata(pixel_size_nm=100.0, pixel_size_y_nm=160.0, source="OME-XML"))
    with pytest.raises(UserError, match="100 nm along x and 160 nm along y"):
        resolve_instrument(stated, OpticsSettings(), CameraSettings())
    found = resolve_instrument(stated, OpticsSettings(pixel_size_nm=108.0), CameraSettings())
    assert found.optics.pixel_size_nm == 108


@pytest.mark.parametrize(
    ("optics", "camera", "words"),
    [
        ({"pixel_size_nm": 6500.0}, {}, "optics.pixel_size_nm is 6500.*magnification"),
        ({"pixel_size_nm": 0.1}, {}, "Give 100 nm"),
        ({"pixel_size_nm": 100.0, "wavelength_nm": 0.67}, {}, "optics.wavelength_nm is 0.67.*Give 670 nm"),
        ({"pixel_size_nm": 100.0}, {"em_gain": 1e6}, "camera.em_gain is 1e"),
    ],
)
def test_what_is_given_must_be_possible(optics, camera, words):
    with pytest.raises(UserError, match=words):
        resolve_instrument(movie(), OpticsSettings(**optics), CameraSettings(**camera))


def test_what_a_file_states_and_cannot_be_is_not_taken():
    stated = movie(MovieMetadata(pixel_size_nm=100.0, wavelength_nm=0.67, em_gain=1e7, source="ND2"))
    found = resolve_instrument(stated, OpticsSettings(), CameraSettings())
    assert found.optics.wavelength_nm is None
    assert found.camera.em_gain is None


@pytest.mark.parametrize("is_map", [False, True])
def test_read_noise_is_measured_where_nobody_states_it(is_map):
    rng = np.random.default_rng(0)
    light = rng.poisson(20.0, (40, 60, 80))
    offset = np.full((60, 80), 100.0, np.float32)
    offset[:, :30] = 90.0
    values = 2.0 * (light + rng.normal(0, 6.0, light.shape)) + (offset if is_map else 100.0)
    frames = ArrayMovie(values.astype(np.float32), MovieMetadata())
    camera = CameraSettings(offset_adu=offset if is_map else 100.0, e_per_adu=0.5)
    optics = OpticsSettings(pixel_size_nm=100.0)
    known = with_read_noise(resolve_instrument(frames, optics, camera), frames)
    assert sources(known)["camera.read_noise_e"] == "measured"
    assert known.camera.read_noise_e == pytest.approx(6.0, rel=0.05)
    stated = dataclasses.replace(camera, read_noise_e=1.0)
    assert with_read_noise(resolve_instrument(frames, optics, stated), frames).camera.read_noise_e == 1.0
