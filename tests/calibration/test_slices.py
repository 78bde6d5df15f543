import numpy as np
import pytest

from autods.calibration.bead_calibration import z_positions
from autods.calibration.slices import recorded_slices, warn_about_positions
from autods.core import UserError


def _scan(n_slices=15, size=21):
    """Return a bead that widens to both sides of its focus, with noise."""
    y, x = np.mgrid[:size, :size] - size // 2
    width = 1.3 + np.abs(np.arange(n_slices) - n_slices // 2)[:, None, None] / 4
    stack = 100 + 3000 * np.exp(-(x**2 + y**2) / (2 * width**2)) / width**2
    return np.random.default_rng(0).poisson(stack).astype(np.float32)


def test_a_whole_stack_is_used_whole():
    keep, reasons = recorded_slices(_scan())
    assert keep.all()
    assert not reasons


@pytest.mark.parametrize("value", [0.0, 100.0, np.nan])
def test_a_slice_without_an_image_is_named(value):
    stack = _scan()
    stack[7] = value
    keep, reasons = recorded_slices(stack)
    assert np.flatnonzero(~keep).tolist() == [7]
    assert reasons[0].startswith("slice 7 ")


def test_a_dark_frame_with_noise_and_a_doubled_one():
    stack = _scan()
    stack[3] = np.random.default_rng(1).poisson(100, stack.shape[1:])
    stack[11] = stack[10]
    keep, reasons = recorded_slices(stack)
    assert np.flatnonzero(~keep).tolist() == [3, 11]
    assert reasons == ["slice 3 holds no light", "slice 11 is a copy of slice 10"]


def test_slices_in_another_order_are_noticed(caplog):
    stack, z_nm = _scan(), np.linspace(-700, 700, 15)
    warn_about_positions(stack, z_nm)
    assert not caplog.text
    warn_about_positions(stack[[0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7]], z_nm)
    assert "in the order of their positions" in caplog.text


def test_a_range_that_no_bead_stack_covers(caplog):
    warn_about_positions(_scan(), np.linspace(0, 14, 15))
    assert "covers 14 nm in 15 slices" in caplog.text


@pytest.mark.parametrize("given", [{"z_step_nm": 0.05}, {"z_nm": "-0.35:0.35:15"}])
def test_steps_in_um_are_refused_with_a_guess(given):
    with pytest.raises(UserError, match="is it in um"):
        z_positions(15, **given)
