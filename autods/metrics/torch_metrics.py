"""Metrics that accumulate over batches and processes during training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from autods.metrics.detection import ErrorSums, error_sums, metrics_from_sums
from autods.metrics.matching import match_arrays


class DetectionMetric(Metric):
    """Jaccard, RMSE, bias and efficiency over all frames seen; sums across processes.

    Each update is matched on its own, so frames need only be numbered within it and the state stays a
    handful of numbers.

    Parameters
    ----------
    radius_nm
        Largest lateral distance of a pair, nm.
    axial_radius_nm
        Largest axial distance of a pair, nm; None matches by lateral distance alone.
    **kwargs
        Passed to `torchmetrics.Metric`.
    """

    higher_is_better = True
    full_state_update = False

    counts: Tensor
    error_nm: Tensor
    squared_nm2: Tensor

    def __init__(self, radius_nm: float = 200.0, axial_radius_nm: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radius_nm = radius_nm
        self.axial_radius_nm = axial_radius_nm
        self.add_state("counts", torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("error_nm", torch.zeros(3), dist_reduce_fx="sum")
        self.add_state("squared_nm2", torch.zeros(3), dist_reduce_fx="sum")

    def update(self, found_frame: Tensor, found_xyz: Tensor, truth_frame: Tensor, truth_xyz: Tensor) -> None:
        """Add the emitters of a batch.

        Parameters
        ----------
        found_frame, truth_frame
            (M,) and (N,) integer frames within the batch.
        found_xyz, truth_xyz
            (M, 2 or 3) and (N, 2 or 3) positions in nm; the last axis is the same in both.
        """
        found, truth = (xyz.detach().cpu().double().numpy() for xyz in (found_xyz, truth_xyz))
        frames = [frame.detach().cpu().numpy() for frame in (truth_frame, found_frame)]
        pairs = match_arrays(frames[0], truth, frames[1], found, self.radius_nm, self.axial_radius_nm)
        sums = error_sums(truth, found, pairs)
        device = self.counts.device
        self.counts += torch.tensor([sums.n_truth, sums.n_found, sums.n_matched], device=device)
        self.error_nm += torch.as_tensor(sums.error_nm, dtype=torch.float32, device=device)
        self.squared_nm2 += torch.as_tensor(sums.squared_nm2, dtype=torch.float32, device=device)

    def compute(self) -> dict[str, Tensor]:
        """Return scalars: jaccard, precision, recall, rmse_*_nm, bias_*_nm, efficiency; z is NaN in 2D."""
        n_truth, n_found, n_matched = self.counts.tolist()
        errors = (state.cpu().double().numpy() for state in (self.error_nm, self.squared_nm2))
        sums = ErrorSums(n_truth, n_found, n_matched, *errors)
        metrics = metrics_from_sums(sums)
        return {name: torch.tensor(getattr(metrics, name)) for name in _LOGGED}


_LOGGED = (
    "jaccard",
    "precision",
    "recall",
    "rmse_lateral_nm",
    "rmse_axial_nm",
    "bias_x_nm",
    "bias_y_nm",
    "bias_z_nm",
    "efficiency",
)
