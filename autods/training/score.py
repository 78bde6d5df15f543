"""Detection scores of a validation set over a range of thresholds."""

from __future__ import annotations

import numpy as np
import torch

from autods.core import EmitterBatch
from autods.core.grid import px_to_nm
from autods.metrics.matching import match_arrays
from autods.representation import Detections

#: Confidences from 0.01 to 0.9; heatmaps of dim emitters are faint.
THRESHOLDS = (0.01, 0.02, 0.03, *(round(0.05 * step, 2) for step in range(1, 19)))


class ThresholdScore:
    """Collects detections and truth, and finds the threshold of the highest Jaccard index.

    Parameters
    ----------
    match_radius_nm
        Largest distance of a match, nm.
    thresholds
        Thresholds to try, ascending.
    """

    def __init__(
        self,
        match_radius_nm: float = 200.0,
        thresholds: tuple[float, ...] = THRESHOLDS,
    ) -> None:
        self.match_radius_nm = match_radius_nm
        self.thresholds = thresholds
        self.reset()

    @property
    def lowest(self) -> float:
        """The lowest threshold: detections below it are not needed."""
        return self.thresholds[0]

    def reset(self) -> None:
        """Forget everything."""
        self._truth: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._n_frames = 0

    def update(
        self, found: Detections, emitters: EmitterBatch, pixel_size_nm: float, field_nm: float
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        found
            Detections of at least the lowest threshold.
        emitters
            The truth; emitters outside the field are not counted.
        pixel_size_nm
            Camera pixel of the images, nm.
        field_nm
            Side of the square field, nm.
        """
        frame, xyz, _ = emitters.flat()
        inside = ((xyz[:, :2] >= 0) & (xyz[:, :2] < field_nm)).all(1)
        truth = torch.cat([frame[inside, None] + self._n_frames, xyz[inside, :2]], dim=1)
        position = px_to_nm(torch.stack([found.x_px, found.y_px], 1), pixel_size_nm)
        detected = torch.cat([found.frame[:, None] + self._n_frames, position, found.confidence[:, None]], 1)
        self._truth.append(truth.double().cpu().numpy())
        self._found.append(detected.double().cpu().numpy())
        self._n_frames += len(emitters)

    def compute(self) -> dict[str, float]:
        """Return Jaccard index, precision, recall, lateral RMSE (nm) and threshold of the best Jaccard."""
        truth, found = np.concatenate(self._truth), np.concatenate(self._found)
        scores = [self._at(level, truth, found[found[:, 3] >= level]) for level in self.thresholds]
        return max(scores, key=lambda score: score["jaccard"])

    def _at(self, threshold: float, truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
        a, b = match_arrays(
            truth[:, 0].astype(np.int64),
            truth[:, 1:],
            found[:, 0].astype(np.int64),
            found[:, 1:3],
            self.match_radius_nm,
        )
        n = len(a)
        error = truth[a, 1:] - found[b, 1:3]
        return {
            "jaccard": n / max(len(truth) + len(found) - n, 1),
            "precision": n / max(len(found), 1),
            "recall": n / max(len(truth), 1),
            "rmse_nm": float(np.sqrt((error**2).sum(1).mean())) if n else self.match_radius_nm,
            "threshold": threshold,
        }
