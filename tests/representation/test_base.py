import numpy as np
import torch

from autods.representation import Detections


def detections(n, first=0.0, **columns):
    place = first + torch.arange(n, dtype=torch.float64)
    return Detections(torch.arange(n), place, place + 0.5, torch.ones(n, dtype=torch.float64), **columns)


def test_batches_are_joined_with_their_first_frames():
    joined = Detections.concatenate([detections(2), detections(3)], [0, 10])
    assert joined.frame.tolist() == [0, 1, 10, 11, 12]
    assert joined.x_px.tolist() == [0, 1, 0, 1, 2]
    assert len(Detections.concatenate([])) == 0


def test_what_one_part_does_not_tell_is_not_known_there():
    told = detections(2, z_nm=torch.tensor([5.0, 6.0]), tile=torch.tensor([3, 4]))
    joined = Detections.concatenate([told, detections(1)])
    assert joined.frame.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(joined.z_nm, [5.0, 6.0, np.nan])
    assert joined.tile is None
    assert joined.photons is None
    both = Detections.concatenate([told, detections(1, tile=torch.tensor([7]))])
    assert both.tile.tolist() == [3, 4, 7]


def test_rows_are_chosen_by_mask_and_by_index_of_either_library():
    found = detections(3, photons=torch.tensor([10.0, 20.0, 30.0]))
    for rows in (found.photons > 15, np.array([False, True, True]), np.array([1, 2]), torch.tensor([1, 2])):
        assert found.select(rows).photons.tolist() == [20, 30]


def test_on_the_host_numbers_are_double_and_indices_whole():
    found = Detections(
        torch.tensor([1]), *torch.tensor([[0.1], [0.2], [0.9]]), tile=torch.tensor([2])
    ).on_host()
    frame, x, y = found.places()
    assert (frame.dtype, x.dtype, found.tile.dtype) == (np.int64, np.float64, torch.int64)
    assert y[0] == float(np.float32(0.2))
