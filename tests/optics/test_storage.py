import numpy as np
import pytest
import torch
from scipy.io import savemat

from autods.core import OpticalSystem, UserError
from autods.optics import ScalarPSF, VectorialPSF, load_psf, save_psf, tabulate
from autods.optics.phase_masks import zernike_mask
from autods.optics.storage import zernike_table

OPTICS = OpticalSystem(110, 670, 1.3, nfp_nm=500.0)
XYZ = torch.tensor([[20.0, -30.0, 250.0], [0.0, 0.0, 900.0]])


def aberrated(kind):
    plain = kind(OPTICS, pupil_px=48)
    phase = zernike_mask(plain.pupil, {6: 0.1, 8: -0.05})
    return kind(OPTICS, phase, 1 + 0.1 * plain.pupil.u, 55.0, supercritical=False)


@pytest.mark.parametrize("kind", [ScalarPSF, VectorialPSF])
def test_a_stored_psf_renders_the_same(tmp_path, kind):
    psf = aberrated(kind)
    save_psf(psf, tmp_path / "psf.h5", {"source": "beads.tif"})
    again = load_psf(tmp_path / "psf.h5")
    assert type(again) is kind
    assert torch.equal(psf(XYZ, 15), again(XYZ, 15))


def test_a_stored_table_renders_the_same(tmp_path):
    psf = tabulate(aberrated(ScalarPSF), 0, 600, 50.0, 21)
    save_psf(psf, tmp_path / "psf.h5", {})
    assert torch.allclose(psf(XYZ, 15), load_psf(tmp_path / "psf.h5")(XYZ, 15), atol=1e-7)


def test_another_focal_plane_can_be_asked_for(tmp_path):
    save_psf(aberrated(ScalarPSF), tmp_path / "psf.h5", {})
    moved = load_psf(tmp_path / "psf.h5", nfp_nm=1500.0)
    assert float(moved.nfp_nm) == 1500
    direct = aberrated(ScalarPSF)(XYZ, 15, nfp_nm=torch.tensor([1500.0, 1500.0]))
    assert torch.allclose(moved(XYZ, 15), direct)


def test_zernikes_come_back():
    table = zernike_table(aberrated(ScalarPSF), 15)
    expected = np.zeros(15)
    expected[[5, 7]] = 0.1, -0.05
    np.testing.assert_allclose(table, expected, atol=2e-3)


def test_zernikes_of_a_wrapped_phase_come_back():
    psf = ScalarPSF(OPTICS, pupil_px=64)
    phase = zernike_mask(psf.pupil, {4: 0.5, 6: 0.3})
    wrapped = ScalarPSF(OPTICS, torch.angle(torch.exp(1j * phase)))
    table = zernike_table(wrapped, 15)
    assert table[3] == pytest.approx(0.5, abs=0.01)
    assert table[5] == pytest.approx(0.3, abs=0.01)


def test_files_that_are_no_psf_are_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_psf(tmp_path / "absent.h5")
    text = tmp_path / "text.mat"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"text\.mat: is no PSF file"):
        load_psf(text)
    savemat(text, {"SXY": np.arange(20.0)}, do_compression=True)
    whole = text.read_bytes()
    for length in range(len(whole) - 1):
        text.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"text\.mat: (is no PSF|holds no cubic spline)"):
            load_psf(text)
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match=r"other\.h5: is no PSF that autods knows"):
        load_psf(tmp_path / "other.h5")
    with h5py.File(tmp_path / "broken.h5", "w") as file:
        file.attrs["format"], file.attrs["kind"] = "autods-psf", "scalar"
    with pytest.raises(UserError, match="damaged"):
        load_psf(tmp_path / "broken.h5")
