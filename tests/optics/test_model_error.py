"""A PSF that shows emitters where beads were."""

import numpy as np
import torch

from autods.core import OpticalSystem
from autods.optics import PSF_MODELS, ScalarPSF
from autods.optics.model_error import CorrectedPSF, ModelError
from autods.optics.storage import load_error, save_psf

DEPTH = np.array([-400.0, -150.0, 0.0, 400.0])
NONE = np.zeros(4)
#: Displacements along x, y and z, all different.
MOVED = np.array([[20.0, 0.0, -30.0], [10.0, -5.0, -12.0], [0.0, -8.0, 0.0], [-6.0, 4.0, 16.0]])
ERROR = ModelError(DEPTH, NONE + 1.0, NONE + 2.0, NONE + 0.9, MOVED)


def test_images_are_those_of_where_a_fit_sees_the_bead_and_slopes_follow():
    psf = PSF_MODELS["astigmatic_gaussian"](OpticalSystem(100.0, 660.0, 1.4))
    corrected = CorrectedPSF(psf, ERROR)
    xyz = torch.tensor([[13.0, -7.0, -275.0], [0.0, 0.0, 200.0], [5.0, 5.0, 900.0], [0.0, 0.0, -400.0]])
    seen = xyz + torch.tensor([[15.0, -2.5, -21.0], [-3.0, -2.0, 8.0], [-6.0, 4.0, 16.0], [20.0, 0.0, -30.0]])
    torch.testing.assert_close(corrected(xyz, 11), psf(seen, 11))
    at = torch.tensor([[3.0, 4.0, -100.0]], requires_grad=True)
    slope = torch.autograd.grad(corrected(at, 7)[0, 2, 1], at)[0][0, 2]
    step = torch.tensor([[0.0, 0.0, 2.0]])
    with torch.no_grad():
        numeric = (corrected(at + step, 7) - corrected(at - step, 7))[0, 2, 1] / 4
    torch.testing.assert_close(slope, numeric, rtol=0.02, atol=1e-8)


def test_the_error_of_a_calibration_is_kept_in_its_file_and_moves_with_the_focus(tmp_path):
    optics = OpticalSystem(100.0, 660.0, 1.3)
    save_psf(ScalarPSF(optics), tmp_path / "psf.h5", {}, error=ERROR)
    read = load_error(tmp_path / "psf.h5")
    for name, value in vars(ERROR).items():
        np.testing.assert_array_equal(getattr(read, name), value)
    moved = ERROR.moved(100.0)
    np.testing.assert_array_equal(moved.depth_nm, DEPTH + 100)
    np.testing.assert_array_equal(moved.displacement_nm, MOVED)
