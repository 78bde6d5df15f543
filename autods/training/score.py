"""Detection scores of a validation set over a range of thresholds."""

from __future__ import annotations

import numpy as np
import torch

from autods.core import EmitterBatch
from autods.core.grid import px_to_nm
from autods.metrics.matching import match_arrays
from autods.representation import Detections

#: Confidences from 0.01 to 0.9; heatmaps of dim emitters are faint.
THRESHOLDS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, *(round(0.05 * step, 2) for step in range(2, 19)))


class ThresholdScore:
    """Collects detections and truth, and finds the threshold of the highest Jaccard index.

    Parameters
    ----------
    match_radius_nm
        Largest distance of a match, nm.
    thresholds
        Thresholds to try, ascending.
    axial_radius_nm
        Largest axial distance of a match, nm, for detections with z; None looks at no z.
    """

    def __init__(
        self,
        match_radius_nm: float = 200.0,
        thresholds: tuple[float, ...] = THRESHOLDS,
        axial_radius_nm: float | None = None,
    ) -> None:
        self.match_radius_nm = match_radius_nm
        self.thresholds = thresholds
        self.axial_radius_nm = axial_radius_nm
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

    def collected(self) -> tuple[list[np.ndarray], list[np.ndarray], int]:
        """Return what was collected, plain enough to be sent to another process: for :meth:`extend`."""
        return self._truth, self._found, self._n_frames

    def extend(self, truth: list[np.ndarray], found: list[np.ndarray], n_frames: int) -> None:
        """Add what another score has collected."""
        for own, parts in ((self._truth, truth), (self._found, found)):
            own += [part + np.eye(1, part.shape[1]) * self._n_frames for part in parts]
        self._n_frames += n_frames

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
        frame, xyz, photons = emitters.flat()
        inside = ((xyz[:, :2] >= 0) & (xyz[:, :2] < field_nm)).all(1)
        truth = torch.cat([frame[inside, None] + self._n_frames, xyz[inside], photons[inside, None]], dim=1)
        x, y = (px_to_nm(position, pixel_size_nm) for position in (found.x_px, found.y_px))
        z = torch.full_like(x, torch.nan) if found.z_nm is None else found.z_nm
        detected = torch.stack([found.frame + self._n_frames, x, y, z, found.confidence], 1)
        self._truth.append(truth.cpu().double().numpy())
        self._found.append(detected.cpu().double().numpy())
        self._n_frames += len(emitters)

    def compute(self) -> dict[str, float]:
        """Return the scores at the threshold of the best Jaccard index.

        Returns ``jaccard``, ``precision``, ``recall``, ``rmse_nm`` (lateral), ``threshold``; with an axial
        radius also ``rmse_axial_nm``. Without any match an error is the radius.
        """
        return max(self.curve(), key=lambda score: score["jaccard"])

    def curve(self) -> list[dict[str, float]]:
        """Return the scores of `compute` at every threshold."""
        truth, found = np.concatenate(self._truth), np.concatenate(self._found)
        return [self._at(level, truth, found[found[:, 4] >= level]) for level in self.thresholds]

    def errors(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the matches at a threshold.

        Returns
        -------
        truth
            (N, 4) x, y, z (nm) and photons of the emitters that were found.
        error
            (N, 3) found minus true position, nm; NaN in z where none is found.
        """
        truth, found = np.concatenate(self._truth), np.concatenate(self._found)
        found = found[found[:, 4] >= threshold]
        a, b = self._match(truth, found)
        return truth[a, 1:], found[b, 1:4] - truth[a, 1:4]

    def _match(self, truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return match_arrays(
            truth[:, 0].astype(np.int64),
            truth[:, 1:4],
            found[:, 0].astype(np.int64),
            found[:, 1:4],
            self.match_radius_nm,
            self.axial_radius_nm,
        )

    def _at(self, threshold: float, truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
        a, b = self._match(truth, found)
        n = len(a)
        error = truth[a, 1:4] - found[b, 1:4]
        scores = {
            "jaccard": n / max(len(truth) + len(found) - n, 1),
            "precision": n / max(len(found), 1),
            "recall": n / max(len(truth), 1),
            "rmse_nm": float(np.sqrt((error[:, :2] ** 2).sum(1).mean())) if n else self.match_radius_nm,
            "threshold": threshold,
        }
        if self.axial_radius_nm is not None:
            axial = float(np.sqrt((error[:, 2] ** 2).mean())) if n else self.axial_radius_nm
            scores["rmse_axial_nm"] = axial
        return scores
