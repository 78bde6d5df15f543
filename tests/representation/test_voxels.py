import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import EmitterBatch, UserError
from autods.representation import BinaryVoxelRepresentation, GaussianVoxelRepresentation, build_representation
from autods.representation.volume import VoxelGrid, centroids, local_maxima

PIXEL, Z_MIN, Z_MAX = 100.0, -500.0, 500.0
SHAPE = (14, 17)


def gaussian(**arguments):
    return GaussianVoxelRepresentation(PIXEL, Z_MIN, Z_MAX, n_slices=20, **arguments)


def binary(**arguments):
    return BinaryVoxelRepresentation(PIXEL, Z_MIN, Z_MAX, n_slices=20, **arguments)


def emitters(*xyz, photons=None):
    position = torch.tensor(xyz, dtype=torch.double).view(-1, 3)
    flux = (
        torch.ones(len(position), dtype=torch.double) if photons is None else torch.tensor(photons).double()
    )
    return EmitterBatch.from_flat(torch.zeros(len(position), dtype=torch.long), position, flux, 1)


def shape_of(representation):
    return tuple(n * representation.grid.upsampling for n in SHAPE)


def test_the_target_is_the_gaussian_of_its_definition():
    representation = gaussian()
    volume = representation.target(emitters((423.0, 871.0, 130.0), (450.0, 880.0, 90.0)), SHAPE)[0]
    expected = torch.zeros_like(volume)
    for x, y, z in ((4.23, 8.71, 12.6), (4.5, 8.8, 11.8)):
        for k in range(20):
            for i in range(SHAPE[0]):
                for j in range(SHAPE[1]):
                    near = max(abs(k - int(z)), abs(i - int(y)), abs(j - int(x))) <= 2
                    square = (k + 0.5 - z) ** 2 + (i + 0.5 - y) ** 2 + (j + 0.5 - x) ** 2
                    expected[k, i, j] += near * 800 * math.exp(-0.5 * square / 0.65**2)
    assert torch.allclose(volume, expected, atol=1e-6)


def test_peaks_are_proportional_to_photons():
    representation = gaussian(photons_at_amplitude=5000.0)
    volume = representation.target(
        emitters((450.0, 450.0, 25.0), (1050, 450, 25), photons=[5000, 1000]), SHAPE
    )
    assert float(volume[0, 10, 4, 4]) == pytest.approx(800.0)
    assert float(volume[0, 10, 4, 10]) == pytest.approx(160.0)
    found = representation.decode(volume, 0.1)
    assert found.confidence.tolist() == pytest.approx([1.0, 0.2], rel=0.07)


@settings(deadline=None, max_examples=60)
@given(st.floats(200, 1500), st.floats(200, 1200), st.floats(-390, 390))
def test_gaussian_voxels_are_read_back_within_a_hundredth_voxel(x, y, z):
    representation = gaussian()
    found = representation.decode(representation.target(emitters((x, y, z)), SHAPE), 0.5)
    assert len(found) == 1
    assert float(found.x_px) * PIXEL == pytest.approx(x, abs=1.0)
    assert float(found.y_px) * PIXEL == pytest.approx(y, abs=1.0)
    assert float(found.z_nm) == pytest.approx(z, abs=0.5)
    assert float(found.confidence) == pytest.approx(1.0, abs=0.07)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(0, 1699.9),
    st.floats(0, 1399.9),
    st.floats(-500, 499.9),
    st.sampled_from([1, 2, 4]),
)
def test_binary_voxels_are_read_back_within_half_a_voxel(x, y, z, upsampling):
    representation = binary(upsampling=upsampling)
    volume = representation.target(emitters((x, y, z)), shape_of(representation))
    assert float(volume.sum()) == 800.0
    found = representation.decode(volume.float(), 0.5)
    assert len(found) == 1
    assert float(found.x_px) * PIXEL == pytest.approx(x, abs=0.501 * PIXEL / upsampling)
    assert float(found.y_px) * PIXEL == pytest.approx(y, abs=0.501 * PIXEL / upsampling)
    assert float(found.z_nm) == pytest.approx(z, abs=25.01)
    assert float(found.confidence) == pytest.approx(1.0, abs=1e-5)


def test_emitters_one_above_the_other_are_two():
    representation = gaussian()
    volume = representation.target(emitters((620.0, 540.0, -160.0), (620.0, 540.0, 170.0)), SHAPE)
    found = representation.decode(volume, 0.5)
    assert found.z_nm.tolist() == pytest.approx([-160, 170], abs=0.5)


def test_a_crowd_is_read_back_frame_by_frame():
    generator = torch.Generator().manual_seed(3)
    # On a grid three voxels apart, so that no two Gaussians touch, and off centre in each voxel.
    grid = torch.cartesian_prod(torch.arange(3, 60, 7), torch.arange(3, 60, 7), torch.arange(3, 18, 7))
    offset = torch.rand(grid.shape, generator=generator)
    xyz = (grid + offset) * torch.tensor([PIXEL, PIXEL, 50.0]) + torch.tensor([0.0, 0.0, Z_MIN])
    frame = torch.randint(3, (len(xyz),), generator=generator)
    truth = EmitterBatch.from_flat(frame, xyz, torch.ones(len(xyz)), 3)
    representation = gaussian()
    found = representation.decode(representation.target(truth, (64, 64)), 0.5)
    assert torch.bincount(found.frame, minlength=3).tolist() == truth.counts.tolist()
    position = torch.stack([found.x_px * PIXEL, found.y_px * PIXEL, found.z_nm], 1)
    distance = (xyz[:, None] - position).norm(dim=-1)
    distance[frame[:, None] != found.frame] = torch.inf
    assert float(distance.min(1).values.max()) < 1.5


def test_emitters_outside_the_volume_leave_no_trace():
    outside = emitters((-5.0, 500.0, 0.0), (500.0, 1405.0, 0.0), (500.0, 500.0, 505.0))
    for representation in (gaussian(), binary()):
        assert float(representation.target(outside, shape_of(representation)).abs().sum()) == 0


@pytest.mark.parametrize("representation", [gaussian(), binary(upsampling=2)], ids=["gaussian", "binary"])
def test_the_loss_prefers_the_truth(representation):
    truth, shape = emitters((620.0, 540.0, 100.0)), shape_of(representation)
    right = sum(representation.loss(representation.target(truth, shape).float(), truth).values())
    assert float(right) == pytest.approx(0, abs=1e-6)
    near = representation.target(emitters((720.0, 540.0, 100.0)), shape).float()
    far = representation.target(emitters((1220.0, 540.0, 100.0)), shape).float()
    losses = [float(sum(representation.loss(v, truth).values())) for v in (near, far)]
    assert 0 < losses[0] < losses[1]


@pytest.mark.parametrize(
    "representation",
    [
        GaussianVoxelRepresentation(PIXEL, Z_MIN, Z_MAX, n_slices=4, amplitude=2.0),
        BinaryVoxelRepresentation(PIXEL, Z_MIN, Z_MAX, n_slices=4, upsampling=1, amplitude=2.0),
    ],
    ids=["gaussian", "binary"],
)
def test_gradcheck_in_the_output(representation):
    truth = emitters((210.0, 160.0, -30.0), (390.0, 330.0, 200.0))
    output = torch.rand((1, 4, 4, 5), dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda o: sum(representation.loss(o, truth).values()), output)


def test_gradcheck_of_the_target_in_the_positions():
    representation = GaussianVoxelRepresentation(PIXEL, Z_MIN, Z_MAX, n_slices=5)
    truth = emitters((210.0, 160.0, -30.0), (390.0, 330.0, 210.0))
    xyz = truth.xyz_nm.clone().requires_grad_()

    def target(position):
        return representation.target(EmitterBatch(position, truth.photons, truth.mask), (4, 5))

    assert torch.autograd.gradcheck(target, xyz, eps=1e-3)


def test_local_maxima_and_centroids_against_plain_loops():
    volume = torch.rand((2, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    frame, voxel = local_maxima(volume, 0.5)
    expected = []
    for b in range(2):
        for z in range(5):
            for y in range(6):
                for x in range(7):
                    z0, y0, x0 = max(z - 1, 0), max(y - 1, 0), max(x - 1, 0)
                    here = volume[b, z, y, x]
                    if here >= 0.5 and here == volume[b, z0 : z + 2, y0 : y + 2, x0 : x + 2].max():
                        expected.append([b, z, y, x])
    assert torch.cat([frame[:, None], voxel], 1).tolist() == expected
    mass, offset = centroids(volume, frame, voxel, 1)
    for (b, z, y, x), m, shift in zip(expected, mass, offset, strict=True):
        z0, y0, x0 = max(z - 1, 0), max(y - 1, 0), max(x - 1, 0)
        part = volume[b, z0 : z + 2, y0 : y + 2, x0 : x + 2]
        assert float(m) == pytest.approx(float(part.sum()), rel=1e-5)
        rows = torch.arange(z0, z0 + part.shape[0]) - z
        assert float(shift[0]) == pytest.approx(float((part.sum((1, 2)) * rows).sum() / part.sum()), abs=1e-5)


def test_a_plateau_is_one_maximum():
    volume = torch.zeros(1, 5, 5, 5)
    volume[0, 2, 2:4, 2:4] = 1.0
    assert len(local_maxima(volume, 0.5)[0]) == 1


def test_empty_volumes_hold_nothing():
    for representation in (gaussian(), binary()):
        found = representation.decode(torch.zeros(2, 20, 8, 8), 0.05)
        assert len(found) == 0
        assert found.z_nm is not None


def test_a_reversed_range_is_refused():
    with pytest.raises(UserError, match="z_max_nm"):
        VoxelGrid(PIXEL, 500.0, -500.0, 20)
    with pytest.raises(UserError, match="n_slices"):
        build_representation("voxels", pixel_size_nm=PIXEL, z_min_nm=0.0, z_max_nm=1.0, n_slices=0)
