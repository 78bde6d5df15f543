"""From the weights of a universal training to a model of the zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from autods.networks.universal import UniversalNet
from autods.simulation.random_psfs import PLANES
from autods.zoo.card import CardOptics, Component, ModelCard, Span
from autods.zoo.registry import save_model


def export_universal(
    weights: Path, folder: Path, name: str | None = None, threshold: float | None = None
) -> ModelCard:
    """Write a model's folder, with convolutions in half precision.

    Parameters
    ----------
    weights
        File of a training, see `UniversalTrainer`.
    folder
        The model's folder.
    name
        Of the model; None for the folder's.
    threshold
        Smallest confidence; None for the mean of the best on the held-out PSFs.
    """
    with safe_open(weights, "pt") as file:
        header = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arguments, training = json.loads(header["network"]), json.loads(header["training"])
    scores = json.loads(header["history"])[-1]
    conditions = {name: row for name, row in scores.items() if isinstance(row, dict)}
    best = sum(row["threshold"] for row in conditions.values()) / len(conditions)
    network = UniversalNet(**arguments)
    network.load_state_dict(state)
    card = ModelCard(
        name or folder.name,
        "universal",
        Component("universal", arguments),
        Component(
            "mixture3d",
            {"pixel_size_nm": 1.0, "z_min_nm": 0.0, "z_max_nm": PLANES - 1.0, "merge_z_nm": 2.5},
        ),
        "scene",
        CardOptics(100.0, 110.0, 80.0, 400.0),
        Span(0.5, 0.0, 2.0),
        Span(10.0, 1.5, 100.0),
        round(best, 2) if threshold is None else threshold,
        generalist=True,
        description="Told the PSF as planes of depth, and background and noise: for any microscope, in 3D,"
        " without training. Positions are in pixels and planes.",
        metrics=_metrics(conditions),
        training={**training, "steps": scores["step"], "seconds": scores["seconds"]},
    )
    return save_model(card, _halved(network), folder)


def _metrics(conditions: dict[str, dict[str, Any]]) -> dict[str, float]:
    kinds = ("jaccard", "rmse_nm", "rmse_axial_nm")
    return {f"{name}_{kind}": float(row[kind]) for name, row in conditions.items() for kind in kinds}


def _halved(network: UniversalNet) -> UniversalNet:
    """Round weights to half precision; what batch norms have counted stays as it is."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.half()
    return network
