"""``autods zoo``: train the pre-trained models that are missing, or score those that are there."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from autods.cli.arguments import Arguments, UsageError
from autods.cli.faults import DONE
from autods.cli.from_movie import fill_measured
from autods.cli.train import run as train
from autods.cli.train import training_of
from autods.configuration.compose import compose_checked
from autods.core import UserError
from autods.io.foreign import read_by_library
from autods.runs.record import NOTICE

_LOG = logging.getLogger(__name__)

#: What the file of one's own zoo may say.
_OWN_KEYS = {"models", "out", "overrides", "sweep", "entries"}


def run(arguments: Arguments) -> int:
    """Build or score the zoo.

    Raises `UsageError` if the first word is neither ``build`` nor ``score``.
    """
    actions = {"build": build_zoo, "score": score_zoo}
    word = str(arguments.paths[0])
    if word not in actions:
        raise UsageError(f"autods zoo {word}: use build or score")
    actions[word](with_own_zoo(arguments.overrides))
    return DONE


def build_zoo(config: DictConfig) -> None:
    """Train every model of the zoo that is not there yet; an interrupted training goes on."""
    from autods.zoo.registry import list_models, load_card

    models = Path(config.models)
    for name, wanted in _trainings(config):
        fill_measured(wanted)
        if name in list_models(models) and load_card(name, models).training == training_of(wanted):
            _LOG.log(NOTICE, "%s: there already", name)
            continue
        _LOG.log(NOTICE, "%s: training %d steps", name, wanted.trainer.max_steps)
        _LOG.log(NOTICE, "%s: Jaccard index %.3f on its test set", name, train(wanted))


def with_own_zoo(overrides: Sequence[str]) -> DictConfig:
    """Compose ``conf/zoo.yaml`` with one's own file (``zoo=FILE``); the command line wins over both.

    Raises `UserError` if the file cannot be read, holds an unknown key, or names no folder for its models.
    """
    config = compose_checked("zoo", overrides)
    if config.zoo is None:
        return config
    path = Path(config.zoo)
    if not path.is_file():
        raise UserError(f"zoo={path}: there is no such file")
    with read_by_library(f"zoo={path} is no YAML file of a zoo"):
        own = OmegaConf.load(path)
    if not isinstance(own, DictConfig) or "models" not in own:
        raise UserError(f"zoo={path}: say models: FOLDER, and entries or a sweep")
    unknown = sorted(set(map(str, own)) - _OWN_KEYS)
    if unknown:
        raise UserError(f"zoo={path}: unknown key {unknown[0]}: use {', '.join(sorted(_OWN_KEYS))}")
    given = {word.partition("=")[0] for word in overrides}
    config.entries = []
    if "out" not in given:
        config.out = f"runs/{path.stem}"
    for key in own:
        if key == "overrides":
            config.overrides = [*config.overrides, *own.overrides]
        elif key not in given:
            config[key] = own[key]
    return config


def _trainings(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    """Yield name and training configuration of each wanted model of the zoo."""
    entries = [(str(entry.name), _words(entry.settings)) for entry in config.entries]
    entries += _combinations(_words(config.sweep))
    names = [name for name, _ in entries]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"entries: two models are called {name!r}: give each a name of its own")
    for name in config.only or ():
        if name not in names:
            raise UserError(f"only: {name!r} is no model of the zoo: use some of {', '.join(names)}")
    for name, settings in entries:
        if config.only is None or name in config.only:
            yield name, compose_checked("train", _overrides(config, settings, name))


def _words(settings: ListConfig | str) -> list[str]:
    """Return settings as overrides, where the null that ``key=${...}`` refers to is no None.

    Raises `UserError` if they are no list: Hydra reads ``[a=1]`` as one text.
    """
    if isinstance(settings, str):
        raise UserError(f"{settings}: write a list of settings, each in quotes: ['trainer.max_steps=100']")
    return [re.sub("=None$", "=null", str(word)) for word in settings]


def _combinations(sweep: list[str]) -> list[tuple[str, list[str]]]:
    """Return name and settings of each combination of the values of a sweep; its name is made of them."""
    if not sweep:
        return []
    parsed = OverridesParser.create().parse_overrides(sweep)
    choices = [
        [(word.key_or_group, value, word.is_sweep_override()) for value in word.sweep_string_iterator()]
        if word.is_sweep_override()
        else [(word.key_or_group, word.get_value_element_as_str(), False)]
        for word in parsed
    ]
    found = []
    for combination in itertools.product(*choices):
        swept = [re.sub(r"[^\w.-]+", "-", str(value)) for _, value, is_swept in combination if is_swept]
        found.append(("_".join(swept) or "model", [f"{key}={value}" for key, value, _ in combination]))
    return found


def _overrides(config: DictConfig, settings: list[str], name: str) -> list[str]:
    return [
        f"out={config.out}/{name}",
        f"models={config.models}",
        f"overwrite={str(config.overwrite).lower()}",
        *_words(config.overrides),
        *settings,
        f"name={name}",
    ]


def score_zoo(config: DictConfig) -> None:
    """Measure threshold and metrics of every model on its fixed test set and write them into its card."""
    from autods.representation import build_representation
    from autods.training.export import score_network, with_scores
    from autods.zoo.card import CARD_FILE, write_card
    from autods.zoo.registry import load_card, load_model

    models = Path(config.models)
    for name, wanted in _trainings(config):
        fill_measured(wanted)
        card = load_card(name, models)
        data = instantiate(wanted.data, _convert_="all")
        representation = build_representation(card.representation.name, **card.representation.args)
        best = score_network(load_model(card), representation, card.normalization, data)
        write_card(with_scores(card, best), models / name / CARD_FILE)
        _LOG.log(NOTICE, "%s: %s", name, best)
