"""``autods psf show FILE``: a picture of any PSF file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.configuration.compose import load
from autods.configuration.schema import PsfShowConfig
from autods.core import UserError


def run(arguments: Arguments) -> int:
    """Render a PSF's z-stack to ``NAME_psf.png`` (in ``--out`` or the current folder)."""
    from autods.calibration.bead_report import save_figure, stack_figure
    from autods.optics.storage import load_psf

    config = load(PsfShowConfig, arguments.overrides)
    words = list(arguments.paths)
    if str(words[0]) != "show" or len(words) != 2:
        raise UserError("autods psf: write `autods psf show FILE`")
    path, show = words[1], config.show
    if not 1 <= show.slices <= 50 or show.size_px < 5:
        raise UserError("show.slices must lie in 1 to 50 and show.size_px be at least 5")
    psf = load_psf(path, config.optics.nfp_nm, config.optics.pixel_size_nm)
    depths = np.linspace(show.z_min_nm, show.z_max_nm, show.slices)
    target = (arguments.out or Path()) / f"{path.stem}_psf.png"
    save_figure(stack_figure(psf, depths, show.size_px), target)
    print(target)
    return DONE
