"""Files and figures of a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.calibration.bead_calibration import BeadCalibration
from autods.calibration.focal_plane import nfp_study
from autods.io.atomic import atomic_path, write_json
from autods.io.images import write_image_tiff
from autods.optics.crlb import crlb
from autods.optics.field import FieldVariation
from autods.optics.protocol import PSFModel
from autods.optics.pupil_psf import PupilPSF
from autods.optics.storage import save_psf, zernike_table
from autods.optics.zernike import noll_to_nm, zernike_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUMMARY_FILE = "calibration.json"
_SLICES_SHOWN = 7
_CONVENTIONS = {
    "objective": "z given as objective positions: growing z moves the focal plane into the sample",
    "stage": "z given as stage positions: growing z moves the focal plane towards the objective",
    "sample": "z given as stage positions: growing z moves the focal plane towards the objective",
    "emitter": "z given as depths of the emitter in its medium: the focal plane stays",
}


def write_calibration(
    result: BeadCalibration,
    folder: Path,
    provenance: Mapping[str, str],
    variation: FieldVariation | None = None,
) -> None:
    """Write a calibration's output folder.

    ``psf.h5``, ``psf_empirical.h5``, ``calibration.json``, ``bead_zstack.tif``, ``fit_zstack.tif`` and
    ``pupil.png``, ``residuals.png``, ``correlation.png``, ``crlb.png``, ``focal_plane.png``. Raises
    `UserError` if the folder cannot be written.

    Parameters
    ----------
    result
        What was found.
    folder
        Made when absent; files of the same name are replaced.
    provenance
        See `save_psf`.
    variation
        How the PSF changes over the field, where that was fitted.
    """
    psf = result.retrieved.psf
    save_psf(psf, folder / "psf.h5", provenance, variation, result.error)
    save_psf(result.empirical, folder / "psf_empirical.h5", provenance)
    pixel = psf.pixel_size_nm
    write_image_tiff(result.beads.volume.astype(np.float32), folder / "bead_zstack.tif", pixel)
    write_image_tiff(result.retrieved.model.astype(np.float32), folder / "fit_zstack.tif", pixel)
    write_json(folder / SUMMARY_FILE, summary(result))
    figures = {
        "pupil.png": pupil_figure(psf),
        "residuals.png": residual_figure(result),
        "correlation.png": correlation_figure(result),
        "crlb.png": crlb_figure(psf, result.depth_nm),
        "focal_plane.png": focal_plane_figure(psf, result.depth_nm),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / name)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as part:
        figure.savefig(part, dpi=100, bbox_inches="tight")


def summary(result: BeadCalibration) -> dict[str, Any]:
    """JSON-ready numbers of a calibration; lengths in nm, phases in waves rms."""
    fit = result.retrieved
    return {
        "z_convention": _CONVENTIONS[result.scan_of],
        "scan": result.scan_of,
        "scan_by": result.scan_by,
        "correlation": {
            "mean": round(float(result.correlation.mean()), 5),
            "lowest": round(float(result.correlation.min()), 5),
            "mean_background_masked": round(float(result.correlation_masked.mean()), 5),
            "lowest_background_masked": round(float(result.correlation_masked.min()), 5),
            "per_slice": [round(float(value), 5) for value in result.correlation],
            "per_slice_background_masked": [round(float(value), 5) for value in result.correlation_masked],
        },
        "z_nm": [round(float(value), 3) for value in result.z_nm],
        "focal_plane_nm": [round(value, 3) for value in result.scan.nfp_nm.tolist()],
        "depth_nm": [round(float(value), 3) for value in result.depth_nm],
        "z_offset_nm": fit.z_offset_nm,
        "light_inside": {
            "side_px": int(result.beads.volume.shape[-1]),
            "mean": round(float(fit.inside.mean()), 4),
            "per_slice": [round(float(value), 4) for value in fit.inside],
        },
        "model_error_nm": {
            "lateral": round(float(np.median(result.error.lateral_nm)), 2),
            "axial": round(float(np.median(result.error.axial_nm)), 2),
        },
        "bead_offset_nm": {"x": fit.x_nm, "y": fit.y_nm},
        "blur_sigma_nm": float(fit.psf.blur_sigma_nm),
        "photons_per_slice": [float(value) for value in fit.photons],
        "background_per_slice": [float(value) for value in fit.background],
        "zernike_waves_rms": zernike_rows(fit.psf),
        "supercritical_light": fit.psf.supercritical,
        "start": result.start,
        "held_out_correlation": result.held_out_correlation,
        "beads": [
            {
                "x_px": round(bead.x_px, 2),
                "y_px": round(bead.y_px, 2),
                "accepted": not bead.reason,
                "reason": bead.reason,
                "z_shift_nm": round(bead.z_shift_nm, 2),
                "correlation_with_mean": None if np.isnan(bead.correlation) else round(bead.correlation, 4),
            }
            for bead in result.beads.beads
        ],
    }


def direction_note(scan_of: str, scan_by: str) -> str | None:
    """Say what is assumed of the scan, and the setting that changes it; None where it was given."""
    if scan_by == "given":
        return None
    if scan_by == "data":
        return (
            "the bead stack is read as depths of the emitter itself, which explains it better than a scan of"
            " the focal plane; calibration.scan=objective or stage changes that"
        )
    return (
        f"the bead stack is read as a scan of the {scan_of}, which no image tells from its mirror: if z comes"
        " out upside down give calibration.scan=stage; if its positions are depths of the emitter itself,"
        " calibration.scan=emitter; calibration.scan=objective ends this remark"
    )


def zernike_rows(psf: PupilPSF) -> list[dict[str, Any]]:
    """JSON-ready Zernike table of a PSF, waves rms."""
    return [
        {
            "noll": j,
            "n": noll_to_nm(j)[0],
            "m": noll_to_nm(j)[1],
            "name": zernike_name(j),
            "waves": float(value),
        }
        for j, value in enumerate(zernike_table(psf), 1)
    ]


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[np.object_]]:
    """Make a figure (inches) with its axes (rows, columns), without pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False), dtype=object)


def pupil_figure(psf: PupilPSF) -> Figure:
    """Pupil phase (waves, wrapped), amplitude and the Zernike coefficients."""
    figure, axes = new_figure(1, 3, 12, 3.6)
    inside = psf.pupil.aperture.numpy() > 0
    phase = torch.angle(torch.exp(1j * psf.phase.detach())).numpy() / (2 * np.pi)
    for axis, values, title in (
        (axes[0, 0], phase, "pupil phase (waves)"),
        (axes[0, 1], psf.amplitude.detach().numpy(), "pupil amplitude"),
    ):
        image = axis.imshow(
            np.where(inside, values, np.nan), cmap="twilight" if "phase" in title else "viridis"
        )
        axis.set_title(title)
        axis.axis("off")
        figure.colorbar(image, ax=axis, shrink=0.8)
    waves = zernike_table(psf)
    axes[0, 2].bar(np.arange(4, len(waves) + 1), waves[3:])
    axes[0, 2].set(xlabel="Noll index", ylabel="waves rms", title="Zernike coefficients")
    return figure


def residual_figure(result: BeadCalibration) -> Figure:
    """Mean bead, model and residual at a few slices, with one scale per slice."""
    data, model = result.beads.volume, result.retrieved.model
    chosen = np.unique(np.linspace(0, len(data) - 1, _SLICES_SHOWN).round().astype(int))
    figure, axes = new_figure(3, len(chosen), 1.9 * len(chosen), 6)
    for column, index in enumerate(chosen):
        low, high = float(data[index].min()), float(data[index].max())
        reach = 0.2 * (high - low)
        residual = data[index] - model[index]
        axes[0, column].imshow(data[index], vmin=low, vmax=high)
        axes[1, column].imshow(model[index], vmin=low, vmax=high)
        axes[2, column].imshow(residual, vmin=-reach, vmax=reach, cmap="RdBu_r")
        axes[0, column].set_title(f"z = {result.z_nm[index]:.0f} nm", fontsize=9)
    for row, name in enumerate(("mean bead", "model", "residual (±20 % of peak)")):
        axes[row, 0].set_ylabel(name)
    for axis in axes.flatten().tolist():
        axis.set(xticks=[], yticks=[])
    return figure


def correlation_figure(result: BeadCalibration) -> Figure:
    """Correlation of model and mean bead against z."""
    figure, axes = new_figure(1, 1, 6, 3.2)
    axes[0, 0].plot(result.z_nm, result.correlation, label=f"raw, mean {result.correlation.mean():.4f}")
    masked = result.correlation_masked
    axes[0, 0].plot(result.z_nm, masked, label=f"background masked, mean {masked.mean():.4f}")
    axes[0, 0].set(xlabel="z (nm)", ylabel="correlation of model and bead")
    axes[0, 0].legend()
    return figure


def crlb_figure(psf: PupilPSF, depth_nm: NDArray[np.float64], photons: float = 1000.0) -> Figure:
    """Localization bounds at depths (Z,) for an emitter of 1000 photons on a background of 10."""
    depth = np.linspace(depth_nm.min(), depth_nm.max(), 41)
    z = torch.from_numpy(depth).to(torch.float32)
    bounds = bounds_against_z(psf, z, photons, 10.0)
    figure, axes = new_figure(1, 1, 6, 3.2)
    for column, name in enumerate("xyz"):
        axes[0, 0].plot(depth, bounds[:, column], label=name)
    title = f"{photons:.0f} photons, background 10 per pixel"
    axes[0, 0].set(xlabel="z (nm)", ylabel="lower bound (nm)", yscale="log", title=title)
    axes[0, 0].legend()
    return figure


def focal_plane_figure(psf: PupilPSF, depth_nm: NDArray[np.float64]) -> Figure:
    """Apparent depth of emitters (Z,) against the nominal focal plane: straight lines of one distance."""
    reach = float(np.ptp(depth_nm)) / 4
    centre = float(depth_nm.mean())
    z = torch.linspace(centre - reach, centre + reach, 5)
    focus = psf.nfp_nm + torch.linspace(-0.3 * reach, 0.3 * reach, 5)
    apparent = nfp_study(psf, z, focus)
    figure, axes = new_figure(1, 1, 6, 3.2)
    for column, depth in enumerate(z.tolist()):
        axes[0, 0].plot(focus.numpy(), apparent[:, column], "o-", label=f"z = {depth:.0f} nm")
    axes[0, 0].set(xlabel="nominal focal plane (nm)", ylabel="apparent z (nm)")
    axes[0, 0].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def bounds_against_z(
    psf: PSFModel, z_nm: torch.Tensor, photons: float, background: float, size_px: int = 41
) -> NDArray[np.float32]:
    """Cramer-Rao bounds (Z, 3) in nm on x, y and z of emitters on the optical axis."""
    zero = torch.zeros_like(z_nm)
    xyz = torch.stack([zero, zero, z_nm], 1)
    bounds = crlb(psf, xyz, zero + photons, zero + background, size_px)
    return np.asarray(bounds[:, :3].numpy())


def stack_figure(psf: PSFModel, z_nm: NDArray[np.float64], size_px: int = 41) -> Figure:
    """Images of a PSF at several depths (Z,), each on its own scale, with the peak's share of the photons."""
    zero = np.zeros_like(z_nm)
    xyz = torch.from_numpy(np.stack([zero, zero, z_nm], 1)).to(torch.float32)
    with torch.no_grad():
        images = psf(xyz, size_px).numpy()
    figure, axes = new_figure(1, len(z_nm), 1.9 * len(z_nm), 2.4)
    for axis, image, z in zip(axes[0], images, z_nm, strict=True):
        axis.imshow(image)
        axis.set_title(f"z = {z:.0f} nm\npeak {100 * image.max():.2f} %", fontsize=9)
        axis.set(xticks=[], yticks=[])
    return figure
