import numpy as np
import pytest
import torch
from scipy.special import eval_jacobi

from autods.optics.zernike import noll_to_nm, radial, zernike, zernike_basis, zernike_name

NOLL_TABLE = [
    (0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3),
    (4, 0), (4, 2), (4, -2), (4, 4), (4, -4), (5, 1), (5, -1), (5, 3), (5, -3), (5, 5), (5, -5), (6, 0),
]  # fmt: skip


def disc(samples=201):
    axis = torch.linspace(-1, 1, samples, dtype=torch.float64)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return u, v, torch.hypot(u, v) <= 1


def test_orders_follow_the_published_table():
    assert [noll_to_nm(j) for j in range(1, 23)] == NOLL_TABLE


def test_impossible_orders_are_refused():
    with pytest.raises(ValueError, match="from 1"):
        noll_to_nm(0)


@pytest.mark.parametrize(("n", "m"), [(2, 0), (4, 2), (6, 0), (7, 3), (8, 8), (9, 5)])
def test_radial_polynomials_are_scipys_jacobi_polynomials(n, m):
    rho = torch.linspace(0, 1, 101, dtype=torch.float64)
    k = (n - m) // 2
    expected = (-1) ** k * rho.numpy() ** m * eval_jacobi(k, m, 0, 1 - 2 * rho.numpy() ** 2)
    np.testing.assert_allclose(radial(n, m, rho).numpy(), expected, atol=1e-10)


def test_modes_are_orthonormal_over_the_disc():
    u, v, inside = disc()
    basis = zernike_basis(list(range(1, 29)), u, v)[:, inside]
    gram = basis @ basis.T / inside.sum()
    assert torch.allclose(gram, torch.eye(28, dtype=torch.float64), atol=0.04)


def test_signs_and_axes():
    one, zero = torch.tensor(1.0), torch.tensor(0.0)
    assert zernike(2, one, zero) == pytest.approx(2)
    assert zernike(3, one, zero) == pytest.approx(0)
    assert zernike(3, zero, one) == pytest.approx(2)
    assert zernike(6, one, zero) > 0 > zernike(6, zero, one)


def test_names():
    assert zernike_name(4) == "defocus"
    assert zernike_name(30) == "Z(7, 1)"
