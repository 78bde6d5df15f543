"""Submission to SLURM and the batch scripts, on a stand-in for SLURM that runs the jobs on this machine.

It takes the words of ``sbatch`` and ``srun`` and sets the variables that SLURM documents for its jobs; it has
no queues, no machines and no devices.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autods.cli.arguments import parse
from autods.configuration.compose import compose_checked, load
from autods.configuration.schema import LocalizeConfig
from autods.io.images import write_movie_tiff
from autods.pipelines.streaming import BLOCK_FRAMES

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts" / "slurm").glob("*.sbatch"))
PROGRAMS = {
    "sbatch": """
cp "$1" "$SLURM_STAND_IN/submitted.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
export SLURM_ARRAY_JOB_ID=1000 SLURM_NTASKS=1 SLURM_NTASKS_PER_NODE=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
export SLURM_JOB_NAME=train SLURM_NODELIST=127.0.0.1
for index in $(seq 0 "${last:-0}"); do
  SLURM_JOB_ID=$((1000 + index)) SLURM_ARRAY_TASK_ID=$index bash "$1"
done >"$SLURM_STAND_IN/output.txt" 2>&1 &
echo "Submitted batch job 1000"
""",
    "srun": """
printf '%s\\n' "$@" >"$SLURM_STAND_IN/srun.txt"
while [[ "$1" == --* ]]; do
  case "$1" in --output | --error) shift 2 ;; *) shift ;; esac
done
pids=()
for rank in $(seq 0 $((SLURM_NTASKS - 1))); do
  SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
""",
    "sacct": "echo 'JobID|State|NodeList'; echo '1000_[0-1]|RUNNING|here'",
}


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine with SLURM's commands."""
    programs = {**PROGRAMS, "autods": f'exec {shlex.quote(sys.executable)} -m autods.cli.main "$@"'}
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}")
        (folder / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "SLURM_STAND_IN": str(folder), "PYTHONPATH": str(ROOT)}


def job(n_tasks: int, n_nodes: int = 1) -> dict[str, str]:
    """Return what SLURM tells a batch script of its job."""
    return {
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NAME": "autods",
        "SLURM_JOB_NUM_NODES": str(n_nodes),
        "SLURM_NTASKS": str(n_nodes * n_tasks),
        "SLURM_NTASKS_PER_NODE": str(n_tasks),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "127.0.0.1",
    }


def run_script(name: str, folder: Path, environment: dict[str, str], *words: str) -> None:
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    script = ROOT / "scripts" / "slurm" / name
    done = subprocess.run(
        ["bash", str(script), *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_are_sound_and_ask_for_what_they_use(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    asked = dict(
        line.removeprefix("#SBATCH --").split()[0].split("=", 1)
        for line in script.read_text().splitlines()
        if line.startswith("#SBATCH")
    )
    assert {"nodes", "ntasks-per-node", "cpus-per-task", "time"} <= set(asked)
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("localize.sbatch", ["movie.tif", "out", "optics.pixel_size_nm=100"]),
        ("train.sbatch", ["zoo/mixture", "out", "seed=3"]),
    ],
)
def test_the_commands_of_the_scripts_compose(
    script: str, words: list[str], slurm: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "slurm" / "srun").write_text("#!/bin/bash\nprintf '%s\\n' \"$@\" >$SLURM_STAND_IN/srun.txt\n")
    run_script(script, tmp_path, {**slurm, **job(4, n_nodes=2)}, *words)
    program, *command = (tmp_path / "slurm" / "srun.txt").read_text().splitlines()
    assert program == "autods"
    arguments = parse(command)
    if script == "localize.sbatch":
        config = load(LocalizeConfig, arguments.overrides)
        assert (config.processes.per_machine, config.processes.machines, config.device) == (4, 2, "cuda")
        assert config.optics.pixel_size_nm == 100
    else:
        composed = compose_checked("train", arguments.overrides)
        assert (composed.trainer.devices, composed.trainer.num_nodes, composed.seed) == (4, 2, 3)
        assert composed.out == "out"


@pytest.mark.slow
def test_the_tasks_of_a_job_share_a_movie(slurm: dict[str, str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_movie_tiff(rng.poisson(20, (2 * BLOCK_FRAMES + 9, 32, 32)) + 100, tmp_path / "movie.tif", 100.0)
    words = ["movie.tif", "out", "optics.pixel_size_nm=100", "device=cpu"]
    run_script("localize.sbatch", tmp_path, {**slurm, **job(2)}, *words)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["status"] == "done"
    assert "localize, 2 processes" in [stage["name"] for stage in run["stages"]]


@pytest.mark.slow
def test_a_sweep_is_submitted_as_an_array_with_the_resources_asked_for(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra 'sweeps'")
    small = ["network=subpixel", "network.args.width=8", "network.args.pairs=1", "light=gaussian"]
    small += ["data.size_px=20", "data.batch_size=2", "data.batches_per_epoch=2", "data.validation_batches=2"]
    small += ["trainer.fast_dev_run=true", "trainer.accelerator=cpu", "trainer.progress_bar=false"]
    asked = {"partition": "gpu", "gpus_per_node": 1, "cpus_per_task": 8, "mem_gb": 32, "timeout_min": 240}
    launcher = ["hydra/launcher=submitit_slurm", *(f"hydra.launcher.{k}={v}" for k, v in asked.items())]
    command = [sys.executable, "-m", "autods.cli.main", "train", "-m", *small, *launcher, "seed=1,2"]
    done = subprocess.run(
        [*command, f"hydra.sweep.dir={tmp_path / 'sweep'}"],
        cwd=ROOT,
        env=slurm,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    script = tmp_path / "slurm" / "submitted.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    wanted = {"partition=gpu", "gpus-per-node=1", "cpus-per-task=8", "mem=32GB", "time=240", "array=0-1%2"}
    lines = script.read_text().splitlines()
    assert wanted <= {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    with (tmp_path / "sweep" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["status"]) for row in rows] == [("1", "done"), ("2", "done")]
