"""A sweep of two jobs and a movie of two processes on a real SLURM of one node, started by the test.

It needs the programs of Debian's ``slurm-wlm`` on the PATH and the right to start them as root; without munge
nobody is authenticated. ``SLURM_PLUGIN_DIR`` names the plugins' folder where they are not where the programs
expect them.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autods.io.images import write_movie_tiff
from autods.pipelines.streaming import BLOCK_FRAMES

ROOT = Path(__file__).parents[2]
PROGRAMS = ("slurmctld", "slurmd", "slurmstepd", "sbatch", "srun", "sinfo")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"SLURM is not installed: no {', '.join(MISSING)}"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="slurmd needs root"),
]

CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={port}
SlurmdPort={port_of_node}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/d.pid
SlurmctldLogFile={home}/ctld.log
SlurmdLogFile={home}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 CoresPerSocket=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start SLURM on this machine and return the environment of its users."""
    home = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (home / name).mkdir()
    host, ports = socket.gethostname().partition(".")[0], (free_port(), free_port())
    text = CONF.format(host=host, home=home, port=ports[0], port_of_node=ports[1])
    if "SLURM_PLUGIN_DIR" in os.environ:
        text += f"PluginDir={os.environ['SLURM_PLUGIN_DIR']}\n"
    (home / "slurm.conf").write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    (home / "bin").mkdir()
    (home / "bin" / "autods").write_text(f'#!/bin/bash\nexec "{sys.executable}" -m autods.cli.main "$@"\n')
    (home / "bin" / "autods").chmod(0o755)
    path = f"{home / 'bin'}{os.pathsep}{kept['PATH']}"
    environment = {**kept, "SLURM_CONF": str(home / "slurm.conf"), "PYTHONPATH": str(ROOT), "PATH": path}
    stepd = shutil.which("slurmstepd")
    assert stepd is not None
    started = [
        subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (["slurmctld", "-D"], ["slurmd", "-D", "-d", stepd])
    ]
    try:
        deadline = time.monotonic() + 30
        while b"idle" not in subprocess.run(["sinfo"], env=environment, capture_output=True).stdout:
            assert time.monotonic() < deadline, (home / "d.log").read_text()[-2000:]
            time.sleep(0.5)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_a_sweep_runs_as_jobs_of_the_cluster(cluster: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra 'sweeps'")
    small = ["network=subpixel", "network.args.width=8", "network.args.pairs=1", "light=gaussian"]
    small += ["data.size_px=20", "data.batch_size=2", "data.batches_per_epoch=2", "data.validation_batches=2"]
    small += ["trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.progress_bar=false", "seed=1,2"]
    asked = {"partition": "all", "timeout_min": 5, "mem_gb": 1, "cpus_per_task": 1}
    launcher = ["hydra/launcher=submitit_slurm", *(f"hydra.launcher.{k}={v}" for k, v in asked.items())]
    sweep = tmp_path / "sweep"
    command = [sys.executable, "-m", "autods.cli.main", "train", "-m"]
    done = subprocess.run(
        [*command, *small, *launcher, f"hydra.sweep.dir={sweep}"],
        env=cluster,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with (sweep / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["status"]) for row in rows] == [("1", "done"), ("2", "done")]


def test_two_tasks_of_a_job_share_a_movie(cluster: dict[str, str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.poisson(20, (2 * BLOCK_FRAMES + 9, 32, 32)) + 100
    write_movie_tiff(frames, tmp_path / "movie.tif", 100.0)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    lines = (ROOT / "scripts" / "slurm" / "localize.sbatch").read_text().splitlines(keepends=True)
    script = tmp_path / "localize.sbatch"
    script.write_text("".join(line for line in lines if "gpus-per-node" not in line))
    asked = ["--wait", "--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=5", "--output=log"]
    words = ["movie.tif", "out", "optics.pixel_size_nm=100", "device=cpu"]
    subprocess.run(
        ["sbatch", *asked, str(script), *words], env=cluster, cwd=tmp_path, check=True, timeout=300
    )
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["status"] == "done"
    assert "localize, 2 processes" in [stage["name"] for stage in run["stages"]]
