"""Training on scenes simulated on the fly."""

from autods.training.data import SimulatedDataModule
from autods.training.module import LocalizationModule

__all__ = ["LocalizationModule", "SimulatedDataModule"]
