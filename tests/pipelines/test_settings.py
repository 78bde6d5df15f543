import pytest

from autods.core import UserError
from autods.pipelines.settings import LocalizeSettings, parse_frames, parse_roi


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("3:9", slice(3, 9)),
        (":9", slice(None, 9)),
        ("3:", slice(3, None)),
        (":", slice(None, None)),
    ],
)
def test_frames(text, expected):
    assert parse_frames(text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:3", "1.5:2"])
def test_unreadable_frames_are_named(text):
    with pytest.raises(UserError, match=r"frames=.*START:STOP"):
        parse_frames(text)


def test_roi():
    assert parse_roi(None) is None
    assert parse_roi("1:2:30:40") == (1, 2, 30, 40)


@pytest.mark.parametrize("text", ["", "1:2:3", "1:2:3:4:5", "a:b:c:d"])
def test_unreadable_roi_is_named(text):
    with pytest.raises(UserError, match=r"roi=.*Y0:X0:Y1:X1"):
        parse_roi(text)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"scope": "patch"}, "selection.scope"),
        ({"family": "forest"}, "selection.family"),
        ({"threshold": 0.0}, "decode.threshold"),
        ({"max_uncertainty_nm": -1.0}, "decode.max_uncertainty_nm"),
        ({"refine": "lsq"}, "use mle or none"),
        ({"render_pixel_size_nm": 0.0}, "render.pixel_size_nm"),
    ],
)
def test_values_out_of_range_are_named(values, key):
    with pytest.raises(UserError, match=key):
        LocalizeSettings(**values)
