"""The steps of a 3D run: their command, and which are out of date."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autods.cli.arguments import parse
from autods.cli.localize3d import localize3d_settings
from autods.core import UserError
from autods.web.jobs import Job, JobView, Status
from autods.web.roots import Roots
from autods.web.steps3d import STEPS, Progress3D, arguments, load_progress, named_psfs, save_progress


def view(folder: Path, status: Status, *, stage: str = "", done: tuple[str, ...] = ()) -> JobView:
    job = Job(folder, "localize3d", "movie.tif", ("movie.tif",), "cpu")
    stages = [{"name": name, "status": "done"} for name in done]
    return JobView(job, status, "", {"stages": stages}, {"stage": stage} if stage else {})


def finish(folder: Path, *names: str) -> None:
    (folder / "stages").mkdir(exist_ok=True)
    for name in names:
        (folder / "stages" / f"{name}.json").write_text("{}")


def test_the_command_is_understood(tmp_path: Path) -> None:
    beads = tmp_path / "beads.tif"
    beads.write_bytes(b"")
    entries = {item.key: "1" for step in STEPS for item in step.fields if item.kind in ("number", "whole")}
    entries |= {
        item.key: item.choices[-1][0] for step in STEPS for item in step.fields if item.kind == "choice"
    }
    entries |= {"snr.region": "0:0:20:20", "frames": "0:9", "roi": "0:0:60:60"}
    entries |= {"psf.z_min_nm": "-400", "psf.z_max_nm": "400", "calibration.z_nm": "-500:500:21"}
    entries |= {"optics.pixel_size_nm": "100", "optics.wavelength_nm": "660", "snr.size_px": "32"}
    entries |= {"source": "--beads", "source_path": str(beads), "device": "cpu"}
    line = arguments(Roots([tmp_path]), tmp_path / "movie.tif", entries, "snr")
    settings = localize3d_settings(parse(["localize3d", *line]))
    assert settings.psf.beads == beads
    assert settings.snr.region == "0:0:20:20"
    assert settings.until == "snr"
    assert settings.roi == (0, 0, 60, 60)


def test_ready_made_psfs_and_missing_sources(tmp_path: Path) -> None:
    roots = Roots([tmp_path])
    name = named_psfs()[0]
    assert f"psf={name}" in arguments(roots, tmp_path / "m.tif", {"source": name}, "localize")
    for values in ({}, {"source": "--beads"}, {"source": "--psf", "source_path": "/etc/passwd"}):
        with pytest.raises(UserError):
            arguments(roots, tmp_path / "m.tif", values, "localize")


def test_another_device_makes_nothing_out_of_date(tmp_path: Path) -> None:
    values = {"snr.size_px": "32", "device": "auto"}
    finish(tmp_path, "calibrate", "background", "snr")
    before = dict.fromkeys(("calibrate", "background", "snr"), values)
    state = Progress3D({**values, "device": "cpu"}, before, {})
    found = state.status(tmp_path, view(tmp_path, "done"))
    assert [found[name] for name in ("calibrate", "background", "snr")] == ["done"] * 3


def test_a_change_makes_its_step_and_the_later_ones_out_of_date(tmp_path: Path) -> None:
    before = Progress3D({"snr.size_px": "32"}, {}, {"snr.size_px": "32"}, "train")
    finish(tmp_path, "calibrate", "background", "snr", "train")
    now = view(tmp_path, "done")
    settled = before.settled(now)
    assert settled.status(tmp_path, now) == {
        **dict.fromkeys(("calibrate", "background", "snr", "train"), "done"),
        **dict.fromkeys(("test", "localize"), "new"),
    }
    changed = replace(settled, values={"snr.size_px": "48"})
    assert changed.status(tmp_path, now)["background"] == "done"
    assert changed.status(tmp_path, now)["snr"] == "stale"
    assert changed.status(tmp_path, now)["train"] == "stale"
    assert replace(changed, values={"snr.size_px": "32"}).status(tmp_path, now)["train"] == "done"


def test_a_run_that_was_stopped_counts_as_far_as_it_came(tmp_path: Path) -> None:
    progress = Progress3D({}, {}, {"preset": "cpu_quick"}, "localize")
    finish(tmp_path, "calibrate", "background")
    running = view(tmp_path, "running", stage="background")
    assert progress.settled(running) is progress
    assert progress.status(tmp_path, running)["background"] == "running"
    stopped = progress.settled(view(tmp_path, "interrupted", done=("measure the camera", "background")))
    assert set(stopped.finished_with) == {"calibrate", "background"}


def test_the_end_of_an_earlier_run_is_not_taken_for_that_of_the_new_one(tmp_path: Path) -> None:
    progress = Progress3D({}, {}, {}, "snr", submitted_at=100.0)
    earlier = view(tmp_path, "done")
    assert progress.settled(earlier) is progress
    now = replace(earlier, job=replace(earlier.job, queued_at=101.0))
    assert "snr" in progress.settled(now).finished_with


def test_progress_is_kept_in_the_run_folder(tmp_path: Path) -> None:
    progress = Progress3D({"a": "1"}, {"snr": {"a": "0"}}, {"a": "1"}, "snr", 5.0)
    save_progress(tmp_path, progress)
    assert load_progress(tmp_path) == progress
    assert load_progress(tmp_path / "absent") == Progress3D({}, {}, {}, "")
    assert json.loads((tmp_path / "form.json").read_text())["until"] == "snr"
