import numpy as np
import pytest

from autods.core import LocalizationTable
from autods.core.errors import require_type
from autods.io.movie import ArrayMovie, open_movie
from autods.io.tables import read_table


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: open_movie(5), r"^path is 5 \(int\): give str or PathLike"),
        (lambda: open_movie("a.tif", channel="1"), r"^channel is '1' \(str\): give int"),
        (lambda: open_movie("a.tif", position=True), r"^position is True \(bool\)"),
        (lambda: read_table(None), "^path is None"),
        (lambda: read_table("a.csv", "100"), r"^pixel_size_nm is '100' \(str\): give float"),
        (lambda: ArrayMovie([[1, 2], [3, 4]]), r"^array is .* \(list\): give ndarray"),
        (lambda: LocalizationTable.build(np.zeros(1), ["ten"], np.zeros(1)), r"^x_nm holds \['ten'\]"),
        (lambda: LocalizationTable.build(["one"], np.zeros(1), np.zeros(1)), "^frame holds"),
    ],
)
def test_a_wrong_type_is_told_by_the_name_of_the_argument(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_types_that_are_right_pass():
    require_type("channel", 1, int)
    require_type("channel", None, int, type(None))
    require_type("flag", True, bool)
