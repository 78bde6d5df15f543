import dataclasses

import numpy as np
import pytest
import torch

from autods.core import Camera, OpticalSystem
from autods.estimation.profile import measure_scene
from autods.estimation.scene import NoiseModel
from autods.inference import Localizer
from autods.io.movie import ArrayMovie
from autods.pipelines.plan import family_cards, load_localizers, make_plan
from autods.pipelines.psf_source import repair
from autods.pipelines.search import find_events
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.streaming import BlockLocalizer, block_length
from tests.pipelines.models import PIXEL_NM, simulate, write_zoo
from tests.pipelines.score import score

CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo"))


def block_localizer(zoo, frames, scope="movie", **settings):
    settings = LocalizeSettings(zoo=zoo, **settings)
    cards = family_cards(settings)
    localizers = load_localizers(cards, settings, "cpu")
    movie, optics = ArrayMovie(frames), OpticalSystem(PIXEL_NM)
    measured = measure_scene(movie, optics, NoiseModel.of_camera(CAMERA))
    plan = make_plan(movie, optics, settings, cards, localizers, measured=measured)
    return BlockLocalizer(
        plan, localizers, CAMERA, measured.scene, scope=scope, gain_known=True, refine=settings.refine
    )


@pytest.mark.parametrize("scope", ["movie", "frame"])
def test_every_emitter_is_found_once_across_seams(zoo, scope):
    frames, truth = simulate(np.random.default_rng(0), shape=(80, 100), per_frame=20, n_frames=20)
    block = block_localizer(zoo, frames, scope, patch_um=2.5)(frames, 0)
    table = block.table
    found = np.column_stack([table.frame, table.x_nm, table.y_nm])
    jaccard, rmse_nm = score(truth, found)
    assert jaccard > 0.97
    assert rmse_nm < 20
    assert block.used.sum() > 0
    order = np.lexsort((table.x_nm, table.y_nm, table.frame))
    assert (order == np.arange(len(order))).all()


@pytest.mark.parametrize(("snr", "kept"), [(3.5, 0.9), (5.0, 0.99)])
def test_frames_without_events_are_told_from_those_with_a_single_emitter(snr, kept):
    rng = np.random.default_rng(1)
    noise = (rng.poisson(30, (400, 60, 60)).astype(np.float32) - 30) / np.sqrt(30)
    assert find_events(noise, 1.1).mean() < 0.15
    photons = snr * np.sqrt(30) * 2 * np.pi * 1.1**2
    single, _ = simulate(rng, 200, (60, 60), 1, photons, 30.0)
    background = single.astype(np.float32)[:, :4].mean()
    spread = single.astype(np.float32)[:, :4].std()
    assert find_events((single.astype(np.float32) - background) / spread, 1.1).mean() > kept
    assert find_events(np.zeros((3, 4, 4), np.float32), 1.1).all()


def test_dim_movies_are_never_skipped(zoo):
    """At a peak of twice the noise a single emitter does not stand out: every frame is looked at."""
    photons = 2 * np.sqrt(30) * 2 * np.pi * 1.1**2
    frames, _ = simulate(np.random.default_rng(5), 60, (60, 60), 8, photons, 30.0)
    assert block_localizer(zoo, frames)(frames, 0).used.sum() == 60
    rng = np.random.default_rng(6)
    empty = (rng.poisson(30, (60, 60, 60)) * 2 + 100).astype(np.uint16)
    assert block_localizer(zoo, empty)(empty, 0).used.sum() < 15


def test_pixels_that_are_not_finite_do_no_harm(zoo):
    frames, truth = simulate(np.random.default_rng(2))
    broken = frames.astype(np.float32)
    broken[:, :2, :5] = np.nan
    table = block_localizer(zoo, broken)(broken, 0).table
    jaccard, _ = score(truth, np.column_stack([table.frame, table.x_nm, table.y_nm]))
    assert jaccard > 0.9
    assert np.isfinite(repair(broken)).all()
    assert repair(np.full((1, 3, 3), np.nan)).tolist() == np.zeros((1, 3, 3)).tolist()


def test_blocks_are_bounded_by_memory_and_by_frames():
    assert block_length((10_000, 512, 512)) == 30
    assert block_length((10_000, 32, 32)) == 256
    assert block_length((10, 8192, 8192)) == 1


def test_rescaled_movies_are_found_where_they_are(zoo):
    """A PSF of twice the models' width, off-centre emitters, a field that is not square: no shift."""
    frames, truth = simulate(
        np.random.default_rng(3), shape=(61, 97), per_frame=4, photons=8000.0, sigma_px=2.2
    )
    table = block_localizer(zoo, frames)(frames, 0).table
    errors = []
    for t, x, y in truth:
        here = table.frame == t
        dx, dy = table.x_nm[here] - x * PIXEL_NM, table.y_nm[here] - y * PIXEL_NM
        near = np.argmin(np.hypot(dx, dy))
        errors.append((dx[near], dy[near]))
    # The network made by analysis is coarse, but half a pixel of its own would be 100 nm here.
    assert np.abs(np.mean(errors, axis=0)).max() < 12
    assert np.sqrt(np.mean(np.square(errors))) < 60


@pytest.mark.parametrize("refine", ["none", "mle"])
def test_predicted_photons_stay_where_no_fit_is_asked_for(zoo, refine):
    frames, _ = simulate(np.random.default_rng(4), n_frames=6, per_frame=3)
    localizer = block_localizer(zoo, frames, refine=refine)
    plain = localizer(frames, 0).table
    seen = []

    def localize(self, block, *arguments):
        seen.append(float(block.median()))
        found = original(self, block, *arguments)
        numbers = torch.ones(len(found))
        return dataclasses.replace(found, photons=1234 * numbers, background=7 * numbers)

    original = Localizer.localize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Localizer, "localize", localize)
        unaware = localizer(frames, 0).table
        assert np.array_equal(unaware.photons, plain.photons)
        assert abs(seen[-1]) < 1  # units of the noise
        for model in localizer._localizers.values():
            model.needs_photons = True
        table = localizer(frames, 0).table
    assert seen[-1] == pytest.approx(30, rel=0.1)
    if refine == "none":
        assert (table.photons == 1234).all()
        assert (table.background == 7).all()
    else:
        assert np.median(table.photons) == pytest.approx(3000, rel=0.05)


def test_refined_positions_are_better_in_order_and_know_their_error(zoo):
    frames, truth = simulate(np.random.default_rng(6), per_frame=4, photons=2000.0)
    tables = {}
    for refine in ("none", "mle"):
        tables[refine] = block_localizer(zoo, frames, refine=refine)(frames, 0).table
    scores = {
        refine: score(truth, np.column_stack([table.frame, table.x_nm, table.y_nm]))
        for refine, table in tables.items()
    }
    assert scores["mle"][0] >= scores["none"][0]
    assert scores["mle"][1] < 0.8 * scores["none"][1]
    table = tables["mle"]
    assert scores["mle"][1] == pytest.approx(np.sqrt(2) * np.median(table.uncertainty_xy_nm), rel=0.2)
    order = np.lexsort((table.x_nm, table.y_nm, table.frame))
    assert (order == np.arange(len(order))).all()
    assert np.median(table.photons) == pytest.approx(2000, rel=0.05)
