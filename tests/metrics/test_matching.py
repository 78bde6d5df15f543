import numpy as np
import pytest

from autods.core import LocalizationTable, UserError
from autods.metrics import matching
from autods.metrics.matching import match, match_arrays
from tests.metrics import scorer
from tests.metrics.reference import dense_match, random_tables


def total(truth, found, pairs):
    return np.linalg.norm(truth[pairs[0]] - found[pairs[1]], axis=1).sum()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side_nm", [800.0, 3000.0, 20000.0])
def test_equals_dense_hungarian(seed, side_nm):
    tf, t, ff, f = random_tables(seed, side_nm=side_nm)
    pairs, reference = match_arrays(tf, t, ff, f, 200.0), dense_match(tf, t, ff, f, 200.0)
    assert len(pairs[0]) == len(reference[0])
    assert total(t, f, pairs) == pytest.approx(total(t, f, reference))
    assert (tf[pairs[0]] == ff[pairs[1]]).all()
    assert len(np.unique(pairs[0])) == len(pairs[0]) == len(np.unique(pairs[1]))


@pytest.mark.parametrize("seed", range(3))
def test_cylinder_equals_dense_hungarian(seed):
    tf, t, ff, f = random_tables(seed, dims=3, side_nm=1500.0)
    pairs, reference = match_arrays(tf, t, ff, f, 200.0, 150.0), dense_match(tf, t, ff, f, 200.0, 150.0)
    assert len(pairs[0]) == len(reference[0]) > 0
    assert total(t, f, pairs) == pytest.approx(total(t, f, reference))
    assert np.abs(t[pairs[0], 2] - f[pairs[1], 2]).max() <= 150.0


def test_sparse_solver_equals_dense_solver(monkeypatch):
    tf, t, ff, f = random_tables(1, n_frames=2, per_frame=300, side_nm=2000.0)
    dense = match_arrays(tf, t, ff, f, 200.0)
    monkeypatch.setattr(matching, "_DENSE_CELLS", 0)
    sparse = match_arrays(tf, t, ff, f, 200.0)
    assert len(sparse[0]) == len(dense[0])
    assert total(t, f, sparse) == pytest.approx(total(t, f, dense))
    assert len(np.unique(sparse[1])) == len(sparse[1])


@pytest.mark.parametrize("cells", [0, 40_000])
def test_pairs_come_before_distance(monkeypatch, cells):
    """The nearest pair (0 nm) is given up for two pairs of 150 nm."""
    monkeypatch.setattr(matching, "_DENSE_CELLS", cells)
    truth, found = np.array([[0.0, 0.0], [150.0, 0.0]]), np.array([[0.0, 0.0], [-150.0, 0.0]])
    zero = np.zeros(2, int)
    pairs = match_arrays(zero, truth, zero, found, 160.0)
    assert pairs[0].tolist() == [0, 1]
    assert pairs[1].tolist() == [1, 0]


def test_agrees_with_the_independent_scorer():
    tf, t, ff, f = random_tables(7, n_frames=20)
    expected = scorer.match(np.c_[tf, t], np.c_[ff, f], 200.0)
    pairs = match_arrays(tf, t, ff, f, 200.0)
    assert set(map(tuple, expected)) == set(zip(*pairs, strict=True))


def test_radius_is_inclusive_and_lateral_without_axial_radius():
    zero = np.zeros(1, int)
    truth, found = np.array([[0.0, 0.0, 0.0]]), np.array([[120.0, 160.0, 5000.0]])
    assert len(match_arrays(zero, truth, zero, found, 200.0)[0]) == 1
    assert len(match_arrays(zero, truth, zero, found, 199.999)[0]) == 0
    assert len(match_arrays(zero, truth, zero, found, 200.0, 4999.0)[0]) == 0
    assert len(match_arrays(zero, truth, zero + 1, found, 200.0)[0]) == 0


def test_empty_and_non_finite_rows_stay_unpaired():
    zero, one = np.zeros(0, int), np.zeros(1, int)
    assert len(match_arrays(zero, np.zeros((0, 2)), one, np.zeros((1, 2)), 200.0)[0]) == 0
    found = np.array([[np.nan, 0.0], [10.0, 0.0]])
    pairs = match_arrays(one, np.zeros((1, 2)), np.zeros(2, int), found, 200.0)
    assert [p.tolist() for p in pairs] == [[0], [1]]


def test_tables_and_missing_z():
    flat = LocalizationTable.build(np.array([0, 1]), np.array([0.0, 5.0]), np.array([0.0, 5.0]))
    deep = LocalizationTable.build(flat.frame, flat.x_nm, flat.y_nm, z_nm=np.array([0.0, 400.0]))
    assert match(flat, deep, 200.0).found_index.tolist() == [0, 1]
    assert len(match(deep, deep, 200.0, 100.0)) == 2
    with pytest.raises(UserError, match="truth have no z"):
        match(flat, deep, 200.0, 100.0)


def test_bad_radius():
    with pytest.raises(ValueError, match="greater than 0"):
        match_arrays(np.zeros(1, int), np.zeros((1, 2)), np.zeros(1, int), np.zeros((1, 2)), 0.0)
