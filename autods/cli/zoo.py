"""``autods zoo``: train the pre-trained models that are missing, or score those that are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from autods.cli.arguments import Arguments, UsageError
from autods.cli.compose import compose_checked
from autods.cli.faults import DONE
from autods.cli.train import run as train
from autods.cli.train import training_of
from autods.core import UserError
from autods.runs.record import NOTICE

_LOG = logging.getLogger(__name__)


def run(arguments: Arguments) -> int:
    """Build or score the zoo.

    Raises
    ------
    UsageError
        If the first word is neither ``build`` nor ``score``.
    """
    actions = {"build": build_zoo, "score": score_zoo}
    word = str(arguments.paths[0])
    if word not in actions:
        raise UsageError(f"autods zoo {word}: use build or score")
    actions[word](compose_checked("zoo", arguments.overrides))
    return DONE


def build_zoo(config: DictConfig) -> None:
    """Train every model of the zoo that is not there yet; an interrupted training goes on.

    Parameters
    ----------
    config
        Composition of ``conf/zoo.yaml``.
    """
    from autods.zoo.registry import list_models, load_card

    models = Path(config.models)
    for name, wanted in _trainings(config):
        if name in list_models(models) and load_card(name, models).training == training_of(wanted):
            _LOG.log(NOTICE, "%s: there already", name)
            continue
        _LOG.log(NOTICE, "%s: training %d steps", name, wanted.trainer.max_steps)
        _LOG.log(NOTICE, "%s: Jaccard index %.3f on its test set", name, train(wanted))


def _trainings(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    """Yield name and training configuration of each wanted model of the zoo."""
    names = [entry.experiment.rpartition("/")[2] for entry in config.entries]
    for name in config.only or ():
        if name not in names:
            raise UserError(f"only: {name!r} is no model of the zoo: use some of {', '.join(names)}")
    for entry in config.entries:
        name = entry.experiment.rpartition("/")[2]
        if config.only is None or name in config.only:
            yield name, compose_checked("train", _overrides(config, entry, name))


def _overrides(config: DictConfig, entry: DictConfig, name: str) -> list[str]:
    return [
        f"experiment={entry.experiment}",
        f"out={config.out}/{name}",
        f"models={config.models}",
        f"overwrite={str(config.overwrite).lower()}",
        *config.overrides,
        *entry.overrides,
    ]


def score_zoo(config: DictConfig) -> None:
    """Measure threshold and metrics of every model on its fixed test set and write them into its card.

    Parameters
    ----------
    config
        Composition of ``conf/zoo.yaml``.
    """
    from autods.representation import build_representation
    from autods.training.export import score_network, with_scores
    from autods.zoo.card import CARD_FILE, write_card
    from autods.zoo.registry import load_card, load_model

    models = Path(config.models)
    for name, wanted in _trainings(config):
        card = load_card(name, models)
        data = instantiate(wanted.data, _convert_="all")
        representation = build_representation(card.representation.name, **card.representation.args)
        best = score_network(load_model(card), representation, card.normalization, data)
        write_card(with_scores(card, best), models / name / CARD_FILE)
        _LOG.log(NOTICE, "%s: %s", name, best)
