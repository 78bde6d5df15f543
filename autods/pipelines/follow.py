"""Localizing a movie while the microscope writes it."""

from __future__ import annotations

import dataclasses
import logging
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from autods.core import LocalizationTable, UserError
from autods.core.grid import px_to_nm
from autods.inference import pick_device
from autods.io.growing import GrowingMovie
from autods.io.images import write_png
from autods.io.movie import CroppedMovie
from autods.pipelines import outputs
from autods.pipelines.autods import Run, localize
from autods.pipelines.blocks import load_block, save_block
from autods.pipelines.inputs import resolve_instrument
from autods.pipelines.plan import family_cards, load_localizers
from autods.pipelines.settings import LocalizeSettings, camera_inputs
from autods.pipelines.streaming import BlockLocalizer, block_length
from autods.rendering import render_gaussian, to_preview
from autods.runs.chunks import ChunkStore
from autods.runs.record import Progress, RunRecord, Stage, no_progress
from autods.runs.steps import step_key

logger = logging.getLogger(__name__)

#: Frames from which the models are chosen for what is shown while the movie grows.
FIRST_FRAMES = 200
#: A file of this name in the run folder ends the following.
STOP_FILE = "stop"
_POLL_S = 0.2
#: Frames localized at once: fewer would waste time, more would keep one waiting.
_BLOCK_FRAMES = 50
#: Seconds between two pictures.
_PICTURE_S = 2.0


def follow(
    movie: Path,
    settings: LocalizeSettings,
    out: Path,
    *,
    idle_s: float = 20.0,
    progress: Progress = no_progress,
    command: str = "",
) -> LocalizationTable:
    """Localize a movie while it is written, then once more as a whole.

    While it grows, blocks are localized as they come, with models chosen from the first frames; the picture
    (``preview.png``) and the counts in the run folder grow with it. The end is where nothing was added for a
    while, or where a file called ``stop`` appears in the run folder. Then the movie is localized as any
    finished one, with models chosen from all of it, so that the result is the same to the last byte. An
    interrupted following goes on with the blocks that it has. Raises `UserError` if no movie comes, or it
    cannot be localized.

    Parameters
    ----------
    movie
        The file or folder that grows; it need not be there yet.
    settings
        What is known and wanted.
    out
        Run folder.
    idle_s
        Seconds without a new frame that mean the end.
    progress
        Told of each block.
    command
        The command line that repeats the run.
    """
    if settings.frames is not None:
        raise UserError("--follow takes all frames as they come: leave frames out")
    if not idle_s > 0:
        raise UserError(f"follow.idle_s is {idle_s}: it must be greater than 0")
    with ExitStack() as stack:
        record = stack.enter_context(
            RunRecord(out, "localize", command=command, key="followed", progress=progress)
        )
        stop_file = out / STOP_FILE
        stop_file.unlink(missing_ok=True)
        growing = GrowingMovie(movie, settings.channel, settings.position)
        stack.callback(growing.close)
        store = _Following(record, growing, movie, settings, idle_s, stop_file).carry_out()
        stop_file.unlink(missing_ok=True)
    table = localize(movie, settings, out, progress=progress, command=command)
    store.clear()
    return table


class _Following:
    """The live part of `follow`."""

    def __init__(
        self,
        record: RunRecord,
        growing: GrowingMovie,
        path: Path,
        settings: LocalizeSettings,
        idle_s: float,
        stop_file: Path,
    ) -> None:
        self._record, self._growing, self._path = record, growing, path
        self._settings, self._idle_s, self._stop_file = settings, idle_s, stop_file
        self._n_found = 0
        self._drawn = -np.inf
        self._compute_s: list[float] = []
        self._delay_s: list[float] = []

    def carry_out(self) -> ChunkStore:
        """Follow the movie to its end and return its preliminary blocks."""
        with self._record.stage("wait for frames"):
            n_frames = self._wait_for(FIRST_FRAMES)
        run, localizer, store = self._prepare(min(n_frames, FIRST_FRAMES))
        image, pixel_nm = self._canvas(run)
        with self._record.stage("follow") as stage:
            done, step = 0, min(block_length(run.part.shape), _BLOCK_FRAMES)
            while True:
                stop = self._wait_for(done + step)
                if stop == done:
                    break
                self._block(run, localizer, store, (done, min(stop, done + step)), (image, pixel_nm), stage)
                done = min(stop, done + step)
        self._draw(image, pixel_nm)
        self._summarize(done)
        return store

    def _wait_for(self, n_frames: int) -> int:
        """Wait until there are so many frames, or no more come; return how many there are."""
        while True:
            there = self._growing.poll(self._idle_s)
            if there >= n_frames:
                return there
            if self._stop_file.exists() or self._growing.quiet_s >= self._idle_s:
                # Nobody writes any more: the last frame is whole.
                there = self._growing.poll(0.0)
                if there == 0:
                    raise UserError(
                        f"{self._path}: no frame came in {self._idle_s:g} s: start the camera first, or raise"
                        " follow.idle_s"
                    )
                return there
            time.sleep(_POLL_S)

    def _prepare(self, n_frames: int) -> tuple[Run, BlockLocalizer, ChunkStore]:
        """Choose models from the first frames."""
        settings, whole = self._settings, self._growing.movie
        assert whole is not None
        instrument = resolve_instrument(whole, settings.optics, settings.camera)
        cards = family_cards(settings)
        localizers = load_localizers(cards, settings, pick_device(settings.device))
        inputs = dataclasses.replace(settings, camera=camera_inputs(settings.camera), zoo=None, device="")
        names = [(card.name, card.weights_sha256) for card in cards]
        store = ChunkStore(
            self._record.folder, step_key("followed", str(self._path), n_frames, inputs, names)
        )
        part = CroppedMovie(whole, slice(0, n_frames), settings.roi)
        run = Run(self._record, whole, part, settings, instrument, cards, localizers, None, store, None)
        _, _, localizer = run.prepare()
        return run, localizer, store

    def _block(
        self,
        run: Run,
        localizer: BlockLocalizer,
        store: ChunkStore,
        frames: tuple[int, int],
        canvas: tuple[np.ndarray, float],
        stage: Stage,
    ) -> None:
        """Localize a block, or read it, and draw it."""
        start, stop = frames
        name = f"block_{start:09d}_{stop:09d}"
        block = load_block(store, name)
        if block is None:
            begun = time.monotonic()
            whole = self._growing.movie
            assert whole is not None
            part = CroppedMovie(whole, slice(0, self._growing.n_frames), self._settings.roi)
            now = dataclasses.replace(run, whole=whole, part=part)
            if localizer.scene.movie.shape[0] < stop:
                localizer.scene = localizer.scene.of_longer(now.field)
            block = now.block(localizer, start, stop)
            save_block(store, name, block)
            self._compute_s.append((time.monotonic() - begun) / (stop - start))
            self._delay_s.append(time.monotonic() - begun)
        self._n_found += len(block.table)
        self._record.add_results(localizations=self._n_found, frames=stop, preliminary=True)
        image, pixel_nm = canvas
        shape_nm = (image.shape[0] * pixel_nm, image.shape[1] * pixel_nm)
        table = block.table
        sigma = outputs.spot_sigma_nm(table, pixel_nm)
        image += render_gaussian(table.x_nm, table.y_nm, sigma, shape_nm, pixel_nm)
        if time.monotonic() - self._drawn > _PICTURE_S:
            self._draw(image, pixel_nm)
        stage.advance(stop - start)

    def _canvas(self, run: Run) -> tuple[np.ndarray, float]:
        """Return an empty picture of the region and its pixel, nm."""
        camera_nm = run.instrument.optics.pixel_size_nm
        height, width = (px_to_nm(float(side), camera_nm) for side in run.part.shape[1:])
        pixel_nm = outputs.picture_pixel_nm((height, width), self._settings.render_pixel_size_nm)
        return render_gaussian(np.zeros(0), np.zeros(0), 1.0, (height, width), pixel_nm), pixel_nm

    def _draw(self, image: np.ndarray, pixel_nm: float) -> None:
        write_png(to_preview(image, pixel_nm), self._record.folder / "preview.png")
        self._drawn = time.monotonic()

    def _summarize(self, n_frames: int) -> None:
        if not self._compute_s:
            return
        rate = 1 / float(np.mean(self._compute_s))
        delay = float(np.median(self._delay_s))
        self._record.add_results(frames_per_s=round(rate, 1), block_delay_s=round(delay, 2))
        logger.info("followed %d frames: %.1f frames/s, a block after %.2f s", n_frames, rate, delay)
