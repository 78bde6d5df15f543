import numpy as np
import pytest
import torch

from autods.inference.joint_errors import joint_variances

SIZE = 9


def emitters(places, seed=0):
    """Slopes of blurred spots in their windows, weights, and the whole design matrix of a 40 px frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    slopes = []
    for _ in places:
        spot = np.exp(-((x - 0.3 * rng.standard_normal()) ** 2 + y**2) / rng.uniform(3, 5))
        slopes.append([x * spot, y * spot, (x**2 - y**2) * spot, spot, np.ones_like(spot)])
    design = np.zeros((len(places), 5, 40, 40))
    for k, (column, row) in enumerate(places):
        rows = slice(row - SIZE // 2, row + SIZE // 2 + 1)
        columns = slice(column - SIZE // 2, column + SIZE // 2 + 1)
        design[k, :, rows, columns] = np.asarray(slopes[k])
    flat = torch.from_numpy(np.asarray(slopes)).flatten(2).float()
    return flat, torch.full((len(places), SIZE**2), 2.0), design


def bound(design, k):
    """Variances (5,) of one emitter, all fitted together, the others without backgrounds of their own."""
    rows = [design[k].reshape(5, -1)]
    rows += [design[other, :4].reshape(4, -1) for other in range(len(design)) if other != k]
    matrix = np.concatenate(rows)
    return np.diag(np.linalg.inv(2.0 * matrix @ matrix.T))[:5]


@pytest.mark.parametrize(
    "places",
    [[(10, 10), (13, 11)], [(10, 10), (13, 11), (15, 8)], [(10, 10), (30, 30)], [(20, 20), (21, 20)]],
)
def test_errors_are_those_of_the_joint_fit(places):
    slopes, weight, design = emitters(places)
    fisher = torch.einsum("nip,np,njp->nij", slopes, weight, slopes).double()
    corner = torch.tensor(places).float()
    one = torch.zeros(len(places), dtype=torch.int64)
    found = joint_variances(fisher, slopes, weight, corner, one, one == 0)
    for k in range(len(places)):
        np.testing.assert_allclose(found[k].numpy(), bound(design, k), rtol=0.02)


def test_other_frames_and_emitters_without_light_do_not_count():
    slopes, weight, _ = emitters([(10, 10), (12, 10)])
    fisher = torch.einsum("nip,np,njp->nij", slopes, weight, slopes).double()
    corner = torch.tensor([[10.0, 10.0], [12.0, 10.0]])
    alone = torch.linalg.inv(fisher).diagonal(dim1=1, dim2=2)
    for frame, lit in (([0, 1], [True, True]), ([0, 0], [True, False])):
        found = joint_variances(fisher, slopes, weight, corner, torch.tensor(frame), torch.tensor(lit))
        np.testing.assert_allclose(found[0].numpy(), alone[0].numpy(), rtol=1e-3)
