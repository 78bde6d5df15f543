"""What packages the project says the same as the project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import autods
from tests.docs.pages import ROOT


def project() -> dict[str, object]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    content: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return content


def test_the_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    run = text.split("  run:\n")[1].split("test:")[0]
    asked = {line.strip("- \n").replace(" ", "") for line in run.strip().splitlines()} - {"python>=3.10"}
    stated = {re.sub("^torch>", "pytorch>", line) for line in project()["project"]["dependencies"]}  # type: ignore[index]
    assert asked == stated


def test_the_citation_is_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["preferred-citation"]["doi"] == "10.1038/s44303-025-00123-w"
    for page in ("README.md", "docs/index.md"):
        assert citation["preferred-citation"]["doi"] in (ROOT / page).read_text()


def test_issue_forms_and_workflows_are_yaml() -> None:
    for path in (ROOT / ".github").rglob("*.yml"):
        assert yaml.safe_load(path.read_text()), path
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert any(".ci/run" in step.get("run", "") for step in steps)


def test_a_release_refuses_what_is_no_version(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "release.sh"
    done = subprocess.run(
        ["bash", str(script), "two"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "two is no version MAJOR.MINOR.PATCH\n"


def test_the_reference_holds_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    shown = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith(":::")}
    assert set(autods.__all__) - {"__version__"} <= shown


def test_scripts_are_whole() -> None:
    for script in [*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"]:
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0, script
