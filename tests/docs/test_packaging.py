"""What packages the project says the same as the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import StrictUndefined, Template

import autods
from tests.docs.copies import copy_of_the_source
from tests.docs.pages import ROOT

#: What a wheel is built from.
NEEDED = {"autods", "conf", "models", "pyproject.toml", "README.md", "LICENSE"}


def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return content


def spelled(requirement: str) -> str:
    """Return a requirement as PyPI and conda spell it alike."""
    return re.sub("^torch>", "pytorch>", requirement.replace(" ", ""))


def test_the_conda_recipe_is_read_and_asks_for_what_the_project_asks_for() -> None:
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    recipe = yaml.safe_load(Template(text, undefined=StrictUndefined).render(environ={}, PYTHON="python"))
    asked, stated = recipe["requirements"], project()["project"]
    python = f"python{stated['requires-python']}"
    needed = {*map(spelled, stated["dependencies"]), python}
    assert {*map(spelled, asked["run"])} == needed
    assert {*map(spelled, asked["host"])} == {*project()["build-system"]["requires"], "pip", python}
    assert recipe["package"]["name"] == stated["name"]
    assert recipe["build"]["entry_points"] == [f"{name} = {of}" for name, of in stated["scripts"].items()]
    for path in (recipe["source"]["path"], "../../" + recipe["about"]["license_file"]):
        assert (ROOT / "packaging" / "conda" / path).exists()


def test_the_conda_environment_is_read_and_installs_the_project() -> None:
    folder = ROOT / "packaging" / "conda"
    asked = yaml.safe_load((folder / "environment.yaml").read_text())["dependencies"]
    stated = project()["project"]
    assert {spelled(word) for word in asked if word not in ("pip", asked[-1])} == {
        f"python{stated['requires-python']},<3.14",
        *(spelled(word) for word in stated["dependencies"] if word.startswith("torch>")),
    }
    (own,) = asked[-1]["pip"]
    path, extras = re.fullmatch(r"(.*)\[(.*)\]", own).groups()
    assert (folder / path / "pyproject.toml").exists()
    assert {*extras.split(",")} <= {*stated["optional-dependencies"]}


def test_the_citation_is_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["preferred-citation"]["doi"] == "10.1038/s44303-025-00123-w"
    # Schema 1.2.0: what is required, and authors as entities: the project has no list of persons.
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert {"type", "title", "authors"} <= set(citation["preferred-citation"])
    for author in [*citation["authors"], *citation["preferred-citation"]["authors"]]:
        assert set(author) == {"name"}
    if cffconvert := shutil.which("cffconvert"):
        shell(ROOT, cffconvert, "--validate")
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


def shell(folder: Path, *words: object, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_release_is_tagged_and_its_packages_carry_the_tag(tmp_path: Path) -> None:
    """In a repository of its own; `make` stands in for lint, tests and docs, which run elsewhere."""
    pytest.importorskip("hatch_vcs")
    source = copy_of_the_source(tmp_path / "autods")
    shell(source, "git", "tag", "-a", "v0.1.9", "-m", "the one before")
    tools = tmp_path / "tools"
    for path, text in {
        tools / "make": 'echo "$@" >>made.txt',
        source / ".venv" / "bin" / "python": f'exec {sys.executable} "$@" --no-isolation',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    with (source / ".gitignore").open("a") as ignored:
        ignored.write("made.txt\n")
    shell(source, "git", "commit", "-qam", "What make leaves is not kept")
    known = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    shell(source, "bash", "scripts/release.sh", "0.3.0", **known)

    assert (source / "made.txt").read_text() == "lint test docs\n"
    assert shell(source, "git", "tag", "--points-at", "HEAD") == "v0.3.0"
    assert shell(source, "git", "status", "--porcelain") == ""
    headings = re.findall("^## .*", (source / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "## Unreleased"
    assert re.fullmatch(r"## 0\.3\.0 - \d{4}-\d\d-\d\d", headings[1])
    built = {path.name for path in (source / "dist").iterdir()}
    assert built == {"autods_smlm-0.3.0-py3-none-any.whl", "autods_smlm-0.3.0.tar.gz"}
    # What comes after a release is a later version than it.
    (source / "README.md").write_text("changed")
    shell(source, "git", "commit", "-qam", "A change")
    later = shell(source, sys.executable, "-m", "hatchling", "version")
    assert later.startswith("0.3.1.dev1+g")
    again = subprocess.run(
        ["bash", "scripts/release.sh", "0.3.0"], cwd=source, capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr) == (2, "v0.3.0 is there already\n")


def test_every_heading_of_the_changelog_is_a_version() -> None:
    headings = re.findall("^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


def test_ci_fails_where_no_browser_can_be_had(tmp_path: Path) -> None:
    """The tests of the page would skip, and that is no success."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in ("make", "python3", "apt-get"):
        (tools / name).write_text(f"#!/bin/bash\necho {name} >>{tmp_path / 'called.txt'}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run")],
        env={"PATH": str(tools), "CHROMIUM": "no-such-browser"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "no chromium, and none to install: the page cannot be tested\n"
    called = (tmp_path / "called.txt").read_text().split()
    assert "apt-get" in called  # it was tried
    assert "make" not in called


@pytest.mark.slow
def test_the_hooks_of_pre_commit_pass(tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    source = copy_of_the_source(tmp_path / "autods")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = shell(source, sys.executable, "-m", "pre_commit", "run", "--all-files", PATH=path)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert told.count("Passed") == len(hooks) == 4


def test_the_dockerfile_keeps_the_rules() -> None:
    """Where hadolint is there it is asked; these are the rules that matter to whoever runs the image."""
    path = ROOT / "packaging" / "Dockerfile"
    lines = [line for line in path.read_text().replace("\\\n", " ").splitlines() if line and line[0] != "#"]
    words = [line.split(maxsplit=1) for line in lines]
    known = "ARG FROM ENV WORKDIR COPY RUN USER EXPOSE ENTRYPOINT CMD"
    assert {word for word, _ in words} <= {*known.split()}
    for base in (rest for word, rest in words if word == "FROM"):
        assert ":" in base, f"{base}: say which version"
        assert ":latest" not in base
    assert [rest for word, rest in words if word == "USER"], "the program must not run as root"
    copies = [rest.split()[:-1] for word, rest in words if word == "COPY" and "--from" not in rest]
    copied = {name for names in copies for name in names}
    assert all((ROOT / name).exists() for name in copied)
    assert copied >= NEEDED
    assert not copied & set((ROOT / ".dockerignore").read_text().split())
    for rest in (rest for word, rest in words if word == "RUN"):
        assert rest.count("pip install") == rest.count("pip install --no-cache-dir"), rest
    assert all(json.loads(rest) for word, rest in words if word in ("ENTRYPOINT", "CMD"))  # no shell between
    if hadolint := shutil.which("hadolint"):
        shell(ROOT, hadolint, path)


def test_the_definition_of_apptainer_keeps_the_rules() -> None:
    text = (ROOT / "packaging" / "autods.def").read_text()
    header, *rest = re.split(r"^%(\w+)[^\n]*\n", text, flags=re.MULTILINE)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    assert re.search("^Bootstrap: docker$", header, re.MULTILINE)
    assert re.search(r"^From: python:[\w.-]+$", header, re.MULTILINE)
    assert set(sections) == {"files", "post", "runscript", "labels", "help"}
    pairs = [line.split() for line in sections["files"].splitlines() if line.strip()]
    assert all((ROOT / source).exists() and target == f"/src/{source}" for source, target in pairs)
    assert {source for source, _ in pairs} >= NEEDED
    for name in ("post", "runscript"):
        assert subprocess.run(["bash", "-n"], input=sections[name], text=True, check=False).returncode == 0
