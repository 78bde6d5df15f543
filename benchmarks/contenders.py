"""What takes part in a comparison: a family of models with a selection rule, run as users run it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera, LocalizationTable, UserError
from autods.pipelines.autods import localize
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings, Refine
from autods.zoo import list_models, load_card
from autods.zoo.card import ModelCard

Family = Literal["heatmap", "mixture"]
FAMILIES: tuple[Family, ...] = ("heatmap", "mixture")


@dataclass(frozen=True)
class Contender:
    """A family with a selection rule, its positions refined or not.

    Parameters
    ----------
    family
        ``heatmap`` or ``mixture``.
    selection, refine
        As of :class:`~autods.pipelines.settings.LocalizeSettings`.
    """

    family: Family
    selection: str = "auto"
    refine: Refine = "none"

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Read ``family``, ``family/selection``, and either with ``+mle`` for refined positions.

        Raises
        ------
        UserError
            If it has another form.
        """
        model, plus, refine = text.partition("+")
        family, _, selection = model.partition("/")
        if family not in FAMILIES or (plus and refine != "mle"):
            raise UserError(
                f"contender {text!r}: write heatmap or mixture, with /RULE for another selection, with +mle"
                " for refined positions"
            )
        return cls(family, selection or "auto", "mle" if plus else "none")

    @property
    def name(self) -> str:
        """As it is written."""
        rule = "" if self.selection == "auto" else f"/{self.selection}"
        return f"{self.family}{rule}{'' if self.refine == 'none' else f'+{self.refine}'}"


def available(names: list[str], zoo: Path | None) -> tuple[list[Contender], list[str]]:
    """Return the contenders that the zoo can field, and a line for each of the others.

    Raises
    ------
    UserError
        If the zoo can field none of them.
    """
    cards = zoo_cards(zoo)
    fielded, notes = [], []
    for contender in map(Contender.parse, names):
        fixed = contender.selection.removeprefix("fixed:") if "fixed:" in contender.selection else None
        if any(card.family == contender.family and fixed in (None, card.name) for card in cards):
            fielded.append(contender)
        else:
            notes.append(f"{contender.name} is left out: the zoo holds no such model.")
    if not fielded:
        raise UserError(f"the zoo holds no model for {', '.join(names)}: give another folder with zoo=DIR")
    return fielded, notes


def zoo_cards(zoo: Path | None) -> list[ModelCard]:
    """Return the cards of the 2D models of a zoo, none when it is empty."""
    cards = [load_card(name, zoo) for name in list_models(zoo)]
    return [card for card in cards if card.family in FAMILIES]


def by_family(cards: Sequence[ModelCard]) -> dict[Family, list[ModelCard]]:
    """Sort cards by their family; families without cards are left out."""
    families = {family: [card for card in cards if card.family == family] for family in FAMILIES}
    return {family: members for family, members in families.items() if members}


def settings_for(
    contender: Contender, pixel_size_nm: float, camera: Camera, zoo: Path | None, device: str
) -> LocalizeSettings:
    """Return one-click settings: the camera and the pixel size are known, nothing else is given."""
    known = {field.name for field in dataclasses.fields(CameraSettings)}
    numbers: dict[str, Any] = {name: value for name, value in vars(camera).items() if name in known}
    return LocalizeSettings(
        optics=OpticsSettings(pixel_size_nm),
        camera=CameraSettings(**numbers),
        selection=contender.selection,
        refine=contender.refine,
        family=contender.family,
        zoo=zoo,
        device=device,
    )


def timed_localize(
    movie: Path | NDArray[np.generic], settings: LocalizeSettings
) -> tuple[LocalizationTable, float]:
    """Localize without writing anything; return the table and the seconds it took, loading included."""
    start = time.perf_counter()
    table = localize(movie, settings)
    return table, time.perf_counter() - start
