"""``autods calibrate method=insitu``: the PSF from blinking molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autods.cli.faults import DONE
from autods.core import OpticalSystem

if TYPE_CHECKING:
    from torch import Tensor

    from autods.calibration.insitu import InsituSettings
    from autods.configuration.schema3d import InsituConfig


def run_insitu(
    frames: NDArray[np.float32],
    optics: OpticalSystem,
    wanted: InsituConfig,
    nominal: Tensor | None,
    folder: Path,
    source: dict[str, str],
) -> int:
    """Calibrate from the molecules of frames (T, Y, X) into a folder and print what came out."""
    from autods.calibration.insitu import calibrate_insitu
    from autods.calibration.insitu_report import write_insitu
    from autods.calibration.molecules import collect_molecules

    molecules = collect_molecules(frames, wanted.size_px, wanted.max_molecules)
    result = calibrate_insitu(molecules, optics, insitu_settings(wanted), nominal)
    write_insitu(result, molecules, folder, source)
    low, high = result.axial_scale_range
    print(f"molecules     {len(molecules)}")
    print(f"correlation   mean {result.correlation.mean():.4f}, lowest {result.correlation.min():.4f}")
    print(f"blur sigma    {float(result.psf.blur_sigma_nm):.0f} nm")
    print(f"axial scale   the depths fit as well multiplied by {low:g} to {high:g}")
    if result.is_scale_ambiguous:
        print("note          give a designed mask (mask.file), or beads, to fix the axial scale")
    print("note          molecules alone cannot tell up from down: the first guess decides the sign of z")
    print(folder / "psf.h5")
    return DONE


def insitu_settings(config: InsituConfig) -> InsituSettings:
    """Turn the settings into the typed ones of the calibration."""
    from autods.calibration.insitu import InsituSettings

    low = -600.0 if config.z_min_nm is None else config.z_min_nm
    high = 600.0 if config.z_max_nm is None else config.z_max_nm
    return InsituSettings(
        z_range_nm=(low, high),
        start_waves=config.start_waves,
        start_angle_deg=config.start_angle_deg,
        rounds=config.rounds,
    )
