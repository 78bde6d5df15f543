import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from autods.core import Camera, OpticalSystem
from autods.inference import Localizer, Rescaling
from autods.inference.localizer import CORE_PX
from autods.inference.places import COVERED_PX, Places, correlate_psf, cover, find_places
from autods.io.movie import ArrayMovie
from autods.pipelines.autods import localize
from autods.pipelines.search import Search
from autods.pipelines.settings import LocalizeSettings
from autods.zoo import load_cards
from tests.pipelines.models import simulate

SIGMA_PX = 1.1


def white_movie(per_frame, n_frames=6, shape=(120, 140), photons=1200.0):
    frames, truth = simulate(np.random.default_rng(3), n_frames, shape, per_frame, photons, 30.0)
    values = (frames.astype(np.float32) - 100) / 2
    return ((values - 30) / np.sqrt(30)).astype(np.float32), truth


def test_the_filter_keeps_white_noise_and_tells_an_emitters_significance():
    noise = np.random.default_rng(0).standard_normal((4, 100, 100)).astype(np.float32)
    assert correlate_psf(noise, SIGMA_PX)[:, 8:-8, 8:-8].std() == pytest.approx(1, abs=0.03)
    y, x = np.mgrid[:41, :41] - 20
    spot = np.exp(-0.5 * (x**2 + y**2) / SIGMA_PX**2).astype(np.float32)[None]
    expected = np.sqrt((spot**2).sum())
    assert correlate_psf(spot, SIGMA_PX).max() == pytest.approx(expected, rel=0.02)


def test_every_maximum_is_covered_once():
    rng = np.random.default_rng(1)
    response = rng.standard_normal((3, 50, 60)).astype(np.float32) * 4
    places = find_places(response, 3.0)
    kept = cover(places, response.shape)
    assert (response[places.frame, places.row, places.column] == places.height).all()
    points, middles = (np.column_stack([p.frame * 1000, p.row, p.column]) for p in (places, kept))
    distance, nearest = cKDTree(middles).query(points, p=np.inf)
    assert distance.max() <= COVERED_PX
    assert (kept.height[nearest][distance > 0] > 0).all()
    between = cKDTree(middles).query(middles, 2, p=np.inf)[0][:, 1]
    assert between.min() > COVERED_PX


@pytest.mark.parametrize("name", ["mixture_general", "mixture_wide"])
def test_windows_find_what_the_whole_field_shows(name):
    """At the border of the field too; what is as high as the places that were looked at."""
    white, truth = white_movie(per_frame=12)
    card = next(card for card in load_cards(None, "mixture") if card.name == name)
    localizer = Localizer.from_card(card)
    frames = torch.from_numpy(white)
    places = cover(find_places(correlate_psf(white, SIGMA_PX), 5.0), white.shape)
    assert localizer.sees_windows(Rescaling(), white.shape[1:])
    assert not localizer.sees_windows(Rescaling(zoom=0.5), white.shape[1:])
    whole = localizer.localize(frames, psf_sigma_px=SIGMA_PX)
    windows = localizer.localize_at(frames, places, SIGMA_PX)
    seen = correlate_psf(white, SIGMA_PX)[whole.frame, whole.y_px.long(), whole.x_px.long()]
    sure = whole.select((whole.confidence > 0.7) & torch.from_numpy(seen > 5))
    points = [torch.stack([f.frame * 1e4, f.y_px, f.x_px], 1).numpy() for f in (sure, windows)]
    distance = cKDTree(points[1]).query(points[0])[0]
    assert len(sure) > 0.9 * len(truth)
    assert distance.max() < 0.02
    near = np.column_stack([places.frame * 1e4, places.row + 0.5, places.column + 0.5])
    assert cKDTree(near).query(points[1], p=np.inf)[0].max() <= CORE_PX + 2


@pytest.mark.slow
@pytest.mark.parametrize(("per_frame", "side_px"), [(9, 180), (40, 120)])
def test_a_movie_is_localized_alike_with_and_without_windows(monkeypatch, per_frame, side_px):
    """Several patches: no emitter at a seam is lost or doubled."""
    frames, truth = simulate(np.random.default_rng(5), 40, (side_px, side_px), per_frame, 1500.0, 30.0)
    settings = LocalizeSettings(optics=OpticalSystem(100.0), camera=Camera(offset_adu=100.0, e_per_adu=0.5))
    windows = localize(ArrayMovie(frames), settings)
    monkeypatch.setattr(Search, "_places", lambda *_: None)
    whole = localize(ArrayMovie(frames), settings)
    assert len(whole) > 0.9 * len(truth)
    assert abs(len(windows) - len(whole)) <= 0.004 * len(whole)
    points = [np.column_stack([t.frame * 1e6, t.x_nm, t.y_nm]) for t in (whole, windows)]
    distance = cKDTree(points[1]).query(points[0])[0]
    assert (distance < 3).mean() > 0.99


def test_places_that_are_alone_have_no_other_of_their_frame_near():
    rng = np.random.default_rng(0)
    frame, row, column = rng.integers(0, 3, 60), rng.integers(0, 50, 60), rng.integers(0, 50, 60)
    places = Places(frame, row, column, np.ones(60, np.float32))
    distance = np.hypot(row[:, None] - row, column[:, None] - column)
    near = (distance <= 6) & (frame[:, None] == frame)
    assert np.array_equal(places.are_alone(6.0), near.sum(1) == 1)
