"""Find, load and save the models of a zoo folder: ``<root>/<name>/card.yaml`` and ``weights.safetensors``."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from autods.core import UserError
from autods.core.resources import models_dir
from autods.io.atomic import atomic_path
from autods.networks import build_network
from autods.zoo.card import CARD_FILE, ModelCard, read_card, write_card

#: Name of the weights' file in a model's folder.
WEIGHTS_FILE = "weights.safetensors"


def list_models(root: Path | None = None) -> list[str]:
    """Return the names of the models under ``root`` (default: the shipped zoo), in natural order.

    A model's own folder is a zoo of one; so is the run folder of a training, which holds it in ``model/``.
    """
    folder = models_dir() if root is None else root
    if not folder.is_dir():
        return []
    if (folder / CARD_FILE).is_file():
        return [folder.resolve().name]
    return sorted((path.parent.name for path in folder.glob(f"*/{CARD_FILE}")), key=_natural)


def load_card(name: str, root: Path | None = None) -> ModelCard:
    """Read the card of a model.

    Raises `UserError` if there is no such model or its card is wrong.

    Parameters
    ----------
    name
        Name of a model under ``root``, or the path of a model's folder.
    root
        Zoo folder; default: the shipped zoo.
    """
    home = models_dir() if root is None else root
    folder = home / name
    for candidate in (folder, *([home] if home.resolve().name == name else []), Path(name)):
        if (candidate / CARD_FILE).is_file():
            return read_card(candidate / CARD_FILE)
    known = ", ".join(list_models(root)) or "none"
    raise UserError(
        f"no model {name!r} in {folder.parent}: use one of the models there ({known}) or a model's folder"
    )


def load_cards(root: Path | None = None, family: str | None = None) -> list[ModelCard]:
    """Read all cards under ``root``, of one family or of all.

    Raises `UserError` if a card is wrong or no model is found.
    """
    cards = [load_card(name, root) for name in list_models(root)]
    cards = [card for card in cards if family is None or card.family == family]
    if not cards:
        kind = "" if family is None else f" of family {family!r}"
        raise UserError(f"{root or models_dir()} holds no model{kind}: build the zoo or give another folder")
    return cards


def load_model(card: ModelCard) -> nn.Module:
    """Build a card's network and load its weights; returned in evaluation mode on the CPU.

    Raises `UserError` if the weights are missing, do not match the card's checksum, or do not fit the
    network.
    """
    if card.folder is None:
        raise UserError(f"model {card.name}: the card belongs to no folder: load it with load_card")
    path = card.folder / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read the weights ({error.strerror}): restore the model's folder"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.weights_sha256:
        raise UserError(
            f"{path}: the weights are corrupted (SHA-256 {digest[:12]}, the card says"
            f" {card.weights_sha256[:12]}): restore the file"
        )
    try:
        network = build_network(card.network.name, **card.network.args)
        network.load_state_dict(load_tensors(data))
    except UserError as error:
        raise UserError(f"{card.folder / CARD_FILE}: {error}") from error
    except (SafetensorError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: the weights do not fit network {card.network.name} ({cause})") from error
    return network.eval()


def save_model(card: ModelCard, network: nn.Module, folder: Path) -> ModelCard:
    """Write a network's weights and its card; return the card with checksum and folder.

    Each file is replaced whole or not at all, the card last: after an interruption the checksum of a
    half-saved model does not match, which loading reports.

    Parameters
    ----------
    card
        The card; its checksum and folder are replaced.
    network
        The trained network, on any device.
    folder
        The model's folder, made when absent.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save_tensors(tensors)
    saved = dataclasses.replace(card, weights_sha256=hashlib.sha256(data).hexdigest(), folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(data)
    write_card(saved, folder / CARD_FILE)
    return saved


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which diff_10 follows diff_9."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
