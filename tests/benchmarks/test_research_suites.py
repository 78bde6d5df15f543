"""Suites of the research framework: own rules, fits without a network, peers, sweeps."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from autods.cli.main import main
from autods.core import UserError
from autods.metrics.detection import detection_metrics
from autods.zoo import SELECTION_RULES
from benchmarks.dense_sparse import margins, published_image, verdicts
from benchmarks.fields import UniformConditions, uniform_field
from benchmarks.own_rules import own_rules
from benchmarks.peers import installed_peers
from benchmarks.spot_fits import SpotFits
from benchmarks.uniform import Uniform
from tests.pipelines.models import write_zoo

RULE = '''
from autods.zoo import Choice


def choose_easiest(profile, cards, *, by="snr"):
    """Choose the model of the highest SNR."""
    card = max(cards, key=lambda card: card.snr.mean)
    return Choice(card, f"the easiest by {by}")
'''


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("photons", "background"), [(300.0, 5.0), (1000.0, 15.0), (5000.0, 50.0)])
def test_fits_of_separate_spots_reach_the_bound(photons: float, background: float) -> None:
    conditions = UniformConditions(None, n_frames=40, photons=photons, background=background)
    field = uniform_field(conditions, torch.Generator().manual_seed(0))
    table = SpotFits()([field.frames], field.camera, 100.0)
    scores = detection_metrics(field.truth, table, 200.0)
    assert scores.jaccard > 0.98
    bound = Uniform(photons=photons, background=background)._bound_nm()
    # The width and the background are fitted too, in windows of 7 px.
    assert 0.95 * bound < scores.rmse_lateral_nm < 1.3 * bound
    assert np.median(table.photons) == pytest.approx(photons, rel=0.08)


def test_a_picture_is_clipped_scaled_and_blurred() -> None:
    counts = np.zeros((60, 60))
    counts[20:40, 20:40] = 2.0
    counts[30, 30] = 500.0
    image = published_image(counts)
    assert image.max() == pytest.approx(1.0, abs=0.01)
    assert image[0, 0] == 0.0


def test_the_brightness_of_a_picture_does_not_jump_with_whole_counts() -> None:
    rng = np.random.default_rng(0)
    rates = np.zeros((300, 300))
    rates[:, 100:130] = 1.0
    # The 99th percentile of the counts is 2 of the one and 3 of the other.
    pictures = [published_image(rng.poisson(factor * rates).astype(float)) for factor in (0.9, 1.1)]
    middles = [picture[:, 110:120].mean() for picture in pictures]
    assert middles[1] == pytest.approx(middles[0], rel=0.1)


def _mean(choice: str, psnr: float) -> dict[str, float | str | int | None]:
    return {"structure": "filaments", "choice": choice, "psnr_db": psnr, "nrmse": 1.0, "ms_ssim": 0.5}


def test_margins_stand_beside_the_papers() -> None:
    single = [_mean("Deep-STORM, diff_1", 12), _mean("Deep-STORM, diff_2", 8)]
    found = margins([*single, _mean("AutoDS, the paper's rule", 15), _mean("ours", 17)])
    gains = {(line["single model"], line["choice"]): line["psnr_db"] for line in found}
    assert gains["worst (diff_2)", "ours"] == 9
    assert gains["mean of them", "ours"] == 7
    assert gains["best (diff_1)", "ours"] == 5
    assert gains["best (diff_1)", "AutoDS, the paper's rule"] == 3
    assert found[0]["psnr_db, the paper's"] == pytest.approx(3.7)


@pytest.mark.parametrize(("psnr", "said"), [(20.0, "decides"), (15.0, "does not decide")])
def test_a_measure_decides_when_the_truth_is_above_every_method(psnr: float, said: str) -> None:
    (line,) = verdicts([_mean("ours", 17), _mean("wavelet + MLE", 18), _mean("true positions", psnr)])
    assert line.endswith(f"the measure {said}.")


def test_peers_that_are_not_there_are_left_out_by_name() -> None:
    found, notes = installed_peers({"smappy": sys.executable, "picasso": "/nowhere/python"})
    assert not found
    assert any(note.startswith("picasso is left out: /nowhere/python cannot import") for note in notes)
    assert any(note.endswith("cannot import smappy.") for note in notes)
    assert any(note.startswith("decode and liteloc are left out") for note in notes)
    assert any("smappy is left out: give peers.smappy=PYTHON" in note for note in installed_peers({})[1])
    with pytest.raises(UserError, match=r"peers.storm is no peer: use picasso"):
        installed_peers({"storm": None})


@pytest.mark.slow
def test_own_rules_sweep_beside_the_built_in_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules.py").write_text(RULE)
    rules = tmp_path / "my_rules.yaml"
    rules.write_text("easiest: {_target_: my_rules.choose_easiest, by: brightness}\n")
    monkeypatch.syspath_prepend(tmp_path)
    zoo = write_zoo(tmp_path / "zoo")
    words = ["suite=fast/heterogeneous", f"zoo={zoo}", "device=cpu", f"rules={rules}"]
    sweep = ["selection=average,easiest,fixed", "selection.scope=frame", "tiling.patch_um=5"]
    assert main(["benchmark", "-m", *words, *sweep, "--out", str(tmp_path / "sweep")]) == 0
    rows = rows_of(tmp_path / "sweep" / "results.csv")
    assert {row["selection.rule"] for row in rows} == {"average", "easiest", "fixed"}
    assert {row["status"] for row in rows} == {"done"}
    assert len([row for row in rows if row["selection.rule"] == "fixed"]) > 1
    runs = list((tmp_path / "sweep" / "hparams").rglob("events.*"))
    assert len(runs) == len(rows)
    assert "easiest" not in SELECTION_RULES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("average: {_target_: os.getcwd}", "average is a rule already"),
        ("mine: {_target_: no_such.module}", "no_such"),
        ("mine: 3", "write NAME"),
    ],
)
def test_a_file_of_rules_that_cannot_be_meant_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(UserError, match=said), own_rules(str(tmp_path / "rules.yaml")):
        pass


def test_a_rule_in_words_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["suite=fast/heterogeneous", "selection.rule._target_=os.getcwd", "--out", str(tmp_path)]
    assert main(["benchmark", *words]) == 2
    assert "no setting of this command" in capsys.readouterr().err
