"""The pre-trained models: their cards, where they lie, and which of them a patch gets."""

from autods.zoo.card import CardOptics, Component, ModelCard, Span
from autods.zoo.registry import list_models, load_card, load_cards, load_model, save_model
from autods.zoo.selection import SELECTION_RULES, Choice, eligible, find_rule

__all__ = [
    "SELECTION_RULES",
    "CardOptics",
    "Choice",
    "Component",
    "ModelCard",
    "Span",
    "eligible",
    "find_rule",
    "list_models",
    "load_card",
    "load_cards",
    "load_model",
    "save_model",
]
