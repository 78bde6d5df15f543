"""Several processes localize one movie as one process does, to the last digit, and go on after a death."""

import json
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import tifffile

from autods.cli.main import main
from autods.core import UserError
from autods.io.tables import read_hdf5_table
from autods.pipelines.autods import localize
from autods.pipelines.distributed import ProcessGroup
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.streaming import BLOCK_FRAMES
from autods.runs.chunks import PARTIAL_FOLDER
from autods.runs.record import read_run
from tests.pipelines.models import simulate, write_zoo


def prepared(root, n_blocks):
    """Put a zoo and a movie of so many blocks into a folder."""
    write_zoo(root / "zoo")
    frames, _ = simulate(np.random.default_rng(0), n_frames=90, shape=(32, 32), per_frame=3)
    # Noise apart, the frames repeat: the simulation of a thousand would take longer than all the rest.
    noise = np.random.default_rng(1).integers(0, 9, ((n_blocks - 1) * BLOCK_FRAMES + 20, 32, 32))
    tifffile.imwrite(root / "movie.tif", (np.resize(frames, noise.shape) + noise).astype(np.uint16))
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three blocks: one process gets two of them, the other one."""
    return prepared(tmp_path_factory.mktemp("distributed"), 3)


@pytest.fixture(scope="module")
def long_place(tmp_path_factory):
    """Long enough to be ended on the way."""
    return prepared(tmp_path_factory.mktemp("long"), 5)


def command(place, out, *settings):
    known = ["optics.pixel_size_nm=100", "camera.offset_adu=100", "camera.e_per_adu=0.5", "device=cpu"]
    known += ["drift=none"]
    words = [*known, f"zoo={place / 'zoo'}", *settings]
    return [
        *(sys.executable, "-m", "autods.cli.main"),
        *("localize", str(place / "movie.tif"), "--out", str(out), *words),
    ]


def blocks_on_disk(out):
    return sorted((out / PARTIAL_FOLDER).rglob("block_*.npz"))


@pytest.fixture(scope="module")
def alone(place):
    assert main(command(place, place / "alone")[3:]) == 0
    return place / "alone"


@pytest.fixture(scope="module")
def long_alone(long_place):
    assert main(command(long_place, long_place / "alone")[3:]) == 0
    return long_place / "alone"


def assert_same(out, other):
    assert (out / "localizations.csv").read_bytes() == (other / "localizations.csv").read_bytes()
    one, two = (read_hdf5_table(folder / "localizations.hdf5") for folder in (out, other))
    assert len(one) > 1000
    for name in ("frame", "x_nm", "y_nm", "photons", "background", "uncertainty_xy_nm"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert not (out / PARTIAL_FOLDER).exists()


def test_two_processes_give_the_table_of_one(place, alone):
    out = place / "two"
    done = subprocess.run(command(place, out, "processes.per_machine=2"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("localizations,") == 1
    assert_same(out, alone)
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "done"
    assert "localize, 2 processes" in [stage["name"] for stage in run["stages"]]


@pytest.mark.slow
def test_a_bad_movie_of_a_batch_does_not_stop_the_other(place, alone):
    (place / "bad.tif").write_text("no movie")
    words = command(place, place / "batch", "processes.per_machine=2")
    words.insert(words.index("localize") + 1, str(place / "bad.tif"))
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stderr.count("bad.tif") == 1
    assert "1 of 2 done" in done.stdout
    assert_same(place / "batch" / "movie", alone)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["first", "second"])
def test_a_killed_process_leaves_a_run_that_is_interrupted_and_goes_on(long_place, long_alone, victim):
    out = long_place / f"killed_{victim}"
    words = command(long_place, out, "processes.per_machine=2")
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    first = psutil.Process(running.pid)
    while running.poll() is None and not blocks_on_disk(out):
        time.sleep(0.01)
    others = first.children(recursive=True)
    assert len(others) == 1, "the movie was done before it could be interrupted"
    assert read_run(out)["status"] == "running"
    (first if victim == "first" else others[0]).kill()
    _, said = running.communicate(timeout=60)
    psutil.wait_procs(others, timeout=60)
    assert not any(process.is_running() and process.status() != "zombie" for process in others)
    run = read_run(out)
    assert run["status"] == "interrupted"
    assert "ended" in run["error"]
    assert [stage["status"] for stage in run["stages"]] == ["done", "interrupted"]
    if victim == "second":
        assert running.returncode == 130
        assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
        (line,) = [line for line in said.splitlines() if line.startswith("autods: interrupted")]
        assert "process" in line
        assert "Traceback" not in said
    else:
        assert running.returncode != 0
    assert blocks_on_disk(out)
    subprocess.run(command(long_place, out), check=True, capture_output=True)
    assert_same(out, long_alone)


def test_what_cannot_be_shared_is_told(place):
    with pytest.raises(UserError, match="at least 1"):
        ProcessGroup(0)
    with pytest.raises(UserError, match="cuda:1 is one device"):
        ProcessGroup(2, device="cuda:1")
    with pytest.raises(UserError, match="share a run folder"):
        localize(np.zeros((3, 9, 9)), LocalizeSettings(), group=object())
