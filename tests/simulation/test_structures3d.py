import pytest
import torch

from autods.simulation import STRUCTURES_3D
from autods.simulation.structures3d import lamina, microtubules, nuclear_pores

FIELD = (8000.0, 6000.0, -1000.0, 1500.0)
CENTRE, AXES = torch.tensor([4000.0, 3000.0, 250.0]), 0.45 * torch.tensor([8000.0, 6000.0, 2500.0])


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", STRUCTURES_3D)
def test_structures_fill_the_depths_and_keep_to_the_field(name):
    xyz = STRUCTURES_3D[name](*FIELD, generator()).xyz_nm
    low, high = torch.tensor([0.0, 0.0, -1000.0]), torch.tensor([8000.0, 6000.0, 1500.0])
    assert bool(((xyz >= low) & (xyz <= high)).all())
    assert bool(((xyz.amax(0) - xyz.amin(0)) > 0.6 * (high - low)).all())


def test_neighbours_along_a_filament_are_a_tube_apart_at_most():
    xyz = microtubules(1e6, 1e6, -500.0, 500.0, generator(), per_100_um2=1e-6, tube_nm=0.0).xyz_nm[:2000]
    step = xyz.diff(dim=0)
    assert step[:, :2].norm(dim=1).tolist() == pytest.approx([12.0] * 1999, abs=1.0)
    assert float(step[:, 2].abs().max()) <= 0.25 * 12.0 + 1e-3


def test_the_lamina_is_a_thin_shell_evenly_labelled():
    xyz = lamina(*FIELD, generator(), thickness_nm=0.0, per_um2=400.0).xyz_nm
    unit = (xyz - CENTRE) / AXES
    assert unit.norm(dim=1).tolist() == pytest.approx([1.0] * len(xyz), abs=1e-4)
    # Caps |z| > c/2 against a numerical integral of the surface of the ellipsoid.
    theta = (torch.arange(400) + 0.5) / 400 * torch.pi
    phi = (torch.arange(400) + 0.5) / 400 * 2 * torch.pi
    t, p = torch.meshgrid(theta, phi, indexing="ij")
    direction = torch.stack([t.sin() * p.cos(), t.sin() * p.sin(), t.cos()], -1)
    area = (direction / AXES).norm(dim=-1) * t.sin()
    expected = area[direction[..., 2].abs() > 0.5].sum() / area.sum()
    assert float((unit[:, 2].abs() > 0.5).float().mean()) == pytest.approx(float(expected), abs=0.01)
    total_um2 = float(area.sum() * AXES.prod() * (torch.pi / 400) * (2 * torch.pi / 400)) * 1e-6
    assert len(xyz) / 400 == pytest.approx(total_um2, rel=0.02)


def test_pores_are_rings_of_their_size_on_the_shell():
    xyz = nuclear_pores(*FIELD, generator(), n_labels=1).xyz_nm.view(-1, 2, 8, 3)
    centre = xyz.mean((1, 2), keepdim=True)
    assert ((centre.squeeze() - CENTRE) / AXES).norm(dim=1).tolist() == pytest.approx(
        [1.0] * len(xyz), abs=0.02
    )
    radius = (xyz - xyz.mean(2, keepdim=True)).norm(dim=-1)
    assert float(radius.mean()) == pytest.approx(53.5, abs=1.5)
    rings = xyz.mean(2)
    assert float((rings[:, 1] - rings[:, 0]).norm(dim=1).mean()) == pytest.approx(50.0, abs=1.5)
