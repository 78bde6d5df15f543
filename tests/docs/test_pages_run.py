"""The pages run: their commands and code, in their order, in a clean folder with small inputs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import autods
from autods.io.images import write_movie_tiff
from autods.networks.registry import NETWORKS
from autods.optics import PSF_MODELS
from autods.optics.storage import save_psf
from autods.zoo import SELECTION_RULES
from tests.data import SHARED
from tests.docs.pages import ALL, INLINE_COMMANDS, ROOT, SHELLS, blocks, commands
from tests.docs.running import INSTALL_PAGES, INSTALLERS, NAMES, reason_not_to_run, run, shortened

#: Pages with something to run; what a page knows under another name is copied there.
RUN = sorted({block.page for block in ALL if block.language in (*SHELLS, "python")})
RENAMED = {
    "docs/calibration.md": {"movie3d.tif": "movie.tif"},
    "docs/finishing.md": {
        "found.csv": "first_autods/localizations.csv",
        "truth.csv": "second_autods/localizations.csv",
    },
}
#: Pages that take under 5 s.
QUICK = {
    "CONTRIBUTING.md",
    "docs/install.md",
    "docs/own/network.md",
    "docs/own/psf.md",
    "docs/own/reader.md",
    "docs/page.md",
}
#: Files that a page speaks of without showing them.
FILES = {
    "my_rules.yaml": "by_brightness: {_target_: my_module.by_brightness, _partial_: true}\n",
    "my_module.py": (
        "from autods.zoo import Choice\n"
        "def by_brightness(profile, cards):\n"
        "    return Choice(max(cards, key=lambda card: card.snr.mean), 'the brightest')\n"
    ),
}
#: What a word in capitals of the running text stands for.
PLACEHOLDERS = {
    "COMMAND": "localize",
    "DIR": "made",
    "DIR/movie.tif": "made/movie.tif",
    "FILE": "psf.h5",
    "FIRST": "found.csv",
    "MOVIE": "movie.tif",
    "SECOND": "truth.csv",
    "TABLE": "found.csv",
    "only=[NAME]": "only=[mixture_general]",
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
    save_psf(psf, folder / "psf.h5", {"made by": "the tests"})
    autods.write_table(flat.truth, folder / "truth.csv")
    save_psf(psf, folder / "psf.h5", {"made by": "the tests"})
    autods.write_table(flat.truth.select(flat.truth.x_nm > 500), folder / "found.csv")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "folder").mkdir()
    for name in ("a", "b"):
        shutil.copy(folder / "movie.tif", folder / "folder" / f"{name}.tif")
    return folder


@pytest.fixture
def here(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a clean folder with the inputs; the third-party movies lie beside it, where there are any."""
    folder = tmp_path / "here"
    shutil.copytree(inputs, folder)
    if SHARED.exists():
        (tmp_path / "shared").symlink_to(SHARED.parent)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a page registers."""
    for registry in (NETWORKS, PSF_MODELS, SELECTION_RULES):
        for name in registry:
            monkeypatch.setitem(registry, name, registry[name])  # type: ignore[index]


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow]) for page in RUN]
)
def test_the_page_runs(page: str, here: Path) -> None:
    for name, other in RENAMED.get(page, {}).items():
        (here / other).parent.mkdir(exist_ok=True)
        shutil.copy(here / name, here / other)
    if page.startswith("docs/models/"):
        others = shutil.ignore_patterns(Path(page).stem)
        shutil.copytree(ROOT / "models", here / "models", ignore=others)
    names: dict[str, object] = {"__name__": "page"}
    before = [dict(registry) for registry in (NETWORKS, PSF_MODELS, SELECTION_RULES)]
    for block in blocks(ROOT / page):
        if block.language == "python":
            exec(compile(block.text, block.id, "exec"), names)
            if "SELECTION_RULES[" in block.text:
                del SELECTION_RULES["by_brightness"]  # comes from a file below
        elif block.language == "yaml" and block.text.startswith("# "):
            first, _, rest = block.text.partition("\n")
            Path(first.removeprefix("# ")).write_text(rest)
        elif block.language in SHELLS:
            for program, *words in commands(block):
                run_of_a_page(page, program.removeprefix(".venv/bin/"), words)
    for registry, entries in zip((NETWORKS, PSF_MODELS, SELECTION_RULES), before, strict=True):
        for name in set(registry) - set(entries):
            del registry[name]  # type: ignore[attr-defined]


def run_of_a_page(page: str, program: str, words: list[str]) -> None:
    if reason_not_to_run([program, *words]):
        return
    if program in INSTALLERS or (program == "python" and page in INSTALL_PAGES):
        assert page in INSTALL_PAGES, f"{page}: nothing runs {program} {' '.join(words)}"
        return
    run(program, shortened(words) if program == "autods" else words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [words for words in INLINE_COMMANDS if words[0] in ("autods", "python") and words not in NAMES],
    ids=" ".join,
)
def test_the_command_of_the_running_text_runs(words: tuple[str, ...], here: Path) -> None:
    given = [PLACEHOLDERS.get(word, word) for word in words[1:]]
    assert words[0] == "python" or not [word for word in given if re.fullmatch(r"[A-Z_]{3,}(/.*)?", word)], (
        "what does it stand for?"
    )
    if "zoo=myzoo" in given:
        shutil.copytree(ROOT / "models", here / "myzoo")
    if "made/movie.tif" in given:
        shutil.copytree(here, here / "made")
    run(words[0], shortened(given) if words[0] == "autods" else given)
