import numpy as np
import pytest

from autods.rendering import render_cross_section

X, Y, Z = np.array([200.0, 700.0]), np.array([100.0, 300.0]), np.array([-300.0, 350.0])
FIELD, RANGE = (400.0, 1000.0), (-500.0, 500.0)


@pytest.mark.parametrize(("plane", "columns"), [("xz", (20, 70)), ("yz", (10, 30))])
def test_z_points_up(plane, columns):
    image = render_cross_section(X, Y, Z, 4.0, 4.0, FIELD, RANGE, 10.0, plane)
    assert image.shape == (100, 100 if plane == "xz" else 40)
    low, high = image[50:], image[:50]
    assert low.sum() == pytest.approx(1, rel=1e-3)
    assert high.sum() == pytest.approx(1, rel=1e-3)
    rows, cols = np.indices(image.shape) + 0.5
    assert (high * rows[:50]).sum() == pytest.approx(15, abs=0.02)
    assert (low * rows[50:]).sum() == pytest.approx(80, abs=0.02)
    assert (low * cols[50:]).sum() == pytest.approx(columns[0], abs=0.02)
    assert (high * cols[:50]).sum() == pytest.approx(columns[1], abs=0.02)


def test_the_axial_width_is_its_own():
    image = render_cross_section(X[:1], Y[:1], Z[:1], 4.0, 40.0, FIELD, RANGE, 10.0, "xz")
    assert image.sum() == pytest.approx(1, rel=1e-3)
    rows, cols = (np.indices(image.shape) + 0.5) * 10
    assert np.sqrt((image * (rows - 800) ** 2).sum()) == pytest.approx(40, rel=0.03)
    assert np.sqrt((image * (cols - 200) ** 2).sum()) < 8


def test_empty_range():
    with pytest.raises(ValueError, match="empty"):
        render_cross_section(X, Y, Z, 4.0, 4.0, FIELD, (100.0, 100.0), 10.0)
