"""A wide PSF is shown to the network in squares of pixels, where it finds more in them."""

from __future__ import annotations

import torch

from autods.core import OpticalSystem
from autods.optics import PSF_MODELS, tabulate
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.told_scale import best_bin_px

_CPU = torch.device("cpu")


def _chosen(name: str, pixel_nm: float, reach_nm: float, **args: float) -> tuple[int, Extent]:
    exact = PSF_MODELS[name](OpticalSystem(pixel_nm, 660.0, 1.4), **args)
    known = KnownPsf(tabulate(exact, -reach_nm, reach_nm, 25.0, 61), (-reach_nm, reach_nm))
    extent = Extent.of(known)
    return best_bin_px(known, extent, _CPU), extent


def test_a_narrow_psf_is_shown_as_the_camera_sees_it() -> None:
    assert _chosen("astigmatism", 110.0, 400.0)[0] == 1


def test_a_psf_of_many_pixels_is_shown_in_squares() -> None:
    side, extent = _chosen("astigmatism", 45.0, 700.0, rms_waves=0.35)
    assert extent.fit_px > 30
    assert side >= 2
