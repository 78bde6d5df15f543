"""Sweeps: a folder for each job, one table of all, hyper-parameters with scores in TensorBoard."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autods.cli.main import main
from autods.cli.sweeps import gather, job_folders, write_table
from autods.configuration.compose import compose_checked
from autods.training import LocalizationModule
from autods.training.export import score_module
from autods.zoo import load_card

SMALL = [
    "network=subpixel",
    "network.args.width=8",
    "network.args.pairs=1",
    "light=gaussian",
    "data.size_px=20",
    "data.batch_size=2",
    "data.batches_per_epoch=2",
    "data.validation_batches=2",
    "trainer.max_steps=4",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_sweep_ends_in_one_table(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    words = [*SMALL, "module.learning_rate=1e-3,5e-3", f"hydra.sweep.dir={sweep}"]
    assert main(["train", "-m", *words]) == 0
    rows = rows_of(sweep / "results.csv")
    assert [row["module.learning_rate"] for row in rows] == ["0.001", "0.005"]
    assert [row["status"] for row in rows] == ["done", "done"]
    assert {row["out"] for row in rows} == {str(sweep / "0"), str(sweep / "1")}
    for job in ("0", "1"):
        card = load_card("model", sweep / job)
        row = rows[int(job)]
        assert float(row["jaccard"]) == pytest.approx(card.metrics["jaccard"])
        assert int(row["steps"]) == 4
    page = (sweep / "results.md").read_text()
    assert "module.learning_rate" in page
    assert "data.size_px" not in page  # the same in all jobs
    _check_tensorboard(sweep / "0" / "tensorboard")


def _check_tensorboard(folder: Path) -> None:
    events = EventAccumulator(str(folder)).Reload()
    assert {"best/jaccard", "final/jaccard", "final/rmse_nm"} <= set(events.Tags()["scalars"])
    session = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for name in (b"conditions/density_per_um2/centre", b"module/learning_rate", b"data/batch_size"):
        assert name in session


def make_job(folder: Path, overrides: str, rows: list[dict[str, object]] | None) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(overrides)
    if rows is not None:
        (folder / "result.json").write_text(json.dumps({"rows": rows}))


def test_jobs_that_left_nothing_are_in_the_table(tmp_path: Path) -> None:
    make_job(tmp_path / "10", "- seed=3\n- out=x\n", [{"score": 1.0}, {"score": 2.0}])
    make_job(tmp_path / "9", "- seed=2\n- +more=1\n", None)
    make_job(tmp_path / "2", "[]\n", [{"score": 0.5}])
    assert [path.name for path in job_folders(tmp_path)] == ["2", "9", "10"]
    rows = gather(tmp_path)
    assert rows[0] == {"job": "2", "status": "done", "score": 0.5}
    assert rows[1] == {"job": "9", "seed": "2", "more": "1", "status": "missing"}
    assert [row["score"] for row in rows[2:]] == [1.0, 2.0]
    assert "missing" in write_table(tmp_path).read_text()


def test_settings_of_hydra_itself_are_taken(tmp_path: Path) -> None:
    words = [
        *SMALL,
        "trainer.fast_dev_run=true",
        f"out={tmp_path / 'out'}",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    assert main(["train", *words]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rows"][0]["jaccard"] >= 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ("hydra_plugins.hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
        ("hydra_plugins.hydra_submitit_launcher", ["hydra/launcher=submitit_local"]),
    ],
)
def test_launchers_run_the_jobs_in_processes_of_their_own(
    plugin: str, words: list[str], tmp_path: Path
) -> None:
    pytest.importorskip(plugin, reason="needs the extra 'sweeps'")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "autods.cli.main", "train", "-m", *SMALL, "seed=1,2", *words]
    done = subprocess.run([*command, f"hydra.sweep.dir={tmp_path}"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = rows_of(tmp_path / "results.csv")
    assert [(row["seed"], row["status"]) for row in rows] == [("1", "done"), ("2", "done")]


@pytest.mark.slow
def test_two_processes_train_one_model_and_score_all_frames(tmp_path: Path) -> None:
    out = tmp_path / "out"
    root = Path(__file__).parents[2]
    words = [*SMALL, f"out={out}", f"hydra.run.dir={tmp_path}/hydra"]
    words += [
        "trainer.devices=2",
        "trainer.strategy=ddp",
        "data.batches_per_epoch=4",
        "data.validation_batches=4",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "autods.cli.main", "train", *words], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Starting with 2 processes" in done.stderr + done.stdout
    assert load_card("model", out).metrics["jaccard"] >= 0
    last = rows_of(out / "metrics.csv")[-1]
    checkpoint = out / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 4
    from hydra.utils import instantiate

    data = instantiate(
        compose_checked("train", [word for word in words if "hydra" not in word]).data, _convert_="all"
    )
    module = LocalizationModule.load_from_checkpoint(checkpoint, weights_only=True)
    scores = score_module(module.eval(), data)
    for name in ("jaccard", "precision", "recall"):
        assert float(last[f"val/{name}"]) == pytest.approx(scores[name], abs=1e-6)
