import pytest

from autods.core import UserError
from autods.core.quantities import QUANTITIES, is_plausible, require_plausible


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pixel_size_nm", 6500, "Divide it by the magnification"),
        ("pixel_size_nm", 0.1, "is it in um? Give 100 nm"),
        ("pixel_size_nm", 1e9, "check the number"),
        ("wavelength_nm", 0.67, "is it in um? Give 670 nm"),
        ("wavelength_nm", 670_000, "is it in pm"),
        ("z_step_nm", 0.05, "is it in um? Give 50 nm"),
        ("offset_adu", 1e9, "check the number"),
        ("em_gain", 1e6, "check the number"),
        ("e_per_adu", float("nan"), "check the number"),
    ],
)
def test_what_cannot_be_is_refused_with_a_guess(name, value, words):
    with pytest.raises(UserError) as caught:
        require_plausible(name, value, f"group.{name}")
    message = str(caught.value)
    assert message.startswith(f"group.{name} is ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixel_size_nm", 65),
        ("pixel_size_nm", 160),
        ("wavelength_nm", 670),
        ("z_step_nm", -50),
        ("na", 1.49),
        ("offset_adu", 0),
        ("em_gain", 300),
        ("read_noise_e", 74.4),
        ("e_per_adu", 45),
    ],
)
def test_what_microscopes_have_passes(name, value):
    require_plausible(name, value, name)
    assert is_plausible(name, value)


def test_limits_belong_to_the_range_and_others_are_not_checked():
    for name, quantity in QUANTITIES.items():
        assert is_plausible(name, quantity.low)
        assert is_plausible(name, quantity.high)
    require_plausible("n_sample", 1e9, "optics.n_sample")
    require_plausible("pixel_size_nm", None, "optics.pixel_size_nm")
