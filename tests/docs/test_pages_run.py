"""The pages run: their commands and code, in their order, in a clean folder with small inputs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import autods
from autods.cli.main import main
from autods.io.images import write_movie_tiff
from autods.networks.registry import NETWORKS
from autods.optics import PSF_MODELS
from autods.zoo import SELECTION_RULES
from tests.docs.pages import ROOT, Block, blocks, commands

#: Pages that run, and inputs that a page knows under another name.
PAGES: dict[str, dict[str, str]] = {
    "README.md": {},
    "docs/first-steps.md": {},
    "docs/judging.md": {},
    "docs/localize.md": {},
    "docs/localize3d.md": {},
    "docs/calibration.md": {"movie.tif": "movie3d.tif"},
    "docs/training.md": {},
    "docs/models.md": {},
    "docs/own/zoo.md": {},
    "docs/own/selection.md": {},
    "docs/own/psf.md": {},
    "docs/own/network.md": {},
    "docs/own/reader.md": {},
}
#: Pages that take under 5 s.
QUICK = {"docs/own/selection.md", "docs/own/psf.md", "docs/own/network.md", "docs/own/reader.md"}
#: Commands that are run elsewhere: the page's by tests/web, the suites' by tests/benchmarks.
ELSEWHERE = {"web", "benchmark"}
#: What makes a command short.
SHORT = {
    "train": [
        "trainer.max_steps=2",
        "trainer.max_minutes=1",
        "data.size_px=16",
        "data.batch_size=2",
        "data.batches_per_epoch=2",
        "data.validation_batches=1",
        "trainer.progress_bar=false",
    ],
    "simulate": ["n_frames=20"],
    "zoo": [
        "budget.specialist_steps=2",
        "budget.size_px=16",
        "budget.batch_size=2",
        "budget.batches_per_epoch=2",
        "budget.validation_batches=1",
    ],
    "calibrate": ["calibration.steps=40", "insitu.rounds=1"],
    "localize3d": ["calibration.steps=40"],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    flat = autods.simulate(n_frames=8, size_px=40, structure="uniform", density_per_um2=0.3, seed=1)
    deep = autods.simulate(
        n_frames=25,
        size_px=48,
        structure="uniform",
        density_per_um2=0.06,
        photons=8000,
        seed=1,
        psf="astigmatic_gaussian",
        z_min_nm=-300,
        z_max_nm=300,
    )
    psf = PSF_MODELS["astigmatism"](autods.OpticalSystem(100.0, wavelength_nm=660.0, na=1.4))
    depth = -torch.linspace(-500, 500, 11)
    light = psf(torch.stack([0 * depth, 0 * depth, depth], 1), 31) * 20_000 + 10
    stack = torch.poisson(light, generator=torch.Generator().manual_seed(0)).numpy()
    for name, frames in (("movie", flat.frames), ("movie3d", deep.frames), ("beads", stack)):
        write_movie_tiff(frames.astype(np.uint16), folder / f"{name}.tif", 100.0)
    (folder / "folder").mkdir()
    for name in ("a", "b"):
        shutil.copy(folder / "movie.tif", folder / "folder" / f"{name}.tif")
    return folder


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a page registers."""
    for registry in (NETWORKS, PSF_MODELS, SELECTION_RULES):
        for name in registry:
            monkeypatch.setitem(registry, name, registry[name])  # type: ignore[index]


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow]) for page in PAGES]
)
def test_the_page_runs(
    page: str,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    for name, other in PAGES[page].items():
        shutil.copy(tmp_path / other, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    before = [dict(registry) for registry in (NETWORKS, PSF_MODELS, SELECTION_RULES)]
    for block in blocks(ROOT / page):
        if block.language == "python":
            exec(compile(block.text, block.id, "exec"), names)
        elif block.language == "yaml" and block.text.startswith("# "):
            first, _, rest = block.text.partition("\n")
            Path(first.removeprefix("# ")).write_text(rest)
        elif block.language == "bash":
            run(block, capsys)
    for registry, entries in zip((NETWORKS, PSF_MODELS, SELECTION_RULES), before, strict=True):
        for name in set(registry) - set(entries):
            del registry[name]  # type: ignore[attr-defined]


def run(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    for program, *given in commands(block):
        if program.removeprefix(".venv/bin/") != "autods" or given[0] in ELSEWHERE:
            continue
        # The movie at hand is small.
        words = [re.sub("^frames=.*", "frames=0:5", re.sub("^roi=.*", "roi=0:0:32:32", w)) for w in given]
        short = [] if "--help" in words else SHORT.get(words[0], [])
        code = main([*words, *short])
        assert code == 0, f"{block.id}: autods {' '.join(words)}\n{capsys.readouterr().err}"
