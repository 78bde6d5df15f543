import numpy as np
import pytest

from autods.calibration.beads import collect_beads
from autods.core import UserError
from tests.calibration.simulated import field_of_beads, known_phase


def test_finds_registers_and_averages_beads():
    centres = [(24.7, 25.2), (70.4, 30.5), (40.1, 70.8)]
    stack, _ = field_of_beads(centres)
    result = collect_beads(stack, 31, 60.0, None)
    assert len(result.accepted) == 3
    found = sorted((bead.x_px, bead.y_px) for bead in result.accepted)
    np.testing.assert_allclose(found, sorted(centres), atol=1.0)
    assert result.volume.shape == (21, 31, 31)
    single, _ = field_of_beads(centres[:1])
    alone = collect_beads(single, 31, 60.0, None).volume
    peak = alone.max()
    assert abs(result.volume - alone)[10].max() < 0.25 * peak


def test_the_size_is_measured_from_the_light():
    stack, _ = field_of_beads([(24.7, 25.2), (70.4, 70.5)])
    side = collect_beads(stack, None, 60.0, None).volume.shape[1]
    assert 15 <= side <= 45
    assert side % 2 == 1


def test_a_small_stack_is_one_bead():
    stack, _ = field_of_beads([(16.2, 15.8)], shape=(21, 31, 31))
    assert collect_beads(stack, None, 60.0, None).volume.shape == (21, 31, 31)


def test_a_two_lobed_bead_is_one_bead():
    stack, _ = field_of_beads([(48.2, 47.8)], phase=known_phase("double helix"), size=41)
    assert len(collect_beads(stack, 31, 60.0, None).beads) == 1


def test_bad_beads_are_rejected_with_their_reasons():
    stack, _ = field_of_beads([(30.3, 30.6), (70.2, 8.1), (60.7, 70.2)])
    stack[10, 69:72, 59:62] = 5000.0
    result = collect_beads(stack, 31, 60.0, 5000.0)
    reasons = {round(bead.x_px): bead.reason for bead in result.beads}
    assert len(result.accepted) == 1
    assert any("at the edge" in reason for reason in reasons.values())
    assert any("saturated: 9 pixels" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.full((21, 40, 40), 7.0), "the stack is flat"),
        (np.random.default_rng(0).poisson(50, (21, 64, 64)), "no bead stands out"),
        (np.zeros((3, 40, 40)), "3 slices are too few"),
        (np.zeros((21, 5, 40)), "at least 9 x 9 px"),
        (np.full((21, 40, 40), np.nan), "not finite"),
    ],
)
def test_stacks_without_beads_are_named(stack, message):
    with pytest.raises(UserError, match=message) as error:
        collect_beads(np.asarray(stack, np.float32), None, 60.0, None)
    assert "\n" not in str(error.value)


def test_beads_at_the_edge_only():
    stack, _ = field_of_beads([(70.2, 4.1)])
    with pytest.raises(UserError, match=r"none of the 1 beads can be used .*at the edge"):
        collect_beads(stack, 31, 60.0, None)


def test_saturated_beads_only():
    stack, _ = field_of_beads([(48.2, 47.1)])
    clipped = np.minimum(stack, 0.5 * stack.max())
    with pytest.raises(UserError, match="saturated"):
        collect_beads(clipped, 31, 60.0, None)


def test_a_cut_out_larger_than_the_frame():
    stack, _ = field_of_beads([(16.2, 15.8)], shape=(21, 31, 31))
    with pytest.raises(UserError, match=r"give a smaller calibration\.size_px"):
        collect_beads(stack, 61, 60.0, None)
