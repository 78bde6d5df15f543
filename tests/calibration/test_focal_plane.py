import numpy as np
import torch

from autods.calibration.focal_plane import nfp_study, with_focus
from autods.core import OpticalSystem
from autods.optics.registry import tetrapod_psf

REFERENCE_NM = 1500.0


def test_another_focal_plane_shifts_the_apparent_depth_linearly_and_keeps_the_range():
    psf = tetrapod_psf(OpticalSystem(110, 670, 1.45, nfp_nm=REFERENCE_NM), pupil_px=48)
    z = torch.arange(600.0, 2601.0, 500.0)
    focus = torch.tensor([1200.0, 1350.0, 1500.0, 1650.0, 1800.0])
    apparent = nfp_study(psf, z, focus)
    np.testing.assert_allclose(apparent[2], z.numpy(), atol=11)
    shift = (apparent - apparent[2]).mean(1)
    slope, offset = np.polyfit(focus.numpy() - REFERENCE_NM, shift, 1)
    # Deeper focus makes emitters look shallower, by about the ratio of the indices.
    assert -1.1 < slope < -0.7
    assert abs(offset) < 15
    np.testing.assert_allclose(shift, slope * (focus.numpy() - REFERENCE_NM) + offset, atol=15)
    extent = apparent[:, -1] - apparent[:, 0]
    np.testing.assert_allclose(extent, extent[2], rtol=0.06)


def test_a_copy_with_another_focus_renders_as_asked_for():
    psf = tetrapod_psf(OpticalSystem(110, 670, 1.45), pupil_px=48)
    xyz = torch.tensor([[10.0, 0.0, 800.0]])
    direct = psf(xyz, 31, nfp_nm=torch.tensor([900.0]))
    assert torch.allclose(with_focus(psf, 900.0)(xyz, 31), direct)
    assert float(psf.nfp_nm) == 0
