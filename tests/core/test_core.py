import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autods.core import Camera, EmitterBatch, LocalizationTable, OpticalSystem, UserError
from autods.core.grid import index_to_nm, nm_to_index, nm_to_px, px_to_nm


def test_pixel_centres_are_half_a_pixel_from_the_corner():
    assert index_to_nm(0.0, 100.0) == 50.0
    assert nm_to_px(50.0, 100.0) == 0.5
    assert nm_to_index(50.0, 100.0) == 0.0


@given(st.floats(-1e5, 1e5), st.floats(10, 500))
def test_conversions_invert_each_other(x, pixel):
    assert px_to_nm(nm_to_px(x, pixel), pixel) == pytest.approx(x, abs=1e-6)
    assert index_to_nm(nm_to_index(x, pixel), pixel) == pytest.approx(x, abs=1e-6)


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(7, 9))
def test_flat_and_padded_emitters_are_the_same(frames, n_frames):
    frame = torch.tensor(frames, dtype=torch.long)
    xyz = torch.arange(3.0 * len(frames)).view(-1, 3)
    photons = torch.arange(1.0, len(frames) + 1)
    batch = EmitterBatch.from_flat(frame, xyz, photons, n_frames)
    assert len(batch) == n_frames
    assert batch.counts.tolist() == torch.bincount(frame, minlength=n_frames).tolist()
    back_frame, back_xyz, back_photons = batch.flat()
    order = torch.argsort(frame, stable=True)
    assert torch.equal(back_frame, frame[order])
    assert torch.equal(back_xyz, xyz[order])
    assert torch.equal(back_photons, photons[order])


def test_concatenated_batches_keep_every_emitter():
    one = EmitterBatch.from_flat(torch.tensor([0, 0]), torch.ones(2, 3), torch.tensor([1.0, 2.0]), 1)
    two = EmitterBatch.from_flat(torch.tensor([1]), torch.ones(1, 3), torch.tensor([3.0]), 2)
    frame, _, photons = EmitterBatch.concatenate([one, two]).flat()
    assert frame.tolist() == [0, 0, 2]
    assert photons.tolist() == [1.0, 2.0, 3.0]


def test_emitter_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes disagree"):
        EmitterBatch(torch.zeros(2, 3, 3), torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool))


def test_camera_units():
    camera = Camera(offset_adu=100, e_per_adu=45, em_gain=300, qe=0.9)
    adu = np.array([[100.0, 700.0]])
    assert camera.to_photons(adu) == pytest.approx(np.array([[0.0, 600 * 45 / 300 / 0.9]]))
    assert torch.allclose(camera.to_photons(torch.tensor(adu)), torch.tensor([[0.0, 100.0]]))
    assert camera.excess_noise_factor == 2
    assert Camera(em_gain=None).excess_noise_factor == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"e_per_adu": 0},
        {"em_gain": 0},
        {"qe": 1.2},
        {"qe": 0},
        {"read_noise_e": -1},
        {"spurious_charge_e": -1},
    ],
)
def test_impossible_cameras_are_refused(arguments):
    with pytest.raises(UserError, match=next(iter(arguments))):
        Camera(**arguments)


def test_a_camera_map_must_have_the_frames_shape():
    with pytest.raises(UserError, match=r"\(3, 4\).*\(5, 5\)"):
        Camera(offset_adu=np.zeros((3, 4))).to_photons(np.zeros((2, 5, 5)))


def test_airy_width():
    optics = OpticalSystem(pixel_size_nm=100, wavelength_nm=660, na=1.4)
    assert optics.airy_sigma_nm == pytest.approx(99)
    assert optics.airy_sigma_px == pytest.approx(0.99)
    assert OpticalSystem(pixel_size_nm=100).airy_sigma_px is None


@pytest.mark.parametrize("arguments", [{"pixel_size_nm": 0}, {"pixel_size_nm": 100, "na": 1.6}])
def test_impossible_optics_are_refused(arguments):
    with pytest.raises(UserError, match=r"optics\."):
        OpticalSystem(**arguments)


def test_tables_sort_select_and_join():
    table = LocalizationTable.build(
        np.array([1, 0, 0]),
        np.array([5.0, 2.0, 1.0]),
        np.array([0.0, 3.0, 3.0]),
        photons=np.array([1.0, 2, 3]),
    )
    ordered = table.sorted()
    assert ordered.frame.tolist() == [0, 0, 1]
    assert ordered.x_nm.tolist() == [1.0, 2.0, 5.0]
    assert np.isnan(ordered.sigma_nm).all()
    joined = LocalizationTable.concatenate([table, ordered])
    assert len(joined) == 6
    assert not joined.is_3d
    assert len(LocalizationTable.concatenate([])) == 0
    assert LocalizationTable.empty(is_3d=True).is_3d


def test_table_columns_must_have_one_length():
    with pytest.raises(ValueError, match="y_nm"):
        LocalizationTable.build(np.zeros(2), np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="no such column"):
        LocalizationTable.build(np.zeros(2), np.zeros(2), np.zeros(2), colour=np.zeros(2))
