"""The way of frames and truth to peers that are trained, and of their positions back: by stand-ins for them.

A stand-in has the names that the script asks the peer's repository for. Its network takes local maxima for
molecules; its loss refuses targets that do not lie where the frames are bright.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from autods.core import OpticalSystem, UserError
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS, tabulate
from benchmarks.peers2d import Peers2d
from benchmarks.trained_peers import MARKS, THRESHOLDS, TrainedPeer, trainable_peers, trained_as
from benchmarks.training_bank import BankSize, write_bank
from benchmarks.trust_movies import SCMOS, Crowd, write_movie

PEAKS = """
import torch


def peaks(frames, least):
    highest = torch.nn.functional.max_pool2d(frames[:, None], 5, 1, padding=2)[:, 0]
    return ((frames == highest) & (frames > least)).float()


MISSES = []


def refuse(frames, rows, columns, mask, photons):
    for number in range(len(frames)):
        if mask[number].sum() == 1:
            place = torch.tensor(divmod(int(frames[number].argmax()), frames.shape[-1]))
            MISSES.append(place - torch.stack([rows[number, 0], columns[number, 0]]))
    if len(MISSES) >= 100:
        # Emitters beyond the border may be the brightest in a frame, and PSFs out of focus have two peaks.
        misses = torch.stack(MISSES)
        middle = misses.median(0).values
        assert misses.abs().amax(1).quantile(0.25) < 0.6, f"targets lie {misses.tolist()} px off"
        assert middle.abs().max() < 0.3, f"targets lie {middle.tolist()} px off"
"""
DECODE = {
    "models.py": """
import torch
from decode.peaks import peaks


class SigmaMUNet(torch.nn.Module):
    seen = None

    def __init__(self, channels, **sizes):
        super().__init__()
        self.middle = channels // 2
        self.head = torch.nn.Conv2d(1, 1, 1, padding=True)
        self.disabled = sizes["disabled_attributes"]

    def forward(self, frames):
        frames = SigmaMUNet.seen = frames[:, self.middle]
        assert tuple(self.head.padding) == (1, 1), self.head.padding
        output = torch.zeros(len(frames), 10, *frames.shape[1:])
        output[:, 0], output[:, 1] = 0.75 * peaks(frames, 1.0), 0.5
        output[:, 4] = 0.1 if self.disabled is None else 0.0
        return output + 0.0 * self.head.weight
""",
    "loss.py": """
from decode.neuralfitter.models import SigmaMUNet
from decode.peaks import refuse


class GaussianMMLoss:
    def __init__(self, *, xextent, yextent, img_shape, device):
        assert xextent == (-0.5, img_shape[0] - 0.5)

    def __call__(self, output, target, weight):
        values, mask, background = target
        assert weight is None and 0.5 < background.mean() < 1, background.mean()
        assert values[..., 0].max() < 2 and values[..., 3].abs().max() < 1, values.amax((0, 1))
        refuse(SigmaMUNet.seen, values[..., 1], values[..., 2], mask, values[..., 0])
        return output.sum((1, 2, 3))
""",
    "post_processing.py": """
from types import SimpleNamespace

import torch


class Emitters(SimpleNamespace):
    def __len__(self):
        return len(self.prob)


class SpatialIntegration:
    def __init__(self, raw_th, xy_unit):
        self.raw_th = raw_th

    def forward(self, output):
        frame, row, column = (output[:, 0] >= self.raw_th).nonzero(as_tuple=True)
        found = output[frame, :, row, column]
        return Emitters(xyz=found[:, 2:5], frame_ix=frame, phot=found[:, 1], prob=found[:, 0])
""",
    "scale_transform.py": """
class InverseParamListRescale:
    def __init__(self, phot_max, z_max, bg_max):
        self.phot_max, self.z_max = phot_max, z_max

    def forward(self, output):
        output = output.clone()
        output[:, 1] *= self.phot_max
        output[:, 4] *= self.z_max
        return output
""",
}
LITELOC = {
    "network/liteloc.py": """
import torch
from peaks import peaks


class LiteLoc(torch.nn.Module):
    seen = None

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(1))

    def forward(self, frames, test=True):
        frames = LiteLoc.seen = frames[1:-1] if test else frames[:, 1]
        values = torch.zeros(len(frames), 4, *frames.shape[1:])
        values[:, 2] = 0.1
        return 0.75 * peaks(frames, 60.0) + self.scale, values, values + 1
""",
    "network/loss_utils.py": """
from network.liteloc import LiteLoc
from peaks import refuse


class LossFuncs:
    def __init__(self, train_size):
        self.train_size = train_size

    def final_loss(self, p, values, deviations, target, mask, locs):
        assert locs.shape == (len(p), self.train_size, self.train_size)
        assert target[..., 2].abs().max() <= 1 and 0 <= target[..., 3].max() <= 1
        refuse(LiteLoc.seen, target[..., 1] - 0.5, target[..., 0] - 0.5, mask, target[..., 3])
        return p.sum()
""",
    "utils/eval_utils.py": """
class EvalMetric:
    def nms_func(self, p, candi_thre):
        return p
""",
}


def stand_in(name: str, folder: Path) -> Path:
    """Write the repository of a stand-in."""
    decode = {f"decode/neuralfitter/{file}": text for file, text in DECODE.items()}
    files = {"decode/peaks.py": PEAKS, **decode} if name == "decode" else {"peaks.py": PEAKS, **LITELOC}
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "reach_nm"),
    [
        ("decode", 500.0),
        pytest.param("decode", 0.0, marks=pytest.mark.slow),
        pytest.param("liteloc", 500.0, marks=pytest.mark.slow),
    ],
)
def test_frames_and_truth_reach_a_peer_and_its_positions_come_back(
    name: str, reach_nm: float, tmp_path: Path
) -> None:
    with torch.no_grad():
        exact = PSF_MODELS["astigmatism"](OpticalSystem(100.0, 670.0, 1.4))
        psf = tabulate(exact, -510, 510, size_px=23, oversampling=2)
    depths, crowd = (-reach_nm, reach_nm), Crowd(0.03, 20000.0, 0.2, 20.0)
    write_bank(tmp_path, psf, depths, 23, crowd, SCMOS, BankSize(8, 60, 32))
    movie, truth = write_movie(tmp_path / "movie", psf, depths, 23, crowd, SCMOS, 40, 36, 5)
    (peer,), notes = trainable_peers({name: str(stand_in(name, tmp_path / "repository"))})
    assert len(notes) == len(MARKS) - 1
    trained = tmp_path / "trained"
    peer.train(tmp_path, 0.02, trained)
    assert trained_as(trained)["steps"] > 2
    made = (trained / "model.pt").stat().st_mtime_ns
    peer.train(tmp_path, 0.02, trained)
    assert (trained / "model.pt").stat().st_mtime_ns == made, "a finished training is taken as it is"
    found = peer.localize(movie, trained)
    at = dict(zip(THRESHOLDS, found.tables, strict=True))
    assert len(at[0.9]) == 0 < len(at[0.5]) == len(at[0.1])
    scores = detection_metrics(read_table(truth), at[0.5], 150.0)
    assert scores.precision > 0.8
    # Pixel centres: half a pixel between the origins of two programs would be 50 nm.
    assert abs(scores.bias_x_nm) < 25
    assert abs(scores.bias_y_nm) < 25
    if reach_nm:
        assert at[0.5].z_nm is not None
        assert np.allclose(at[0.5].z_nm, 0.1 * reach_nm * (1.2 if name == "decode" else 1.0), atol=0.1)
    else:
        assert at[0.5].z_nm is None


@pytest.mark.slow
def test_in_two_dimensions_it_is_trained_once_for_the_simulated_movies(tmp_path: Path) -> None:
    suite = Peers2d(
        data=tmp_path / "nowhere",
        densities_per_um2=[None, 0.2],
        n_frames=6,
        peers={"decode": str(stand_in("decode", tmp_path))},
        minutes=0.02,
        bank=BankSize(4, 30, 32),
    )
    result = suite.run()
    rows = [row for row in result.tables[0].rows if str(row["program"]).startswith("decode, trained")]
    assert len(rows) == 2
    assert float(rows[0]["precision"] or 0) > 0.9
    assert not [note for note in result.notes if note.startswith("decode")]


def test_a_peer_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    peers, notes = trainable_peers({"decode": str(tmp_path)})
    assert not peers
    assert f"decode is left out: {tmp_path} is not its repository" in notes[0]
    assert notes[1].startswith("liteloc is left out: give peers.liteloc=FOLDER")
    (tmp_path / "settings.json").write_text('{"seed": 0, "bank": "nowhere.npz"}')
    with pytest.raises(UserError, match=r"decode did not run in .*nowhere\.npz"):
        TrainedPeer("decode", tmp_path, sys.executable).train(tmp_path, 0.01, tmp_path / "trained")
