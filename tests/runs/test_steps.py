"""What is repeated and what is not: the key holds the inputs and a number of this version, nothing else."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from autods.runs import provenance, steps
from autods.runs.steps import Step, step_key


def test_a_step_is_finished_for_its_inputs_only(tmp_path: Path) -> None:
    file, output = tmp_path / "step.json", tmp_path / "output"
    inputs = {"seed": 0, "module": {"rate": 0.1}}
    step = Step(file, inputs, [output])
    assert not step.is_begun
    step.begin()
    assert step.is_begun
    assert step.results() is None
    step.finish({"value": 1.5})
    assert step.results() is None  # its output is not there
    output.touch()
    assert Step(file, inputs, [output]).results() == {"value": 1.5}
    other = Step(file, {"seed": 0, "module": {"rate": 0.2}})
    assert other.results() is None
    assert other.differences() == ["module.rate=0.1, now 0.2"]
    file.write_text("{half")
    assert not step.is_begun


def test_machine_and_versions_are_no_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step_key("movie", {"a": 1})
    monkeypatch.setattr(platform, "platform", lambda: "another kernel")
    provenance._versions.cache_clear()
    assert step_key("movie", {"a": 1}) == before
    provenance._versions.cache_clear()


def test_a_change_of_results_changes_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step_key("movie")
    monkeypatch.setattr(steps, "NUMBERS_VERSION", steps.NUMBERS_VERSION + 1)
    assert step_key("movie") != before
