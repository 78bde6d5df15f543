import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autods.core import Camera, EmitterBatch, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.inference.psf_windows import PsfWindows
from autods.optics import PSF_MODELS, crlb, tabulate
from autods.optics.extent import fitted_size_px
from autods.representation import Detections
from autods.simulation import PsfRenderer, Scenes, Simulator

PIXEL_NM = 100.0
PHOTONS, BACKGROUND = 3000.0, 10.0
OPTICS = OpticalSystem(pixel_size_nm=PIXEL_NM, wavelength_nm=670.0, na=1.4)
REACH = {"astigmatism": 400.0, "double_helix": 800.0}
SIZE_PX = {"astigmatism": 21, "double_helix": 35}


def render(name: str, xyz: np.ndarray, frame: np.ndarray, n_frames: int, side: int, noisy: bool = True):
    """Frames without background, and the PSF they were made with."""
    reach = REACH[name]
    renderer = PsfRenderer.fast(PSF_MODELS[name](OPTICS), -reach, reach, size_px=41)
    photons = torch.full((len(xyz),), PHOTONS)
    emitters = EmitterBatch.from_flat(
        torch.from_numpy(frame), torch.from_numpy(xyz).float(), photons, n_frames
    )
    level = torch.full((n_frames,), BACKGROUND)
    scenes = Scenes(emitters, level, torch.full((n_frames,), 130.0))
    generator = torch.Generator().manual_seed(3)
    if not noisy:
        return renderer(scenes, (side, side)), renderer.psf
    frames = Simulator([renderer], [Camera()], 0.0, 0.0)(scenes, (side, side), generator)
    return frames - BACKGROUND, renderer.psf


def seen(light: torch.Tensor) -> Observation:
    """Frames without their constant background, whose noise they have."""
    return Observation.over_level(light + BACKGROUND, Camera(), BACKGROUND)


def isolated(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    lateral = 2500 + rng.uniform(-300, 300, (n, 2))
    return np.column_stack([lateral, rng.uniform(-0.8, 0.8, n) * REACH[name]])


def started(frame: np.ndarray, xyz: np.ndarray) -> Detections:
    x, y, z = torch.from_numpy(xyz.T.copy())
    return Detections(torch.from_numpy(frame), x / PIXEL_NM, y / PIXEL_NM, torch.ones(len(xyz)), z_nm=z)


def fitted(fitter: PsfFitter, observation: Observation, start: Detections) -> SimpleNamespace:
    """The fit's columns as arrays."""
    fit = fitter(observation, start)
    return SimpleNamespace(**{name: column.numpy() for name, column in fit.columns().items()})


def displaced(xyz: np.ndarray, frame: np.ndarray, std: tuple[float, float], rng: np.random.Generator):
    error = rng.normal(size=xyz.shape) * [std[0], std[0], std[1]]
    return started(frame, xyz + error)


@pytest.mark.parametrize("name", sorted(REACH))
def test_isolated_emitters_reach_the_cramer_rao_bound(name):
    rng = np.random.default_rng(0)
    n = 300
    xyz, frame = isolated(name, n, rng), np.arange(n)
    frames, psf = render(name, xyz, frame, n, 50)
    fitter = PsfFitter(psf, SIZE_PX[name], (-REACH[name], REACH[name]))
    fit = fitted(fitter, seen(frames), displaced(xyz, frame, (40.0, 50.0), rng))
    centred = torch.from_numpy(xyz).float() * torch.tensor([0.0, 0.0, 1.0])
    bounds = crlb(
        psf, centred, torch.full((n,), PHOTONS), torch.full((n,), BACKGROUND), SIZE_PX[name]
    ).numpy()
    error = np.column_stack([fit.x_px * PIXEL_NM, fit.y_px * PIXEL_NM, fit.z_nm]) - xyz
    # A few land in another minimum: the median speaks of the rest.
    ratio = np.median(np.abs(error) / bounds[:, :3], axis=0) / 0.6745
    assert np.all(ratio > 0.8)
    assert np.all(ratio < 1.25)
    assert np.median(fit.photons) == pytest.approx(PHOTONS, rel=0.03)
    predicted = np.column_stack([fit.uncertainty_px * PIXEL_NM, fit.uncertainty_z_nm])
    known = np.column_stack([np.sqrt(np.mean(bounds[:, :2] ** 2, 1)), bounds[:, 2]])
    assert np.median(predicted / known) == pytest.approx(1.0, abs=0.1)


def test_shifts_are_found_in_their_own_axis():
    frame = np.zeros(1, np.int64)
    xyz = np.array([[2540.0, 2450.0, 100.0]])
    frames, psf = render("astigmatism", xyz, frame, 1, 50, noisy=False)
    start = started(frame, np.array([[2500.0, 2450.0, 50.0]]))
    fit = fitted(PsfFitter(psf, 21, (-400, 400)), seen(frames), start)
    assert fit.x_px[0] * PIXEL_NM == pytest.approx(2540.0, abs=1.0)
    assert fit.y_px[0] * PIXEL_NM == pytest.approx(2450.0, abs=1.0)
    assert fit.z_nm[0] == pytest.approx(100.0, abs=3.0)


def test_overlapping_emitters_share_the_light():
    rng = np.random.default_rng(1)
    n = 60
    first = isolated("astigmatism", n, rng)
    second = first + np.array([400.0, 100.0, 0.0])
    second[:, 2] = -first[:, 2]
    xyz, frame = np.concatenate([first, second]), np.tile(np.arange(n), 2)
    frames, psf = render("astigmatism", xyz, frame, n, 55)
    fitter = PsfFitter(psf, 21, (-400, 400))
    fit = fitted(fitter, seen(frames), displaced(xyz, frame, (30.0, 40.0), rng))
    error = np.hypot(fit.x_px * PIXEL_NM - xyz[:, 0], fit.y_px * PIXEL_NM - xyz[:, 1])
    assert np.median(error) < 20
    assert np.median(fit.photons) == pytest.approx(PHOTONS, rel=0.06)


def test_a_prior_holds_the_position_where_the_data_say_little():
    rng = np.random.default_rng(2)
    n = 40
    xyz, frame = isolated("astigmatism", n, rng), np.arange(n)
    frames, psf = render("astigmatism", xyz, frame, n, 50)
    free = displaced(xyz, frame, (1.0, 1.0), rng)
    held = dataclasses.replace(
        free, uncertainty_px=torch.full((n,), 0.01), uncertainty_z_nm=torch.full((n,), 1.0)
    )
    fitter = PsfFitter(psf, 21, (-400, 400))
    moved = [(fitter(seen(frames), start).z_nm - free.z_nm).abs().mean() for start in (free, held)]
    assert moved[1] < 0.25 * moved[0]


def test_nothing_there_gets_no_photons_and_no_significance():
    frames = torch.poisson(torch.full((4, 40, 40), BACKGROUND), torch.Generator().manual_seed(0)) - BACKGROUND
    renderer = PsfRenderer.fast(PSF_MODELS["astigmatism"](OPTICS), -400.0, 400.0, size_px=21)
    start = started(np.arange(4), np.tile([2000.0, 2000.0, 0.0], (4, 1)))
    fit = fitted(PsfFitter(renderer.psf, 21, (-400, 400)), seen(frames), start)
    assert np.all(fit.significance < 4)
    assert np.all(np.isinf(fit.uncertainty_px[fit.photons == 0]))


def test_a_block_gives_the_same_as_its_frames_one_by_one(monkeypatch):
    rng = np.random.default_rng(4)
    xyz, frame = isolated("astigmatism", 6, rng), np.array([2, 0, 1, 2, 0, 3])
    xyz[3:, 0] += 900
    frames, psf = render("astigmatism", xyz, frame, 5, 60)
    fitter = PsfFitter(psf, 21, (-400, 400))
    start = displaced(xyz, frame, (20.0, 20.0), rng)
    whole = fitter(seen(frames), start)
    monkeypatch.setattr("autods.inference.psf_fit._CPU_BLOCK_PX", 441)
    single = fitter(seen(frames), start)
    np.testing.assert_allclose(whole.z_nm, single.z_nm, atol=2.0)
    np.testing.assert_allclose(whole.photons, single.photons, rtol=0.02)
    assert len(fitter(seen(frames), start.select(np.zeros(6, bool)))) == 0


def test_image_is_the_sum_of_the_fitted_emitters():
    rng = np.random.default_rng(5)
    xyz, frame = isolated("astigmatism", 3, rng), np.array([0, 1, 1])
    frames, psf = render("astigmatism", xyz, frame, 2, 50, noisy=False)
    fitter = PsfFitter(psf, 41, (-400, 400))
    fit = fitter(seen(frames), displaced(xyz, frame, (0.0, 0.0), rng))
    image = fitter.image(fit, (2, 50, 50))
    assert float((image - frames).abs().max()) < 0.02 * float(frames.max())


def test_slopes_are_those_of_the_images():
    renderer = PsfRenderer.fast(PSF_MODELS["astigmatism"](OPTICS), -400.0, 400.0, size_px=21)
    xyz = torch.tensor([[15.3, 14.8, 120.0]])
    windows = PsfWindows((1, 30, 30), torch.zeros(1, dtype=torch.long), xyz, 21, PIXEL_NM)
    image, *slopes = windows.images_and_slopes(renderer.psf)
    for axis, step in ((0, 0.05), (1, 0.05), (2, 5.0)):
        windows.xyz = xyz.clone()
        windows.xyz[0, axis] += step
        moved = windows.images(renderer.psf)
        expected = (moved - image) / (step * (PIXEL_NM if axis < 2 else 1.0))
        assert float((slopes[axis] - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_what_is_not_valid_tells_nothing():
    """Half of each image is saturated: neither its values nor their sign matter, and the error grows."""
    rng = np.random.default_rng(6)
    n = 40
    xyz, frame = isolated("astigmatism", n, rng), np.arange(n)
    frames, psf = render("astigmatism", xyz, frame, n, 50)
    start = displaced(xyz, frame, (30.0, 30.0), rng)
    fitter = PsfFitter(psf, 21, (-400, 400))
    whole = seen(frames)
    valid = torch.ones_like(whole.valid)
    valid[:, :, 27:] = False
    fits = [
        fitted(
            fitter,
            dataclasses.replace(whole, light=torch.where(valid, whole.light, fill), valid=valid),
            start,
        )
        for fill in (1e5, -300.0)
    ]
    np.testing.assert_array_equal(fits[0].z_nm, fits[1].z_nm)
    assert np.median(np.abs(fits[0].x_px * PIXEL_NM - xyz[:, 0])) < 20
    near = xyz[:, 0] / PIXEL_NM > 25
    ratio = (fits[0].uncertainty_px / fitted(fitter, whole, start).uncertainty_px)[near]
    assert np.median(ratio) > 1.2


@pytest.mark.parametrize("z_nm", [-350.0, 350.0])
def test_wide_images_are_not_displaced_in_depth(z_nm):
    exact = PSF_MODELS["astigmatic_gaussian"](
        OpticalSystem(100.0, 660.0, 1.4), sigma_nm=140.0, focus_nm=205.0, depth_nm=290.0
    )
    psf, n = tabulate(exact, -450.0, 450.0, 25.0, 31), 150
    size = fitted_size_px(psf, -400.0, 400.0)
    generator = torch.Generator().manual_seed(3)
    place = 100 * torch.rand(n, 2, generator=generator) - 50
    images = psf(torch.cat([place, torch.full((n, 1), z_nm)], 1), 33)
    frames = torch.poisson(2400 * images.clamp_min(0) + 30, generator=generator)
    start = 16.5 + place / 100
    found = Detections(torch.arange(n), start[:, 0], start[:, 1], torch.ones(n), z_nm=torch.full((n,), z_nm))
    fit = PsfFitter(psf, size, (-450.0, 450.0))(Observation.over_level(frames, Camera(), 30.0), found)
    # A window that cuts the wings off lets the background have them, and depth tends to the middle.
    assert float(fit.z_nm.median()) == pytest.approx(z_nm, abs=12)
    assert float(fit.photons.median()) == pytest.approx(2400, rel=0.04)
