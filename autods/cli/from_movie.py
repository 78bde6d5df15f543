"""Conditions of a training that come from a movie: what the configuration leaves open is measured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autods.configuration.convert import camera_settings
from autods.configuration.schema import CameraConfig
from autods.core import UserError
from autods.pipelines.settings import OpticsSettings
from autods.pipelines.training_conditions import (
    TrainingConditions,
    at_pixels_of_the_psf,
    joint,
    measure_movie,
    read_profile,
)
from autods.runs.record import NOTICE

_LOG = logging.getLogger(__name__)

_GIVEN = "given"


def fill_measured(config: DictConfig) -> None:
    """Measure what the conditions of a training leave open, and note where each number came from.

    Raises `UserError` if something is open and there is no movie, or a movie cannot be measured.

    Parameters
    ----------
    config
        Composition of ``conf/train.yaml``; its nulls are filled in, ``sources`` too.
    """
    if config.sources is not None:
        return  # filled in before
    if config.movie is None and config.profile is None:
        open_keys = [key for key, value in _conditions(config) if value is None]
        if open_keys:
            raise UserError(f"{open_keys[0]} is not given: name what to measure it on with movie=MOVIE")
        return
    found = _measure(config)
    sources = {}
    for key, value in found.values.items():
        missing = object()
        held = OmegaConf.select(config, key, default=missing)
        if held is missing:
            continue  # conditions of another kind have no such number
        if held is None:
            OmegaConf.update(config, key, value, force_add=True)
            sources[key] = found.sources[key]
        else:
            sources[key] = _GIVEN
    _order_spreads(config, sources)
    config.sources = sources
    for key, source in sources.items():
        _LOG.info("%s = %s: %s", key, OmegaConf.select(config, key), source)
    measured = sum(source != _GIVEN for source in sources.values())
    if not measured:
        raise UserError(
            "movie= changes nothing: all conditions are given; leave them out, or use conditions=measured"
        )
    _LOG.log(NOTICE, "%d of %d conditions measured: see sources in config.yaml", measured, len(sources))


def _measure(config: DictConfig) -> TrainingConditions:
    named = [] if config.movie is None else config.movie
    paths = [named] if isinstance(named, str) else list(named)
    optics = OpticsSettings(**config.optics)
    camera = camera_settings(CameraConfig(**config.camera))
    parts = [measure_movie(Path(path), optics, camera) for path in paths]
    if config.profile is not None:
        files = [config.profile] if isinstance(config.profile, str) else list(config.profile)
        parts += [read_profile(Path(file)) for file in files]
    found = joint(parts)
    # The file of a calibrated PSF is rendered at the pixels of the movie.
    return found if "path" in config.light else at_pixels_of_the_psf(found)


def _conditions(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the conditions that must have a value."""
    for name, value in config.conditions.items():
        if isinstance(value, DictConfig):
            yield from ((f"conditions.{name!s}.{key!s}", value[key]) for key in value)
        elif name == "pixel_size_nm":
            yield f"conditions.{name}", value


def _order_spreads(config: DictConfig, sources: dict[str, str]) -> None:
    """Widen measured limits where a given number lies beyond them."""
    for name, spread in config.conditions.items():
        if not isinstance(spread, DictConfig) or None in (spread.get("centre"), spread.get("low")):
            continue
        key = f"conditions.{name}"
        if spread.high < spread.centre and sources.get(f"{key}.centre") != _GIVEN:
            spread.centre = spread.high
        if spread.low > spread.centre and sources.get(f"{key}.centre") != _GIVEN:
            spread.centre = spread.low
        if sources.get(f"{key}.low") != _GIVEN:
            spread.low = min(spread.low, spread.centre)
        if sources.get(f"{key}.high") != _GIVEN:
            spread.high = max(spread.high, spread.centre)
