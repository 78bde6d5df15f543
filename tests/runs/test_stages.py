import json

import pytest

from autods.core import UserError
from autods.runs.record import RunRecord
from autods.runs.stages import Stages


def run(folder, first="a", second="b", calls=None):
    """Two stages that note when they are computed."""
    calls = [] if calls is None else calls

    def compute(name):
        def work(stage):
            calls.append(name)
            stage.advance()
            return {"value": len(calls), "warnings": [f"{name} is only a test"]}

        return work

    with RunRecord(folder, "test") as record:
        stages = Stages(record)
        results = [stages.run("one", first, compute("one")), stages.run("two", second, compute("two"))]
    return calls, results, record.warnings


def test_a_finished_stage_is_not_repeated(tmp_path):
    calls, results, _ = run(tmp_path)
    again, same, warnings = run(tmp_path)
    assert calls == ["one", "two"]
    assert again == []
    assert same == results
    assert warnings == ["one is only a test", "two is only a test"]


def test_another_process_reads_what_the_first_has_finished(tmp_path):
    run(tmp_path / "first")
    with RunRecord(tmp_path / "own", "test") as record:
        stages = Stages(record, tmp_path / "first")
        assert stages.run("one", "a", None)["value"] == 1
        with pytest.raises(UserError, match="a folder that all machines share"):
            stages.run("two", "changed", None)
    assert (tmp_path / "first" / "stages" / "two.json").is_file()
    assert not (tmp_path / "own" / "stages").exists()


def test_a_change_repeats_the_stage_and_those_after_it(tmp_path):
    run(tmp_path)
    assert run(tmp_path, second="c")[0] == ["two"]
    assert run(tmp_path, first="d", second="c")[0] == ["one", "two"]


def test_a_missing_output_repeats_the_stage(tmp_path):
    output = tmp_path / "output"

    def compute(_):
        output.write_text("x")
        return {}

    for _ in range(2):
        with RunRecord(tmp_path, "test") as record:
            Stages(record).run("one", 1, compute, files=(output,))
        assert output.exists()
        output.unlink()


def test_a_stage_that_fails_leaves_nothing_that_counts_as_finished(tmp_path):
    def compute(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), RunRecord(tmp_path, "test") as record:
        Stages(record).run("one", 1, compute)
    assert "results" not in json.loads((tmp_path / "stages" / "one.json").read_text())


def test_a_damaged_result_is_computed_again(tmp_path):
    run(tmp_path)
    (tmp_path / "stages" / "one.json").write_text("{")
    assert run(tmp_path)[0] == ["one"]
    assert json.loads((tmp_path / "stages" / "one.json").read_text())["results"]["value"] == 1
