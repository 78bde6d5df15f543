"""Files and figures of an in-situ calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.calibration.bead_report import new_figure, pupil_figure, save_figure, stack_figure, zernike_rows
from autods.calibration.insitu import InsituCalibration
from autods.io.atomic import write_json
from autods.io.images import write_image_tiff
from autods.optics.storage import save_psf

_SHOWN = 8


def write_insitu(
    result: InsituCalibration, molecules: NDArray[np.float32], folder: Path, provenance: Mapping[str, str]
) -> None:
    """Write ``psf.h5``, ``calibration.json``, ``molecules.tif``, ``fit_molecules.tif`` and figures.

    Raises `UserError` if the folder cannot be written.

    Parameters
    ----------
    result
        What the calibration found.
    molecules
        (N, S, S) the cut-outs.
    folder
        Made when absent.
    provenance
        See `save_psf`.
    """
    save_psf(result.psf, folder / "psf.h5", provenance)
    pixel = result.psf.pixel_size_nm
    write_image_tiff(molecules, folder / "molecules.tif", pixel)
    write_image_tiff(result.model, folder / "fit_molecules.tif", pixel)
    z = result.xyz_nm[:, 2]
    content = {
        "molecules": len(molecules),
        "correlation": {
            "mean": float(result.correlation.mean()),
            "lowest": float(result.correlation.min()),
            "per_molecule": [round(float(value), 5) for value in result.correlation],
        },
        "z_nm": [round(float(value), 1) for value in z],
        "photons": [round(float(value), 1) for value in result.photons],
        "blur_sigma_nm": float(result.psf.blur_sigma_nm),
        "axial_scale_range": list(result.axial_scale_range),
        "axial_scale_is_ambiguous": result.is_scale_ambiguous,
        "sign_of_z": "that of the first guess: molecules alone cannot tell up from down",
        "zernike_waves_rms": zernike_rows(result.psf),
    }
    write_json(folder / "calibration.json", content)
    save_figure(pupil_figure(result.psf), folder / "pupil.png")
    depths = np.linspace(float(z.min()), float(z.max()), 7)
    save_figure(stack_figure(result.psf, depths, molecules.shape[1]), folder / "psf_zstack.png")
    _molecule_figure(result, molecules, folder / "molecules.png")


def _molecule_figure(result: InsituCalibration, molecules: NDArray[np.float32], path: Path) -> None:
    """Some molecules from the lowest to the highest, their fits and residuals."""
    order = np.argsort(result.xyz_nm[:, 2])
    chosen = order[np.linspace(0, len(order) - 1, _SHOWN).round().astype(int)]
    figure, axes = new_figure(3, _SHOWN, 1.5 * _SHOWN, 4.8)
    for column, index in enumerate(chosen):
        data, model = molecules[index], result.model[index]
        low, high = float(data.min()), float(data.max())
        reach = 0.2 * (high - low)
        axes[0, column].imshow(data, vmin=low, vmax=high)
        axes[1, column].imshow(model, vmin=low, vmax=high)
        axes[2, column].imshow(data - model, vmin=-reach, vmax=reach, cmap="RdBu_r")
        axes[0, column].set_title(f"z = {result.xyz_nm[index, 2]:.0f} nm", fontsize=8)
    for axis in axes.flatten().tolist():
        axis.set(xticks=[], yticks=[])
    save_figure(figure, path)
