"""3D in a real browser: step by step with a drawn region, then all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from autods.pipelines.settings3d import STAGES
from tests.web.browser import visit
from tests.web.conftest import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def wait_for_step(page: Page, name: str, status: str) -> None:
    """Wait until a step stands as wanted; a run that fails ends the waiting."""
    wanted = page.locator(f'[data-step="{name}"] .chip.{status}')
    failed = page.locator(".chip.failed")
    wanted.or_(failed).first.wait_for()
    assert failed.count() == 0, page.get_by_role("alert").all_inner_texts()


def enter(page: Page, **entries: str) -> None:
    for key, text in entries.items():
        page.locator(f'[data-key="{key.replace("__", ".")}"]').fill(text)


def draw_region(page: Page) -> None:
    """Drag over the middle half of the picture."""
    page.get_by_role("button", name="Draw region").locator("visible=true").click()
    pane = page.locator(".viewer-pane").locator("visible=true").first.bounding_box()
    assert pane is not None
    x, y, half = pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2, pane["height"] / 4
    page.mouse.move(x - half, y - half)
    page.mouse.down()
    page.mouse.move(x, y, steps=3)
    page.mouse.move(x + half, y + half, steps=3)
    page.mouse.up()


@pytest.mark.slow
def test_step_by_step_with_a_drawn_region_then_all(browser: Browser, server: Server) -> None:
    with visit(browser, server.url(f"/movie?path={server.data / 'movie.tif'}")) as page:
        page.get_by_role("button", name="Reconstruct in 3D").click()
        page.wait_for_url("**/run/*")
        page.get_by_role("button", name="One click").click()
        page.get_by_text("choose the bead stack").wait_for()
        page.get_by_label("PSF from").click()
        page.get_by_text("ready-made: astigmatic_gaussian").click()
        enter(page, psf__z_min_nm="-400", psf__z_max_nm="400")
        enter(page, camera__offset_adu="0", camera__e_per_adu="1")
        page.locator('[data-step="snr"]').click()
        draw_region(page)
        entry = page.locator('[data-key="snr.region"]')
        page.wait_for_function("entry => entry.value !== ''", arg=entry.element_handle())
        region = [int(part) for part in entry.input_value().split(":")]
        assert np.allclose(region, [16, 16, 48, 48], atol=2)
        page.get_by_role("button", name="Run up to this step").locator("visible=true").click()
        wait_for_step(page, "snr", "done")
        folder = server.data / "autods_runs" / page.url.rsplit("/", 1)[1]
        measured = json.loads((folder / "stages" / "snr.json").read_text())["results"]
        assert measured["region"] == region
        page.locator(".figure").locator("visible=true").wait_for()
        check_out_of_date(page)
        run_all(page, folder)
        check_again(page, server, folder)


def check_out_of_date(page: Page) -> None:
    """A change in a step concerns it and what comes after, until it is taken back; a reload keeps it."""
    page.locator('[data-step="snr"]').click()
    enter(page, snr__max_pixel_value="900")
    wait_for_step(page, "snr", "stale")
    assert page.locator('[data-step="background"] .chip.done').count() == 1
    page.reload()
    wait_for_step(page, "snr", "stale")
    page.locator('[data-step="snr"]').click()
    assert page.locator('[data-key="snr.max_pixel_value"]').input_value() == "900"
    enter(page, snr__max_pixel_value="")
    wait_for_step(page, "snr", "done")


def run_all(page: Page, folder: Path) -> None:
    page.locator('[data-step="train"]').click()
    enter(page, trainer__max_steps="3")
    page.get_by_role("button", name="One click").click()
    wait_for_step(page, "localize", "done")
    for name in STAGES:
        assert page.locator(f'[data-step="{name}"] .chip.done').count() == 1
    page.locator(".result .viewer-pane[data-loaded]").wait_for()
    page.locator(".section .viewer-pane[data-loaded]").wait_for()
    assert "trainer.max_steps=3" in page.locator("code.command").inner_text()
    assert (folder / "localizations.csv").stat().st_size > 0


def check_again(page: Page, server: Server, folder: Path) -> None:
    """A run is repeated with changes in a folder of its own, from the entries that it was made with."""
    page.get_by_role("button", name="Run again with changes").click()
    page.wait_for_url(lambda address: not address.endswith(folder.name))
    page.locator('[data-step="train"]').click()
    assert page.locator('[data-key="trainer.max_steps"]').input_value() == "3"
    page.locator('[data-step="calibrate"]').click()
    assert page.locator('[data-key="psf.z_min_nm"]').input_value() == "-400"
    page.get_by_text("ready-made: astigmatic_gaussian").wait_for()
    assert page.locator(".steps .chip.new").count() == len(STAGES)
    again = server.data / "autods_runs" / page.url.rsplit("/", 1)[1]
    assert not (again / "localizations.csv").exists()
    assert (folder / "localizations.csv").exists()
