import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.core import UserError
from autods.zoo import CardOptics, ModelCard, Span
from autods.zoo.selection import SELECTION_RULES, crowding_decides, eligible, find_rule, oracle
from tests.zoo.cards import TABLE_2, make_card, make_profile, table_2


@pytest.mark.parametrize(
    ("density", "snr", "expected"),
    [
        (0.5, 8.0, "diff_1"),
        (1.0, 6.0, "diff_2"),
        (1.5, 4.0, "diff_3"),
        (2.0, 2.0, "diff_4"),
        (0.01, 50.0, "diff_1"),
        (6.0, 0.5, "diff_4"),
        (0.5, 6.0, "diff_2"),  # levels 1 and 2: the half rounds to the harder
        (0.5, 4.0, "diff_2"),
        (0.5, 2.0, "diff_3"),  # 2.5
        (2.0, 8.0, "diff_3"),  # 2.5
        (1.5, 2.0, "diff_4"),  # 3.5
        (0.75, 8.0, "diff_2"),  # density half-way between levels 1 and 2: 2, then 1.5
        (0.5, 7.0, "diff_2"),  # SNR half-way likewise
    ],
)
def test_average_follows_table_2(density: float, snr: float, expected: str) -> None:
    assert SELECTION_RULES["average"](make_profile(density, snr), table_2()).card.name == expected


def test_order_of_the_cards_and_their_names_do_not_matter() -> None:
    cards = [make_card(name, d, s) for name, d, s in [("z", 0.5, 8), ("a", 2.0, 2), ("m", 1.0, 5)]]
    chosen = [
        SELECTION_RULES["average"](make_profile(1.0, 5.0), order).card.name for order in (cards, cards[::-1])
    ]
    assert chosen == ["m", "m"]


def test_density_and_snr_rules_look_at_their_own_number_only() -> None:
    profile = make_profile(0.5, 2.0)
    assert SELECTION_RULES["density"](profile, table_2()).card.name == "diff_1"
    assert SELECTION_RULES["snr"](profile, table_2()).card.name == "diff_4"


def test_nearest_uses_the_plane() -> None:
    cards = [
        make_card("sparse_dim", 0.5, 2.0),
        make_card("sparse_bright", 0.5, 8.0),
        make_card("dense", 2.0, 5.0),
    ]
    assert SELECTION_RULES["nearest"](make_profile(0.6, 3.0), cards).card.name == "sparse_dim"
    assert SELECTION_RULES["nearest"](make_profile(0.6, 7.0), cards).card.name == "sparse_bright"
    assert SELECTION_RULES["nearest"](make_profile(1.9, 3.0), cards).card.name == "dense"


@pytest.mark.parametrize("rule", sorted(SELECTION_RULES))
def test_a_family_of_one_is_always_chosen(rule: str) -> None:
    card = make_card("only", 1.0, 5.0)
    for profile in (make_profile(0.1, 20.0), make_profile(math.nan, math.nan), make_profile(1.0, math.nan)):
        choice = SELECTION_RULES[rule](profile, [card])
        assert choice.card is card
        assert choice.reason


@pytest.mark.parametrize("rule", sorted(SELECTION_RULES))
def test_unknown_snr_falls_back_on_density_and_says_so(rule: str) -> None:
    choice = SELECTION_RULES[rule](make_profile(2.0, math.nan), table_2())
    assert choice.card.name == "diff_4"
    assert rule == "density" or "could not be measured" in choice.reason


def test_fixed_rule() -> None:
    assert find_rule("fixed:diff_3")(make_profile(0.5, 8.0), table_2()).card.name == "diff_3"
    with pytest.raises(UserError, match="fixed:diff_9"):
        find_rule("fixed:diff_9")(make_profile(0.5, 8.0), table_2())
    for name in ("best", "fixed:", "fixed"):
        with pytest.raises(UserError, match="selection="):
            find_rule(name)


def test_patch_outside_the_training_range_is_flagged() -> None:
    rule = SELECTION_RULES["average"]
    assert rule(make_profile(1.0, 5.0), table_2()).out_of_range == ()
    flags = rule(make_profile(5.0, 0.5), table_2()).out_of_range
    assert len(flags) == 2
    assert "density 5" in flags[0]
    assert "SNR 0.5" in flags[1]


def test_oracle_takes_the_best_score() -> None:
    scores = {"diff_1": 0.3, "diff_2": 0.7, "diff_3": 0.7, "diff_4": 0.1}
    assert oracle(table_2(), lambda card: scores[card.name]).card.name == "diff_2"


def test_no_cards() -> None:
    with pytest.raises(UserError, match="no model"):
        SELECTION_RULES["average"](make_profile(1.0, 5.0), [])


#: What emitters meet over the mean density, in training and to the eyes of a network.
MET = 2.2


def with_generalist() -> list[ModelCard]:
    wide = Span(1.5, 0.0, 7.0)
    general = make_card("general", 1.4, 4.5, density_per_um2=wide, generalist=True)
    return [general, *table_2()]


@pytest.mark.parametrize("rule", sorted(set(SELECTION_RULES) - {"auto"}))
@pytest.mark.parametrize(("density", "snr"), [(0.5, 8.0), (1.4, 4.5), (2.0, 2.0), (math.nan, math.nan)])
def test_a_generalist_beside_specialists_changes_no_choice(rule: str, density: float, snr: float) -> None:
    profile = make_profile(density, snr)
    assert SELECTION_RULES[rule](profile, with_generalist()) == SELECTION_RULES[rule](profile, table_2())
    assert oracle(with_generalist(), lambda card: float(card.generalist)).card.name == "diff_1"
    assert [card.name for card in eligible(rule, with_generalist())] == list(TABLE_2)


@pytest.mark.parametrize(
    ("density", "snr", "name"),
    [
        (0.5, 8.0, "diff_1"),
        (1.5, 4.0, "diff_3"),
        (2.9, 2.5, "diff_4"),  # within 1.5 times its range
        (8.0, 4.0, "general"),  # much denser
        (1.5, 7.0, "diff_3"),  # up to 1.25 times brighter than it knows
        (1.8, 7.7, "general"),
        (0.5, 13.0, "general"),  # not beyond what the brightest specialist knows
        (2.0, 0.9, "diff_4"),  # up to 1.15 times dimmer
        (2.0, 0.8, "general"),
        (1.5, 40.0, "general"),
        (math.nan, math.nan, "general"),
    ],
)
def test_auto_takes_a_specialist_within_its_range_and_else_the_generalist(
    density: float, snr: float, name: str
) -> None:
    profile = make_profile(density, snr)
    for crowding in (None, MET):
        known = dataclasses.replace(profile, crowding=crowding)
        assert find_rule("auto")(known, with_generalist()).card.name == name


def test_auto_looks_at_the_density_that_emitters_meet() -> None:
    profile = dataclasses.replace(make_profile(0.7, 8.0), crowding=2.0 * MET)
    assert find_rule("auto")(profile, with_generalist()).card.name == "diff_2"
    assert find_rule("average")(profile, with_generalist()).card.name == "diff_1"
    profile = dataclasses.replace(profile, crowding=12.0 * MET)
    assert find_rule("auto")(profile, with_generalist()).card.name == "general"


@given(
    st.floats(0.01, 10), st.one_of(st.floats(0.1, 60), st.just(math.nan)), st.floats(0.05, 30), st.booleans()
)
def test_where_crowding_does_not_decide_it_changes_nothing(
    density: float, snr: float, crowding: float, has_specialists: bool
) -> None:
    cards = with_generalist() if has_specialists else with_generalist()[:1]
    profile = make_profile(density, snr)
    if not crowding_decides(profile, cards):
        met = dataclasses.replace(profile, crowding=crowding)
        assert find_rule("auto")(met, cards) == find_rule("auto")(profile, cards)


def test_crowding_decides_where_a_specialist_knows_the_brightness() -> None:
    assert crowding_decides(make_profile(0.7, 8.0), with_generalist())
    assert not crowding_decides(make_profile(0.7, 40.0), with_generalist())


def test_auto_without_generalist_or_without_specialists() -> None:
    rule = find_rule("auto")
    for profile in (make_profile(0.5, 8.0), make_profile(math.nan, math.nan)):
        assert rule(profile, table_2()) == SELECTION_RULES["average"](profile, table_2())
        assert rule(profile, with_generalist()[:1]).card.name == "general"
    assert "outside" in rule(make_profile(9.0, 5.0), with_generalist()).out_of_range[0]
    assert eligible("auto", with_generalist()) == with_generalist()
    assert [card.name for card in eligible("auto", table_2())] == list(TABLE_2)


def test_of_two_generalists_auto_takes_the_narrower_up_to_its_brightness() -> None:
    broad = CardOptics(100.0, 120.0, 60.0, 250.0)
    wide, narrow = (
        dataclasses.replace(make_card(name, 1.4, 8.0, generalist=True), snr=Span(8.0, 1.0, brightest))
        for name, brightest in (("wide", 5000.0), ("narrow", 100.0))
    )
    wide = dataclasses.replace(wide, optics=broad)
    profile = make_profile(1.8, 7.7)
    for brightest, name in ((math.nan, "narrow"), (250.0, "narrow"), (400.0, "wide"), (1e5, "wide")):
        seen = dataclasses.replace(profile, brightest_snr=brightest)
        for cards in ([wide, narrow], [narrow, wide], [narrow, wide, *table_2()]):
            choice = find_rule("auto")(seen, cards)
            assert choice.card.name == name
            assert ("specialist" in choice.reason) == (len(cards) > 2)


def test_a_generalist_can_be_fixed_and_is_better_than_nothing() -> None:
    profile = make_profile(1.0, 5.0)
    assert find_rule("fixed:general")(profile, with_generalist()).card.name == "general"
    assert [card.name for card in eligible("fixed:general", with_generalist())] == ["general"]
    only = [card for card in with_generalist() if card.generalist]
    assert SELECTION_RULES["average"](profile, only).card.name == "general"
    assert eligible("snr", only) == only
