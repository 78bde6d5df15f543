"""What another nominal focal plane does to the apparent depth of emitters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from autods.calibration.focal_plane import nfp_study
from autods.io.result_tables import Row, Table
from autods.optics import PupilPSF
from benchmarks.style import lines, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Nfp:
    """The suite ``nfp``.

    Parameters
    ----------
    psfs
        Diffraction models by name; their own focal plane is the one that is assumed.
    offsets_nm
        Where the focal plane really is, less what is assumed, nm.
    z_min_nm, z_max_nm, z_step_nm
        Depths of the emitters.
    size_px
        Side of the images that are compared.
    """

    psfs: Mapping[str, PupilPSF]
    offsets_nm: Sequence[float] = (-400, -200, -100, 0, 100, 200, 400)
    z_min_nm: float = 0.0
    z_max_nm: float = 2000.0
    z_step_nm: float = 100.0
    size_px: int = 41
    name: str = "nfp"

    def run(self) -> SuiteResult:
        """Find the depths at which the assumed focal plane explains the images best."""
        z_nm = torch.arange(self.z_min_nm, self.z_max_nm + 1, self.z_step_nm)
        rows: list[Row] = []
        depths: list[Row] = []
        for name, psf in self.psfs.items():
            planes = float(psf.nfp_nm) + torch.tensor([float(offset) for offset in self.offsets_nm])
            apparent = nfp_study(psf, z_nm, planes, self.size_px)
            for offset, found in zip(self.offsets_nm, apparent, strict=True):
                true = z_nm.numpy().astype(np.float64)
                slope, start = np.polyfit(true, found, 1)
                rest = found - (slope * true + start)
                rows.append(
                    {
                        "psf": name,
                        "offset_nm": offset,
                        "shift_nm": float((found - true).mean()),
                        "slope": float(slope),
                        "rms_about_line_nm": float(np.sqrt((rest**2).mean())),
                    }
                )
                depths += [
                    {"psf": name, "offset_nm": offset, "z_nm": float(z), "apparent_z_nm": float(seen)}
                    for z, seen in zip(true, found, strict=True)
                ]
        notes = [
            "Noise-free images of emitters seen with the real focal plane, each compared with a library of"
            " the assumed one in steps of 20 nm; apparent depth: the best correlation."
        ]
        tables = [
            Table("results", "Apparent against true depth", rows),
            Table("depths", "Each depth", depths),
        ]
        title = "A focal plane that is not where it is assumed"
        return SuiteResult(title, tables, {"shift": _figure(rows)}, notes)


def _figure(rows: Sequence[Row]) -> Figure:
    names = list(dict.fromkeys(str(row["psf"]) for row in rows))
    offsets = list(dict.fromkeys(float(row["offset_nm"] or 0) for row in rows))
    figure, axes = panels(2)
    labels = {"shift_nm": "mean shift of z, nm", "rms_about_line_nm": "rms about a straight line, nm"}
    for axis, (column, label) in zip(axes, labels.items(), strict=True):
        series = {name: [float(row[column] or 0) for row in rows if row["psf"] == name] for name in names}
        lines(axis, offsets, series, ("real less assumed focal plane, nm", label))
    axes[0].legend(frameon=False, fontsize=8)
    return figure
