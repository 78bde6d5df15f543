"""What pages share, without a browser: one run for one wish, entries, and what is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("nicegui")

from autods.core import UserError
from autods.pipelines.shown_rows import Look
from autods.web.movies import MovieFacts
from autods.web.pages.movie import _entered
from autods.web.progress3d import save_values
from autods.web.roots import Roots
from autods.web.site import Site
from autods.web.widgets.result import Shown
from autods.web.words import check_words


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(Roots([tmp_path]), 10**6)
    found.store.prepare()
    # What a job does is of no matter here.
    monkeypatch.setattr(found.queue, "advance", lambda: None)
    (tmp_path / "movie.tif").write_text("stands in for a movie")
    return found


def test_the_same_wish_is_one_run_until_it_has_ended(site: Site) -> None:
    movie = site.roots.folders[0] / "movie.tif"

    async def start(*more: str) -> str:
        return (await site.start("localize", movie, [str(movie), *more], "cpu")).id

    async def clicks() -> tuple[str, str, str]:
        first, second = await asyncio.gather(start(), start())
        return first, second, await start("frames=0:5")

    first, second, other = asyncio.run(clicks())
    assert first == second != other
    site.queue.stop(site.store.load(first))
    assert asyncio.run(start()) not in (first, other)


def test_a_run_is_repeated_with_changes_and_entries_are_kept(site: Site) -> None:
    movie = site.roots.folders[0] / "movie.tif"
    words = [str(movie), "camera.qe=0.8", "frames=0:5", "device=cpu"]
    job = site.store.create("localize", movie, words, "cpu", queue=False)
    facts = MovieFacts(movie, (1, 2, 3), "uint16", {}, "", (0.0, 1.0))
    assert _entered(site, facts, job.id).values == {"camera.qe": "0.8", "frames": "0:5", "device": "cpu"}
    save_values(site.form_folder(movie), {"camera.qe": "0.7"}, 0)
    assert _entered(site, facts, "").values == {"camera.qe": "0.7"}


def test_what_is_looked_at_goes_through_the_address() -> None:
    look = Look("photons > 5 | z > 0", "histogram", "viridis", 98.0, False)
    limits = (("photons", 10.0, float("inf")), ("frame", 0.0, 100.0))
    now = Shown(look, "linked", limits, (0, 0, 10, 20), "another")
    assert Shown.read(now.text(), is_3d=False) == now
    assert now.filter == "(photons > 5 | z > 0) & !(photons < 10) & !(frame < 0) & !(frame > 100)"
    usual = Shown(Look(colors="depth"))
    for text in ("", "nonsense", "[]", "{}", now.text().replace("viridis", "red"), now.text()[:-3]):
        assert Shown.read(text, is_3d=True) == usual
    # Colours of depth are for depths.
    assert Shown.read(Shown(Look(colors="depth")).text(), is_3d=False).look.colors == "inferno"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("train", []),
        ("localize", ["zoo=/evil"]),
        ("localize", ["hydra.run.dir=/evil"]),
        ("localize", ["--out", "/evil"]),
        ("localize", ["device=cuda:1 zoo=/x"]),
        ("localize", ["optics.pixel_size_nm=-3"]),
        ("localize", ["camera.offset_adu=/etc/passwd"]),
        ("localize3d", ["--psf", "/etc/passwd"]),
        ("localize3d", ["psf=/etc/passwd"]),
        ("localize3d", ["until=nothing"]),
    ],
)
def test_words_that_no_form_makes_are_refused(site: Site, kind: str, words: list[str]) -> None:
    movie = str(site.roots.folders[0] / "movie.tif")
    with pytest.raises(UserError):
        check_words(site.roots, kind, [movie, *words])
    check_words(site.roots, "localize", [movie, "camera.qe=0.8", "--follow", "device=cpu"])
