import numpy as np
import pytest

from autods.core import LocalizationTable, UserError
from autods.io.tables import read_table, write_thunderstorm


def test_a_run_folder_stands_for_its_table(tmp_path):
    write_thunderstorm(
        LocalizationTable.build(np.array([0]), np.ones(1), np.ones(1)), tmp_path / "localizations.csv"
    )
    assert len(read_table(tmp_path)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"hello\n1\n", b"frame,x,y\n1,2,3\n", b"\xff\xfe\x00\x01", b"II*\0"]
)
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match="no localization table"):
        read_table(tmp_path / "t.csv")


def test_missing_table(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "t.csv")
