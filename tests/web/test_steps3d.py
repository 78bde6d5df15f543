"""The steps of a 3D run: their command, and which are out of date."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autods.cli.arguments import parse
from autods.core import UserError
from autods.web.jobs import Job, JobView, Status
from autods.web.progress3d import Progress3D, StaleError, load_progress, save_values
from autods.web.roots import Roots
from autods.web.steps3d import STEPS, arguments, named_psfs, values_of
from tests.cli.settings3d import localize3d_settings


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
        item.key: item.setting.choices[-1][0]
        for step in STEPS
        for item in step.fields
        if item.kind == "choice"
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


def submitted(
    folder: Path, status: Status, *words: str, stage: str = "", done: tuple[str, ...] = ()
) -> JobView:
    """Return a run of these words that was started, with the stages that its record calls done."""
    found = view(folder, status, stage=stage, done=done)
    job = replace(found.job, arguments=("movie.tif", *words), order="started", pid=7)
    return replace(found, job=job, run={**found.run, "process": 7})


def test_entries_are_read_back_from_the_command(tmp_path: Path) -> None:
    entries = {"source": named_psfs()[0], "source_path": "", "snr.size_px": "32", "psf.z_min_nm": "-300"}
    assert values_of(arguments(Roots([tmp_path]), tmp_path / "m.tif", entries, "snr")) == entries


def test_another_device_or_way_of_writing_makes_nothing_out_of_date(tmp_path: Path) -> None:
    finish(tmp_path, "calibrate", "background", "snr")
    state = Progress3D({"snr.size_px": " 32 ", "psf.z_min_nm": "-400.0", "device": "cpu"}, {})
    now = submitted(tmp_path, "done", "snr.size_px=32", "psf.z_min_nm=-400", "until=snr")
    found = state.status(tmp_path, now)
    assert [found[name] for name in ("calibrate", "background", "snr")] == ["done"] * 3


def test_a_change_makes_its_step_and_the_later_ones_out_of_date(tmp_path: Path) -> None:
    finish(tmp_path, "calibrate", "background", "snr", "train")
    now = submitted(tmp_path, "done", "snr.size_px=32", "until=train")
    before = Progress3D({"snr.size_px": "32"}, {})
    assert before.status(tmp_path, now) == {
        **dict.fromkeys(("calibrate", "background", "snr", "train"), "done"),
        **dict.fromkeys(("test", "localize"), "new"),
    }
    changed = replace(before, values={"snr.size_px": "48"})
    assert changed.status(tmp_path, now)["background"] == "done"
    assert changed.status(tmp_path, now)["snr"] == "stale"
    assert changed.status(tmp_path, now)["train"] == "stale"


def test_steps_are_done_as_soon_as_the_record_says_so(tmp_path: Path) -> None:
    finish(tmp_path, "calibrate", "background", "snr")
    # Calibration was taken from before and left no line in the record.
    now = submitted(tmp_path, "running", stage="train", done=("background", "snr"))
    found = Progress3D({}, {}).status(tmp_path, now)
    assert [found[name] for name in ("calibrate", "background", "snr", "train")] == ["done"] * 3 + ["running"]


def test_a_run_that_was_stopped_counts_as_far_as_it_came(tmp_path: Path) -> None:
    finish(tmp_path, "calibrate", "background")
    now = submitted(tmp_path, "interrupted", done=("measure the camera", "background"))
    assert set(Progress3D({}, {}).finished(now)) == {"calibrate", "background"}
    # Once it waits for its turn again, the record is that of the earlier process.
    again = replace(now, status="queued", job=replace(now.job, order="queued", pid=None))
    assert Progress3D({}, {}).finished(again) == {}
    kept = Progress3D({}, Progress3D({}, {}).finished(now))
    assert set(kept.finished(again)) == {"calibrate", "background"}


def test_a_page_does_not_save_over_what_it_has_not_seen(tmp_path: Path) -> None:
    first = save_values(tmp_path, {"snr.size_px": "32"}, 0)
    assert first.version == 1
    assert save_values(tmp_path, {"snr.size_px": "32"}, 1) == first
    with pytest.raises(StaleError, match="another page"):
        save_values(tmp_path, {"snr.size_px": "64"}, 0)
    assert load_progress(tmp_path) == first


def test_a_form_that_somebody_wrote_is_read_as_text(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "absent") == Progress3D({}, {})
    (tmp_path / "form.json").write_text(json.dumps({"values": {"a": [1], "b": "2"}, "version": "x"}))
    assert load_progress(tmp_path) == Progress3D({"b": "2"}, {})
