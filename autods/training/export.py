"""From a trained module to a model of the zoo, and the numbers on its card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autods.representation import Representation
from autods.simulation import ImagingConditions, Spread, VolumeConditions
from autods.training.data import SimulatedDataModule
from autods.training.module import LocalizationModule
from autods.training.score import ThresholdScore
from autods.zoo.card import CardOptics, Component, ModelCard, Span
from autods.zoo.registry import save_model


@torch.inference_mode()
def score_network(
    network: nn.Module,
    representation: Representation,
    normalization: str,
    data: SimulatedDataModule,
    match_radius_nm: float = 200.0,
    axial_match_radius_nm: float | None = None,
) -> dict[str, float]:
    """Score a network on the fixed validation frames of a data module, at the best threshold.

    Returns `dict of str to float`, see :meth:`~autods.training.score.ThresholdScore.compute`.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    score = ThresholdScore(match_radius_nm, axial_radius_nm=axial_match_radius_nm)
    pixel_size_nm = representation.pixel_size_nm
    for scenes in data.val_dataloader():
        batch = data.render(scenes.to(device))
        found = representation.decode(network(batch.normalized(normalization)), score.lowest)
        score.update(found, batch.emitters, pixel_size_nm, batch.frames.shape[-1] * pixel_size_nm)
    network.train(was_training)
    return score.compute()


def score_module(module: LocalizationModule, data: SimulatedDataModule) -> dict[str, float]:
    """Score a module with its own radii; see :func:`score_network`."""
    radii = (module.score.match_radius_nm, module.score.axial_radius_nm)
    return score_network(module.network, module.representation, module.normalization, data, *radii)


def export_model(
    module: LocalizationModule,
    data: SimulatedDataModule,
    conditions: ImagingConditions | VolumeConditions,
    name: str,
    folder: Path,
    *,
    description: str,
    training: dict[str, Any],
    generalist: bool = False,
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
    description, training, generalist
        See :class:`~autods.zoo.card.ModelCard`.
    """
    values = module.hparams
    optics, density, snr = _described(conditions, data.size_px)
    card = ModelCard(
        name=name,
        family=values["representation"],
        network=Component(values["network"], dict(values["network_args"])),
        representation=Component(values["representation"], dict(values["representation_args"])),
        normalization=module.normalization,
        optics=optics,
        density_per_um2=_span(density),
        snr=_span(snr),
        threshold=0.5,
        generalist=generalist,
        description=description,
        training=training,
    )
    best = score_module(module, data)
    return save_model(with_scores(card, best), module.network, folder)


def with_scores(card: ModelCard, best: dict[str, float]) -> ModelCard:
    """Return the card with the threshold and the metrics of :func:`score_network`."""
    metrics = {key: round(value, 4) for key, value in best.items() if key != "threshold"}
    return dataclasses.replace(card, threshold=best["threshold"], metrics=metrics)


def _described(
    conditions: ImagingConditions | VolumeConditions, size_px: int
) -> tuple[CardOptics, Spread, Spread]:
    """Return optics, density and SNR of conditions."""
    if isinstance(conditions, VolumeConditions):
        optics = CardOptics(conditions.pixel_size_nm, conditions.psf_sigma_nm)
        return optics, conditions.density_per_um2(size_px), conditions.snr
    sigma = conditions.psf_sigma_nm
    optics = CardOptics(conditions.pixel_size_nm, sigma.centre, sigma.low, sigma.high)
    snr = conditions.snr
    if conditions.bright:
        snr = dataclasses.replace(snr, high=conditions.brightest_snr)
    return optics, conditions.density_per_um2, snr


def _span(spread: Spread) -> Span:
    return Span(spread.centre, spread.low, spread.high)
