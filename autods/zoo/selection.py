"""Which model of a family a patch gets: rules on what was measured and on what the cards say.

The paper's rule (``average``): density gives a difficulty level, the nearest of the cards', SNR gives
another; the model is their average, halves rounding to the harder one. Levels come from the cards' own
numbers, so that a family may have any number of them. Generalists, trained for all conditions at once, have
no level: the rules leave them out wherever there is another model, but for ``auto``, which takes them where
no specialist was trained for a patch. Its density is that which the emitters meet: where a structure fills
a part of the patch only, it is higher than the patch's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from autods.core import UserError
from autods.estimation.patch import PatchProfile
from autods.zoo.card import ModelCard


@dataclass(frozen=True)
class Choice:
    """A chosen model."""

    #: The model.
    card: ModelCard
    #: One line for people.
    reason: str
    #: One line for each measured quantity that lies outside what the family was trained for.
    out_of_range: tuple[str, ...] = ()


#: In training, a part of it on filaments, emitters meet three times the frames' mean density, which is the
#: cards' number; networks find some 70 % of the neighbours.
_MET_OVER_MEAN = 2.2
#: A specialist serves up to these factors beyond the densities, and below and above the SNRs, that it was
#: trained for: up to there it is better than the generalist.
_NEAR_DENSITY, _NEAR_DIM, _NEAR_BRIGHT = 1.5, 1.15, 1.25

#: In training, the brightest emitter of a frame is about this many times as bright as the mean.
_BRIGHTEST_OVER_MEAN = 3.0

#: A rule chooses among the cards of one family, given what was measured.
Rule = Callable[[PatchProfile, Sequence[ModelCard]], Choice]


def by_difficulty(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Order cards from the easiest (sparse, bright) to the hardest (dense, dim).

    Generalists are left out, unless there is nothing else. Raises `UserError` if there is no card.

    Examples
    --------
    >>> from autods.zoo import load_card
    >>> [card.name for card in by_difficulty([load_card("diff_3"), load_card("diff_1")])]
    ['diff_1', 'diff_3']
    """
    if not cards:
        raise UserError("no model to choose from: build the zoo or give another folder")
    specialists = [card for card in cards if not card.generalist]
    return sorted(specialists or cards, key=lambda card: (card.density_per_um2.mean, -card.snr.mean))


def choose_auto(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
    """Choose the average level's specialist where it was trained for the patch, else the family's generalist.

    A specialist is better within its range of densities and signal-to-noise ratios, and worse far outside of
    it. The levels are those of the density that emitters meet, over what they met on average in training.
    Of several generalists, the one of the narrowest range of PSF widths that knows emitters so bright.
    Without generalists: the paper's rule.
    """
    generalists = [card for card in cards if card.generalist]
    if not generalists:
        return choose_average(profile, cards)
    if len(generalists) < len(cards):
        met = profile.met_density_per_um2
        alike = profile if met is None else replace(profile, density_per_um2=met / _MET_OVER_MEAN)
        special = choose_average(alike, cards)
        if _covers(special.card, cards, alike):
            if met is None:
                return special
            return replace(special, reason=f"emitters meet {met:.2f} /um^2, as at {special.reason}")
    generalists.sort(key=lambda card: card.optics.breadth)
    able = [
        n
        for n, card in enumerate(generalists)
        if not profile.brightest_snr > _BRIGHTEST_OVER_MEAN * card.snr.high
    ]
    reason = "{} is made for all conditions"
    if len(generalists) < len(cards):
        reason += ", and the patch is outside the range of the specialist of its level"
    index = able[0] if able else len(generalists) - 1
    return _choice(profile, generalists, index, reason.format(generalists[index].name))


def crowding_decides(profile: PatchProfile, cards: Sequence[ModelCard]) -> bool:
    """Tell whether what `choose_auto` gives a patch may depend on the crowding in it.

    It does not where no specialist was trained for emitters so bright or so dim.
    """
    return any(_covers_snr(card, cards, profile) for card in cards if not card.generalist)


def _covers(card: ModelCard, cards: Sequence[ModelCard], profile: PatchProfile) -> bool:
    """Tell whether a specialist's training covers density and SNR of a patch, or nearly so."""
    density = card.density_per_um2
    is_near = density.low / _NEAR_DENSITY <= profile.density_per_um2 <= density.high * _NEAR_DENSITY
    return is_near and _covers_snr(card, cards, profile)


def _covers_snr(card: ModelCard, cards: Sequence[ModelCard], profile: PatchProfile) -> bool:
    # Emitters brighter than any specialist knows are found, but their errors overstated.
    brightest = max(other.snr.high for other in cards if not other.generalist)
    return card.snr.low / _NEAR_DIM <= profile.snr <= min(card.snr.high * _NEAR_BRIGHT, brightest)


def choose_average(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
    """Choose by the mean of the density's and the SNR's level, halves to the harder (the paper's rule)."""
    ordered = by_difficulty(cards)
    density, snr = _density_level(profile, ordered), _snr_level(profile, ordered)
    if density is None or snr is None:
        return _choose_known(profile, ordered, density, snr)
    level = (density + snr + 1) // 2
    reason = f"{_density_text(profile, density)}, {_snr_text(profile, snr)}: average level {level + 1}"
    return _choice(profile, ordered, level, reason)


def choose_by_density(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
    """Choose the card of the nearest density."""
    ordered = by_difficulty(cards)
    level = _density_level(profile, ordered)
    if level is None:
        return _choose_known(profile, ordered, None, None)
    return _choice(profile, ordered, level, _density_text(profile, level))


def choose_by_snr(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
    """Choose the card of the nearest SNR."""
    ordered = by_difficulty(cards)
    level = _snr_level(profile, ordered)
    if level is None:
        return _choose_known(profile, ordered, _density_level(profile, ordered), None)
    return _choice(profile, ordered, level, _snr_text(profile, level))


def choose_nearest(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
    """Choose the nearest card in (density, SNR), each in units of the spread of the family's means."""
    ordered = by_difficulty(cards)
    if not (math.isfinite(profile.density_per_um2) and math.isfinite(profile.snr)):
        return choose_average(profile, cards)
    density_unit = _spread([card.density_per_um2.mean for card in ordered])
    snr_unit = _spread([card.snr.mean for card in ordered])

    def distance(level: int) -> float:
        card = ordered[level]
        return math.hypot(
            (profile.density_per_um2 - card.density_per_um2.mean) / density_unit,
            (profile.snr - card.snr.mean) / snr_unit,
        )

    level = _nearest_index([distance(level) for level in range(len(ordered))])
    reason = (
        f"nearest to density {profile.density_per_um2:.2f} /um^2 and SNR {profile.snr:.1f}"
        f" (distance {distance(level):.2f} of the family's spread)"
    )
    return _choice(profile, ordered, level, reason)


def oracle(cards: Sequence[ModelCard], score: Callable[[ModelCard], float]) -> Choice:
    """Choose the card of the highest score, for benchmarks that know the truth; ties: the easier."""
    ordered = by_difficulty(cards)
    scores = [score(card) for card in ordered]
    best = max(range(len(ordered)), key=lambda level: scores[level])
    return Choice(ordered[best], f"oracle: best score {scores[best]:.4g} of {len(ordered)} models")


#: Rules that choose by level, and so among specialists only.
_BY_LEVEL = ("average", "density", "snr", "nearest")
#: Group of entry points under which installed packages offer rules of their own.
RULES_GROUP = "autods.selection_rules"

#: The rules by name; ``fixed:<name>`` is understood by :func:`find_rule` besides.
SELECTION_RULES: dict[str, Rule] = {
    "auto": choose_auto,
    "average": choose_average,
    "density": choose_by_density,
    "snr": choose_by_snr,
    "nearest": choose_nearest,
}


def find_rule(name: str) -> Rule:
    """Return the rule called ``name``.

    That is one of SELECTION_RULES, ``fixed:<model>`` for one model only, or one that an installed package
    offers as an entry point of the group ``autods.selection_rules``. Raises `UserError` if there is no such
    rule. The fixed rule raises it when the model is not among the cards.

    Examples
    --------
    >>> find_rule("average").__name__
    'choose_average'
    >>> find_rule("mean")
    Traceback (most recent call last):
    autods.core.errors.UserError: selection=mean: use one of auto, average, density, ...
    """
    if name in SELECTION_RULES:
        return SELECTION_RULES[name]
    kind, _, model = name.partition(":")
    if kind == "fixed" and model:
        return _fixed(model)
    installed = entry_points(group=RULES_GROUP)
    if name in installed.names:
        rule: Rule = installed[name].load()
        return rule
    known = ", ".join([*SELECTION_RULES, *sorted(installed.names)])
    raise UserError(f"selection={name}: use one of {known} or fixed:<model>")


def eligible(name: str, cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Return the cards that the rule called ``name`` can choose, in the order of ``cards``.

    Raises `UserError` if there is none: the zoo is empty, or the fixed model is not in it.
    """
    kind, _, model = name.partition(":")
    if kind == "fixed":
        return [_named(model, cards)]
    levels = by_difficulty(cards)
    if name not in _BY_LEVEL:
        return list(cards)
    return [card for card in cards if card in levels]


def _fixed(model: str) -> Rule:
    def choose(profile: PatchProfile, cards: Sequence[ModelCard]) -> Choice:
        return _choice(profile, [_named(model, cards)], 0, f"fixed to {model}")

    return choose


def _named(model: str, cards: Sequence[ModelCard]) -> ModelCard:
    for card in cards:
        if card.name == model:
            return card
    names = ", ".join(card.name for card in cards)
    raise UserError(f"selection=fixed:{model}: no such model, use one of {names}")


def _choice(profile: PatchProfile, ordered: list[ModelCard], level: int, reason: str) -> Choice:
    return Choice(ordered[level], reason, out_of_range(profile, ordered))


def _choose_known(
    profile: PatchProfile, ordered: list[ModelCard], density: int | None, snr: int | None
) -> Choice:
    """Choose from what could be measured; from nothing, the middle of the family (the harder of two)."""
    if density is not None:
        return _choice(
            profile, ordered, density, f"{_density_text(profile, density)}; SNR could not be measured"
        )
    if snr is not None:
        reason = f"{_snr_text(profile, snr)}; density could not be measured"
        return _choice(profile, ordered, snr, reason)
    return _choice(profile, ordered, len(ordered) // 2, "nothing could be measured: middle of the family")


def out_of_range(profile: PatchProfile, cards: Sequence[ModelCard]) -> tuple[str, ...]:
    """Say, a line each, which measured quantities lie outside the joint training range of the cards."""
    measured = {
        "density": (profile.density_per_um2, " /um^2", [card.density_per_um2 for card in cards]),
        "SNR": (profile.snr, "", [card.snr for card in cards]),
    }
    lines = []
    for name, (value, unit, spans) in measured.items():
        low, high = min(span.low for span in spans), max(span.high for span in spans)
        if math.isfinite(value) and not low <= value <= high:
            lines.append(f"{name} {value:.2g}{unit} is outside the models' range {low:.2g}-{high:.2g}{unit}")
    return tuple(lines)


def _density_level(profile: PatchProfile, ordered: list[ModelCard]) -> int | None:
    return _nearest_level(profile.density_per_um2, [card.density_per_um2.mean for card in ordered])


def _snr_level(profile: PatchProfile, ordered: list[ModelCard]) -> int | None:
    return _nearest_level(profile.snr, [card.snr.mean for card in ordered])


def _nearest_level(value: float, means: list[float]) -> int | None:
    """Index of the nearest mean, the harder of two that are equally near; None for an unknown value."""
    if not math.isfinite(value):
        return None
    return _nearest_index([abs(value - mean) for mean in means])


def _nearest_index(distances: list[float]) -> int:
    """Index of the smallest distance; of equal ones the last, which is the hardest model."""
    smallest = min(distances)
    return max(
        level for level, distance in enumerate(distances) if math.isclose(distance, smallest, abs_tol=1e-12)
    )


def _spread(means: list[float]) -> float:
    """Range of the means; where they agree, their size, so that the distance stays relative."""
    return (max(means) - min(means)) or abs(means[0]) or 1.0


def _density_text(profile: PatchProfile, level: int) -> str:
    return f"density {profile.density_per_um2:.2f} /um^2 is level {level + 1}"


def _snr_text(profile: PatchProfile, level: int) -> str:
    return f"SNR {profile.snr:.1f} is level {level + 1}"
