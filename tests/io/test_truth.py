import numpy as np
import pytest
import torch

from autods.core import EmitterBatch, UserError
from autods.io.programs import read_text_table
from autods.io.tables import TruthWriter, read_table
from tests.data import shared


def _batch(frames, x_nm):
    xyz = torch.tensor([[x, 2.0, -3.0] for x in x_nm])
    return EmitterBatch.from_flat(torch.tensor(frames), xyz, torch.full((len(frames),), 100.0), 2)


def test_batches_follow_each_other(tmp_path):
    with TruthWriter(tmp_path / "truth.csv", is_3d=True) as writer:
        writer.append(_batch([0, 1, 1], [1.0, 2.0, 3.0]))
        writer.append(_batch([1], [4.0]))
        assert not (tmp_path / "truth.csv").exists()
    assert (tmp_path / "truth.csv").read_text() == (
        "frame,x_nm,y_nm,z_nm,photons\n"
        "0,1.00,2.00,-3.00,100.00\n1,2.00,2.00,-3.00,100.00\n1,3.00,2.00,-3.00,100.00\n3,4.00,2.00,-3.00,100.00\n"
    )


def test_an_interrupted_simulation_leaves_nothing(tmp_path):
    def write() -> None:
        with TruthWriter(tmp_path / "truth.csv") as writer:
            writer.append(_batch([0], [1.0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_missing_column(tmp_path):
    (tmp_path / "t.csv").write_text("frame,x_nm\n1,2\n")
    with pytest.raises(UserError, match="y_nm"):
        read_text_table(tmp_path / "t.csv")


def test_shared_truth_reads():
    table = read_table(shared("nairr/3das_ld.csv"))
    assert table.frame[0] == 0
    assert (table.x_nm[0], table.y_nm[0]) == (2107.67, 2732.26)
    assert table.z_nm is not None
    assert np.isfinite(table.photons).all()
