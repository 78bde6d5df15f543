import json

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from autods.core import OpticalSystem, UserError
from autods.optics import load_psf
from autods.optics.registry import astigmatism_psf

Z_NM = np.arange(-400, 401, 50.0)


@pytest.fixture(scope="module")
def volume():
    psf = astigmatism_psf(OpticalSystem(110, 670, 1.2))
    z = torch.from_numpy(Z_NM).float()
    with torch.no_grad():
        return psf(torch.stack([z * 0, z * 0, z], 1), 25).numpy().astype(np.float64)


def smap(volume, **changes):
    coefficients = np.zeros((25, 25, len(volume), 64))
    coefficients[..., 0] = volume.transpose(1, 2, 0)
    coefficients[..., 1:] = 0.1
    cspline = {"coeff": coefficients, "dz": 50.0, "z0": 8.0, "x0": 13.0}
    return {"SXY": {"cspline": {**cspline, **changes}}}


def check(psf, volume):
    z = torch.tensor([-200.0, 0.0, 150.0])
    images = psf(torch.stack([z * 0, z * 0, z], 1), 25).numpy()
    index = [int(np.flatnonzero(value == Z_NM)[0]) for value in z.tolist()]
    expected = volume[index] / volume.sum((1, 2)).max()
    assert np.abs(images - expected).max() < 2e-3 * expected.max()


def test_smap_calibration_renders_its_samples(tmp_path, volume):
    savemat(tmp_path / "beads_3dcal.mat", smap(volume))
    psf = load_psf(tmp_path / "beads_3dcal.mat", pixel_size_nm=110.0)
    assert psf.pixel_size_nm == 110
    check(psf, volume)


def test_smap_coefficients_in_a_cell(tmp_path, volume):
    content = smap(volume)
    cell = np.empty((1, 1), object)
    cell[0, 0] = content["SXY"]["cspline"]["coeff"]
    content["SXY"]["cspline"]["coeff"] = cell
    savemat(tmp_path / "beads_3dcal.mat", content)
    check(load_psf(tmp_path / "beads_3dcal.mat", pixel_size_nm=110.0), volume)


def test_smap_calibration_saved_as_matlab_73(tmp_path, volume):
    coefficients = smap(volume)["SXY"]["cspline"]["coeff"]
    with h5py.File(tmp_path / "cal.mat", "w") as file:
        group = file.create_group("SXY/cspline")
        group["coeff"], group["dz"], group["z0"] = coefficients.T, [[50.0]], [[8.0]]
    check(load_psf(tmp_path / "cal.mat", pixel_size_nm=110.0), volume)


def test_uipsf_model_renders_its_samples(tmp_path, volume):
    with h5py.File(tmp_path / "psf.h5", "w") as file:
        file["res/I_model"] = volume
        file.attrs["params"] = json.dumps({"pixel_size": {"x": 0.11, "y": 0.11, "z": 0.05}})
    psf = load_psf(tmp_path / "psf.h5")
    assert psf.pixel_size_nm == pytest.approx(110)
    check(psf, volume)


def test_what_is_missing_is_said(tmp_path, volume):
    savemat(tmp_path / "a.mat", smap(volume))
    with pytest.raises(UserError, match=r"optics\.pixel_size_nm"):
        load_psf(tmp_path / "a.mat")
    savemat(tmp_path / "b.mat", {"something": 1.0})
    with pytest.raises(UserError, match="holds no cubic spline"):
        load_psf(tmp_path / "b.mat", pixel_size_nm=110.0)
    savemat(tmp_path / "c.mat", smap(volume, coeff=np.zeros((5, 5, 5, 27))))
    with pytest.raises(UserError, match="shape"):
        load_psf(tmp_path / "c.mat", pixel_size_nm=110.0)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["res/I_model"] = volume
    with pytest.raises(UserError, match="pixel_size"):
        load_psf(tmp_path / "d.h5")
