"""From a trained module to a model of the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from autods.simulation import ImagingConditions, Spread
from autods.training.data import SimulatedDataModule
from autods.training.module import LocalizationModule
from autods.training.score import ThresholdScore
from autods.zoo.card import CardOptics, Component, ModelCard, Span
from autods.zoo.registry import save_model


def evaluate_module(module: LocalizationModule, data: SimulatedDataModule) -> dict[str, float]:
    """Score a module on the fixed validation batches of a data module, at the best threshold.

    Returns
    -------
    dict of str to float
        See :meth:`~autods.training.score.ThresholdScore.compute`.
    """
    was_training = module.training
    module.eval()
    score = ThresholdScore(module.score.match_radius_nm)
    pixel_size_nm = module.representation.pixel_size_nm
    with torch.inference_mode():
        for scenes in data.val_dataloader():
            batch = data.render(scenes.to(module.device))
            found = module.representation.decode(module(batch.frames), score.lowest)
            score.update(found, batch.emitters, pixel_size_nm, batch.frames.shape[-1] * pixel_size_nm)
    module.train(was_training)
    return score.compute()


def export_model(
    module: LocalizationModule,
    data: SimulatedDataModule,
    conditions: ImagingConditions,
    name: str,
    folder: Path,
    *,
    description: str,
    training: dict[str, Any],
) -> ModelCard:
    """Write the module's network and its card.

    Parameters
    ----------
    module
        Trained module.
    data
        Source of the fixed test set on which threshold and metrics are measured.
    conditions
        What the module was trained for.
    name
        Name of the model.
    folder
        The model's folder.
    description, training
        See :class:`~autods.zoo.card.ModelCard`.
    """
    values = module.hparams
    best = evaluate_module(module, data)
    family = values["representation"]
    card = ModelCard(
        name=name,
        family=family,
        network=Component(values["network"], dict(values["network_args"])),
        representation=Component(family, dict(values["representation_args"])),
        normalization=module.normalization,
        optics=CardOptics(
            pixel_size_nm=conditions.pixel_size_nm,
            psf_sigma_nm=conditions.psf_sigma_nm.centre,
        ),
        density_per_um2=_span(conditions.density_per_um2),
        snr=_span(conditions.snr),
        threshold=best.pop("threshold"),
        description=description,
        metrics={key: round(value, 4) for key, value in best.items()},
        training=training,
    )
    return save_model(card, module.network, folder)


def _span(spread: Spread) -> Span:
    return Span(spread.centre, spread.low, spread.high)
