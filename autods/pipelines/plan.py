"""What a run is going to do: the patches, the model of each with the reason, and how frames are rescaled."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autods.core import OpticalSystem
from autods.estimation.patch import PatchProfile
from autods.estimation.profile import Measured, MovieProfile, measure_scene, profile_movie
from autods.estimation.scene import WhiteMovie
from autods.inference import Localizer, Rescaling, Tile, patch_size_px, plan_rescaling, tile_field
from autods.inference.rescaling import WIDTH_TOLERANCE
from autods.io.movie import Movie
from autods.pipelines.crowding import with_crowding
from autods.pipelines.html_report import PatchRow
from autods.pipelines.settings import LocalizeSettings, rows_to_plan
from autods.zoo import Choice, ModelCard, find_rule, load_cards
from autods.zoo.selection import Rule, crowding_decides, eligible

#: Families from the best on.
FAMILIES = ("mixture", "heatmap")
#: Least side of a movie that can be measured, px.
MIN_SIDE_PX = 5


@dataclass(frozen=True)
class PatchPlan:
    """One patch: its tile in the (cropped) movie, what was measured there, and the model it gets."""

    tile: Tile
    profile: PatchProfile
    choice: Choice


@dataclass(frozen=True)
class Plan:
    """The decisions of a run."""

    #: All patches, in the order of the tiles.
    patches: tuple[PatchPlan, ...]
    #: What was measured on the movie.
    profile: MovieProfile
    #: The models to choose from.
    cards: tuple[ModelCard, ...]
    #: The selection rule, for choices per frame.
    rule: Rule
    #: By model: how frames are brought to its optics.
    rescalings: Mapping[str, Rescaling]
    #: PSF standard deviation for the fit of the photons, px.
    psf_sigma_px: float
    #: The movie's optics.
    optics: OpticalSystem

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The patches' tiles."""
        return tuple(patch.tile for patch in self.patches)

    def choose(self, profile: PatchProfile) -> Choice:
        """Apply the selection rule to a patch as the networks will see it."""
        card = self.cards[0]
        return choose(
            self.rule, self.cards, profile, self.rescalings[card.name], self.optics, self.psf_sigma_px
        )


def family_cards(settings: LocalizeSettings) -> tuple[ModelCard, ...]:
    """Return the models that the rule can choose: of the wanted family, else of the best in the zoo.

    Raises `UserError` if the zoo holds none.
    """
    cards = [card for card in load_cards(settings.zoo, settings.family) if card.family in FAMILIES]
    if not settings.selection.startswith("fixed:"):
        best = min((FAMILIES.index(card.family) for card in cards), default=0)
        cards = [card for card in cards if card.family == FAMILIES[best]]
    return tuple(eligible(settings.selection, cards))


def as_wide(cards: Sequence[ModelCard], psf_sigma_px: float) -> list[ModelCard]:
    """Return the models that know the PSF's width, all of them where none does."""
    fitting = [
        card
        for card in cards
        if abs(card.optics.nearest_sigma_px(psf_sigma_px) / psf_sigma_px - 1) <= WIDTH_TOLERANCE
    ]
    return fitting or list(cards)


def rescale_for(card: ModelCard, profile: MovieProfile, optics: OpticalSystem, *, enabled: bool) -> Rescaling:
    """Compare like with like: eq. 2 where movie and card state wavelength and aperture, else widths.

    Parameters
    ----------
    card
        The model.
    profile, optics
        What was measured on the movie, and what is known of its microscope.
    enabled
        False: no rescaling.
    """
    trained = card.optics
    trained_system = OpticalSystem(trained.pixel_size_nm, trained.wavelength_nm, trained.na)
    movie_sigma, model_sigma = optics.airy_sigma_px, trained_system.airy_sigma_px
    if movie_sigma is None or model_sigma is None:
        movie_sigma = profile.psf_sigma_px
        model_sigma = trained.nearest_sigma_px(movie_sigma)
        # An assumed width is no reason to change the movie.
        enabled = enabled and profile.psf_source != "typical"
    return plan_rescaling(movie_sigma, model_sigma, enabled=enabled)


def choose(
    rule: Rule,
    cards: Sequence[ModelCard],
    profile: PatchProfile,
    rescaling: Rescaling,
    optics: OpticalSystem,
    psf_sigma_px: float,
) -> Choice:
    """Choose a model for a patch as the networks will see it."""
    seen, is_rescaled = _as_seen(cards, profile, rescaling, optics, psf_sigma_px)
    choice = rule(seen, cards)
    return (
        dataclasses.replace(choice, reason=f"{choice.reason} (at the model's scale)")
        if is_rescaled
        else choice
    )


def _as_seen(
    cards: Sequence[ModelCard],
    profile: PatchProfile,
    rescaling: Rescaling,
    optics: OpticalSystem,
    psf_sigma_px: float,
) -> tuple[PatchProfile, bool]:
    """Return the patch's profile at the networks' scale, and whether that differs.

    A network knows pixels, not um: emitters per network pixel, in units of its training set's pixel, decide
    how crowded a patch looks to it, and rescaling changes the noise.
    """
    network_px_nm = optics.pixel_size_nm / rescaling.zoom
    crowding = (network_px_nm / cards[0].optics.pixel_size_nm) ** 2
    gain = rescaling.snr_factor(psf_sigma_px)
    seen = dataclasses.replace(
        profile,
        density_per_um2=profile.density_per_um2 * crowding,
        snr=profile.snr * gain,
        brightest_snr=profile.brightest_snr * gain,
    )
    return seen, not (math.isclose(crowding, 1, rel_tol=0.02) and math.isclose(gain, 1, rel_tol=0.02))


def make_plan(
    movie: Movie,
    optics: OpticalSystem,
    settings: LocalizeSettings,
    cards: Sequence[ModelCard],
    localizers: Mapping[str, Localizer],
    *,
    measured: Measured | None = None,
    first_frame: int = 0,
) -> Plan:
    """Measure a movie and decide how it is localized.

    Raises `UserError` if the movie cannot be measured, or the rule does not exist.

    Parameters
    ----------
    movie
        The movie, cropped to what is localized.
    measured, first_frame
        See :func:`autods.estimation.profile.profile_movie`.
    optics
        Its microscope.
    settings
        The user's settings.
    cards
        The models to choose from.
    localizers
        The loaded models by name.
    """
    rule = find_rule(settings.selection)
    patch_px = patch_size_px(settings.patch_um, optics.pixel_size_nm)
    shape = movie.shape[1:]
    cores = [tile.core for tile in tile_field(shape, patch_px, 0)]
    measured = measured or measure_scene(movie, optics, method=settings.background)
    profile = profile_movie(movie, optics, cores, measured=measured, first_frame=first_frame)
    if settings.selection == "auto":
        cards = as_wide(cards, profile.psf_sigma_px)
    rescalings = {card.name: rescale_for(card, profile, optics, enabled=settings.rescale) for card in cards}
    margin = max(scale.margin_px(localizers[name].margin_px) for name, scale in rescalings.items())
    tiles = tile_field(shape, patch_px, margin)
    first = rescalings[cards[0].name]
    sigma_px = profile.psf_sigma_px
    found = [part.profile for part in profile.tiles]
    generalist = _generalist(settings.selection, cards, localizers)
    if generalist is not None:
        scale = rescalings[generalist]
        # Single frames may be brighter or dimmer than all.
        decided = [
            settings.scope == "frame"
            or crowding_decides(_as_seen(cards, patch, first, optics, sigma_px)[0], cards)
            for patch in found
        ]
        white = WhiteMovie(measured.scene.sketch(), first_frame, first_frame + movie.shape[0])
        found = with_crowding(
            found, decided, white, tiles, localizers[generalist], scale, sigma_px, optics.pixel_size_nm
        )
    patches = tuple(
        PatchPlan(tile, patch, choose(rule, cards, patch, first, optics, sigma_px))
        for tile, patch in zip(tiles, found, strict=True)
    )
    return Plan(patches, profile, tuple(cards), rule, rescalings, profile.psf_sigma_px, optics)


def _generalist(
    selection: str, cards: Sequence[ModelCard], localizers: Mapping[str, Localizer]
) -> str | None:
    """Return the generalist that can look at single frames, if the rule asks how crowded patches are."""
    if selection != "auto" or all(card.generalist for card in cards):
        return None
    for card in sorted(cards, key=lambda card: card.optics.breadth):
        looks_at = localizers[card.name]
        if card.generalist and looks_at.context == 1 and not looks_at.needs_photons:
            return card.name
    return None


def load_localizers(
    cards: Sequence[ModelCard], settings: LocalizeSettings, device: torch.device
) -> dict[str, Localizer]:
    """Load the models to choose from.

    Raises `UserError` if weights are missing or corrupted.
    """
    return {
        card.name: Localizer.from_card(card, threshold=settings.threshold, device=device) for card in cards
    }


def patch_rows(plan: Plan, used: Sequence[Counter[str]], origin_px: tuple[int, int]) -> list[PatchRow]:
    """Describe the patches for the report.

    Parameters
    ----------
    plan
        The plan.
    used
        For each patch, how many frames each model was given; a frame without emitters counts for none.
    origin_px
        ``(y0, x0)`` of the cropped movie in the full frame, px.
    """
    y, x = origin_px
    rows = []
    for patch, counts in zip(plan.patches, used, strict=True):
        y0, x0, y1, x1 = patch.tile.core
        model = counts.most_common(1)[0][0] if counts else None
        rows.append(
            PatchRow(
                core=(y0 + y, x0 + x, y1 + y, x1 + x),
                model=model,
                reason=patch.choice.reason if model else "no emission events",
                density_per_um2=patch.profile.density_per_um2,
                snr=patch.profile.snr,
                out_of_range=patch.choice.out_of_range if model else (),
            )
        )
    return rows


def plan_to_dict(
    plan: Plan, settings: LocalizeSettings, rows: Sequence[Any], patches: Sequence[PatchRow]
) -> dict[str, Any]:
    """Return the content of ``plan.yaml``: resolved settings with sources, and every decision.

    Parameters
    ----------
    plan, settings
        The plan and what the user asked for.
    rows
        `SettingRow` of each resolved number.
    patches
        From `patch_rows`.
    """
    return {
        "settings": rows_to_plan(rows),
        "selection": {"rule": settings.selection, "scope": settings.scope, "family": plan.cards[0].family},
        "psf_sigma_px": {"value": round(plan.psf_sigma_px, 4), "source": plan.profile.psf_source},
        "models": {
            card.name: {
                "weights_sha256": card.weights_sha256,
                "threshold": settings.threshold or card.threshold,
                "blur_sigma_px": round(plan.rescalings[card.name].blur_sigma_px, 4),
                "zoom": round(plan.rescalings[card.name].zoom, 4),
            }
            for card in plan.cards
        },
        "patches": [
            {
                "core_px": list(patch.core),
                "model": patch.model,
                "reason": patch.reason,
                "density_per_um2": _number(patch.density_per_um2),
                "snr": _number(patch.snr),
                "out_of_range": list(patch.out_of_range),
            }
            for patch in patches
        ],
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
