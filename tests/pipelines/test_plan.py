import dataclasses
from collections import Counter

import numpy as np
import pytest

from autods.core import OpticalSystem, UserError
from autods.inference import Localizer, Rescaling
from autods.io.movie import ArrayMovie
from autods.pipelines.plan import (
    as_wide,
    choose,
    family_cards,
    load_localizers,
    make_plan,
    patch_rows,
    plan_to_dict,
)
from autods.pipelines.settings import LocalizeSettings
from autods.zoo import CardOptics, find_rule, load_card, load_model, save_model
from tests.pipelines.models import PIXEL_NM, SIGMA_PX, simulate, write_zoo
from tests.zoo.cards import make_card, make_profile

OPTICS = OpticalSystem(PIXEL_NM)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo"))


def planned(zoo, frames, optics=OPTICS, **settings):
    settings = LocalizeSettings(zoo=zoo, **settings)
    cards = family_cards(settings)
    localizers = load_localizers(cards, settings, "cpu")
    return make_plan(ArrayMovie(frames), optics, settings, cards, localizers)


def test_windows_hold_the_margin_of_the_widest_rescaling(zoo):
    frames, _ = simulate(np.random.default_rng(0), shape=(70, 90), sigma_px=2.2)
    plan = planned(zoo, frames, patch_um=3.0)
    assert plan.profile.psf_sigma_px == pytest.approx(2.2, rel=0.05)
    rescaling = plan.rescalings["level_1"]
    assert rescaling.zoom == pytest.approx(SIGMA_PX / plan.profile.psf_sigma_px)
    assert len(plan.patches) == 6
    inner = [tile for tile in plan.tiles if tile.core[0] > 9]  # windows end at the border of the field
    assert inner
    for tile in inner:
        assert tile.core[0] - tile.window[0] == rescaling.margin_px(2)


def test_rescaling_turned_off_or_by_the_optics(zoo):
    frames, _ = simulate(np.random.default_rng(1), sigma_px=2.0)
    assert planned(zoo, frames, rescale=False).rescalings["level_1"].is_identity
    plain, _ = simulate(np.random.default_rng(1))
    # The models' cards state no wavelength, so that widths are compared, whatever the movie states.
    stated = planned(zoo, plain, OpticalSystem(PIXEL_NM, 700.0, 1.0))
    assert stated.rescalings["level_1"].is_identity


def test_models_that_know_the_width_come_first():
    narrow = make_card("narrow", 1.0, 8.0, optics=CardOptics(100.0, 110.0, 88.0, 140.0))
    broad = make_card("broad", 1.0, 8.0, optics=CardOptics(100.0, 120.0, 60.0, 250.0))
    one = make_card("one", 1.0, 8.0, optics=CardOptics(100.0, 110.0))
    for sigma_px, names in {
        1.1: ["narrow", "broad", "one"],
        1.45: ["narrow", "broad"],  # within the tolerance that no rescaling is done for
        2.0: ["broad"],
        4.0: ["narrow", "broad", "one"],  # none: all are rescaled
    }.items():
        assert [card.name for card in as_wide([narrow, broad, one], sigma_px)] == names, sigma_px


def test_crowding_and_noise_count_as_the_network_sees_them(zoo):
    cards = family_cards(LocalizeSettings(zoo=zoo))
    profile = make_profile(density=0.5, snr=8.0)
    rule = find_rule("average")
    same = choose(rule, cards, profile, Rescaling(), OPTICS, SIGMA_PX)
    assert same.card.name == "level_1"
    assert "scale" not in same.reason
    # Twice the pixel: four times the emitters in a network pixel.
    coarse = choose(find_rule("density"), cards, profile, Rescaling(), OpticalSystem(200.0), SIGMA_PX)
    assert coarse.card.name == "level_4"
    assert "at the model's scale" in coarse.reason
    # Half the pixel, downsampled to the model's: density as it is, twice the signal-to-noise ratio.
    fine = make_profile(density=1.0, snr=2.5)
    zoomed = choose(find_rule("snr"), cards, fine, Rescaling(zoom=0.5), OpticalSystem(50.0), 2 * SIGMA_PX)
    assert zoomed.card.name == "level_2"
    assert choose(find_rule("snr"), cards, fine, Rescaling(), OPTICS, SIGMA_PX).card.name == "level_4"


def test_a_fixed_model_is_the_only_one_loaded(zoo):
    settings = LocalizeSettings(zoo=zoo, selection="fixed:level_3")
    localizers = load_localizers(family_cards(settings), settings, "cpu")
    assert list(localizers) == ["level_3"]
    assert isinstance(localizers["level_3"], Localizer)
    frames, _ = simulate(np.random.default_rng(2))
    plan = planned(zoo, frames, selection="fixed:level_3")
    assert {patch.choice.card.name for patch in plan.patches} == {"level_3"}


def test_specialists_and_the_generalist_of_the_family_are_the_default(zoo, tmp_path):
    for name in ("level_1", "level_4"):
        card = load_card(name, zoo)
        general = dataclasses.replace(card, generalist=name == "level_4")
        save_model(general, load_model(card), tmp_path / name)
    assert [card.name for card in family_cards(LocalizeSettings(zoo=tmp_path))] == ["level_1", "level_4"]
    chosen = family_cards(LocalizeSettings(zoo=tmp_path, selection="nearest"))
    assert [card.name for card in chosen] == ["level_1"]


def test_unknown_models_families_and_folders_are_refused(zoo, tmp_path):
    settings = LocalizeSettings(zoo=zoo, selection="fixed:level_9")
    with pytest.raises(UserError, match="level_9"):
        load_localizers(family_cards(settings), settings, "cpu")
    with pytest.raises(UserError, match="mixture"):
        family_cards(LocalizeSettings(zoo=zoo, family="mixture"))
    with pytest.raises(UserError, match="no model"):
        family_cards(LocalizeSettings(zoo=tmp_path))


def test_the_plan_is_told_in_full_frame_coordinates(zoo):
    frames, _ = simulate(np.random.default_rng(3), shape=(40, 80))
    plan = planned(zoo, frames, patch_um=4.0)
    rows = patch_rows(plan, [Counter({"level_2": 5, "level_1": 2}), Counter()], (10, 200))
    assert rows[0].core == (10, 200, 50, 240)
    assert rows[0].model == "level_2"
    assert rows[1].model is None
    assert rows[1].reason == "no emission events"
    content = plan_to_dict(plan, LocalizeSettings(zoo=zoo), [], rows)
    assert content["patches"][1]["core_px"] == [10, 240, 50, 280]
    assert set(content["models"]) == {"level_1", "level_2", "level_3", "level_4"}
