"""The 3D one-click: from a movie and a bead stack to localizations in depth, pictures and a report."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autods.core import LocalizationTable, UserError
from autods.estimation.light import LightMovie
from autods.estimation.on_times import mean_on_frames
from autods.estimation.profile import measure_scene
from autods.estimation.scene import NoiseModel, Scene
from autods.inference import fitting_device, pick_device
from autods.inference.finders import Finder
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.io.movie import CroppedMovie, Movie, check_frames
from autods.io.tables import read_table
from autods.optics.extent import peak_per_photon
from autods.pipelines import (
    doubt,
    first_pass3d,
    measure3d,
    outputs,
    outputs3d,
    psf_source,
    train3d,
)
from autods.pipelines.blocks import Block, OnShare, blocks_at_once, each_block, merge
from autods.pipelines.finish import Finished, drift_digest, finish
from autods.pipelines.inputs import (
    Instrument,
    MovieLike,
    crop_camera,
    digest_frames,
    open_input,
    resolve_instrument,
    with_measured,
    with_read_noise,
)
from autods.pipelines.measure3d import Extent
from autods.pipelines.model_stage import ModelStage
from autods.pipelines.population import Population
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings import FinishSettings, camera_inputs, rows_to_plan
from autods.pipelines.settings3d import Localize3DSettings
from autods.pipelines.streaming import block_length
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.pipelines.told_scale import best_bin_px
from autods.pipelines.trial_stage import TrialStage, with_limits
from autods.runs.chunks import ChunkStore
from autods.runs.provenance import digest_file, to_json
from autods.runs.record import Progress, RunRecord, Stage, is_finished, no_progress
from autods.runs.stages import Stages
from autods.runs.steps import step_key

if TYPE_CHECKING:
    from autods.pipelines.distributed import ProcessGroup

logger = logging.getLogger(__name__)

#: Frames of a block at most: their windows fill the memory, not the frames.
_BLOCK_FRAMES = 64
_CHECKED_FRAMES = 16
#: Corrections of the measured photons and density where nothing is trained for them.
_QUICK_ROUNDS = 1
#: Refined positions may lie this far outside the depths, as those of noisy data at the ends do.
_BEYOND_NM = 50.0
#: Side of the smallest frames, in parts of the windows' that hold the PSF at all depths.
_LEAST_HELD = 2 / 3


def localize3d(
    movie: MovieLike,
    settings: Localize3DSettings,
    out: Path,
    *,
    progress: Progress = no_progress,
    command: str = "",
    group: ProcessGroup | None = None,
) -> LocalizationTable | None:
    """Localize one movie in depth.

    Returns `LocalizationTable or None`, in coordinates of the full frame and of the whole movie, ordered by
    frame, y, x; empty in processes of a group other than the first. None when ``settings.until`` ends the run
    before. Raises `UserError` if something is missing or does not fit.

    Parameters
    ----------
    movie
        See `autods.pipelines.autods.localize`.
    settings
        What is known and wanted.
    out
        Run folder. Stages that it holds and whose inputs are the same are not repeated.
    progress
        Told of each finished step.
    command
        The command line that repeats the run, for the record.
    group
        Processes that share the frames; each of them makes this call, and the first one calibrates, measures
        and trains while the others wait. None for this process alone.
    """
    with ExitStack() as stack:
        whole = stack.enter_context(open_input(movie, settings.channel, settings.position))
        part = CroppedMovie(whole, settings.frames, settings.roi)
        _check(part)
        instrument = resolve_instrument(whole, settings.optics, settings.camera)
        device = pick_device(settings.device) if group is None else group.device
        digest = digest_file(whole.path) if whole.path.exists() else None
        sha256 = digest.sha256 if digest else digest_frames(whole)
        plain = to_json(dataclasses.replace(_hashable(settings), finish=FinishSettings()))
        made_from = (sha256, plain, psf_source.identify(settings.psf))
        key = step_key(*made_from, settings.finish, drift_digest(settings.finish))
        if is_finished(out, key, outputs3d.OUTPUT_FILES) and settings.reaches("localize"):
            return read_table(out)
        own = out
        if group is not None and not group.is_first:
            own = Path(stack.enter_context(TemporaryDirectory(prefix="autods-")))
        record = stack.enter_context(
            RunRecord(own, "localize3d", command=command, key=key, progress=progress)
        )
        if digest is not None:
            record.add_input(whole.path, digest)
        store = ChunkStore(out, step_key(*made_from))  # its blocks serve another filter or drift too
        return _Run(record, whole, part, settings, instrument, device, sha256, out, store, group).carry_out()


def _check(movie: Movie) -> None:
    chosen = np.unique(np.linspace(0, movie.shape[0] - 1, _CHECKED_FRAMES).round().astype(int)).tolist()
    check_frames(np.concatenate([movie.read(t, t + 1) for t in chosen]), movie.path)


def _hashable(settings: Localize3DSettings) -> Localize3DSettings:
    """Leave out what the key holds otherwise or does not depend on."""
    psf = dataclasses.replace(settings.psf, formula=None, beads=None, run=None, file=Path())
    camera = camera_inputs(settings.camera)
    return dataclasses.replace(settings, psf=psf, camera=camera, until="localize", device="")


class _Run:
    """One run of the pipeline: what its stages share."""

    def __init__(
        self,
        record: RunRecord,
        whole: Movie,
        part: CroppedMovie,
        settings: Localize3DSettings,
        instrument: Instrument,
        device: torch.device,
        movie_sha256: str,
        folder: Path,
        store: ChunkStore,
        group: ProcessGroup | None,
    ) -> None:
        self.record, self.whole, self.part, self.settings = record, whole, part, settings
        self.device, self.folder, self.store, self.group = device, folder, store, group
        self.fitting_device = fitting_device(device)
        self.is_keeper = group is None or group.is_first
        self.stages = Stages(record, None if self.is_keeper else folder)
        # The scene is that of all frames, whichever part of them is wanted.
        y0, x0 = part.origin_px
        roi = (y0, x0, y0 + part.shape[1], x0 + part.shape[2])
        self.field = CroppedMovie(whole, None, roi)
        self.instrument = self._measured(instrument)
        self.camera = crop_camera(self.instrument.camera, roi)
        # A gain that was measured on the movie tells photons; its noise is measured for itself.
        self.noise = NoiseModel.of_camera(self.camera) if instrument.gain_known else None
        self._movie_key = (movie_sha256, settings.frames, settings.roi, to_json(self.instrument.rows))

    def _measured(self, instrument: Instrument) -> Instrument:
        """Measure the camera where it is not known."""
        if instrument.gain_known:
            return with_read_noise(instrument, self.whole)
        with self.record.stage("measure the camera"):
            measured = with_measured(instrument, measure_scene(self.field, instrument.optics).camera)
        if not measured.gain_known:
            self.record.warn(
                "the camera's gain or offset is not known: photons are in arbitrary units;"
                " give camera.offset_adu and camera.e_per_adu"
            )
        return measured

    def carry_out(self) -> LocalizationTable | None:
        """Carry out the stages up to the one wanted."""
        with nullcontext() if self.group is None else self.group.first_goes_ahead():
            prepared = self._prepare()
        return None if prepared is None else self._localize(*prepared)

    def _prepare(self) -> tuple[VolumeLocalizer, KnownPsf, Scene] | None:
        """Carry out all but the last stage, or read what the first process has left of them."""
        settings, reaches = self.settings, self.settings.reaches
        known = self._calibrate()
        if not reaches("background"):
            return None
        movie = self._light(known)
        for note in movie.scene.validity.notes:
            self.record.warn(note)
        background = self._stage(
            "background",
            (settings.background, self._movie_key),
            lambda _: measure3d.measure_background(movie, self.stages.figure("background")),
        )
        if not reaches("snr"):
            return None
        extent = Extent.of(known)
        measured = None
        if settings.psf.run is None:
            measured = self._stage(
                "snr",
                (settings.snr, settings.needs_population),
                lambda _: self._measure_snr(movie, known, extent, background),
            )
            if not reaches("train"):
                return None
        with_fit = functools.partial(self._with_fit, known=known, extent=extent, passes=settings.passes)
        model = ModelStage(self.stages, settings.training, self.folder, self.camera, self.device, with_fit)
        model.prepare(known, extent, measured, settings.psf.run)
        if measured is not None and self.is_keeper:
            model.save_figure()
        localizer = self._localizer(known, extent)
        if reaches("test"):
            trial = TrialStage(self.stages, settings, self.folder, self.camera, self.fitting_device)
            observe = functools.partial(self._observe, movie.scene)
            localizer_of = functools.partial(self._localizer, extent=extent)
            population_of = functools.partial(self._first_pass, movie, known, extent)
            found = trial.run(known, extent, measured, self.part.shape, observe, localizer_of, population_of)
            localizer = with_limits(localizer, found["limits"])
            line = doubt.unexplained(found["real"], found["usual"])
            if line is not None:
                self.record.warn(f"{line}; look at the figure of the test")
        return (localizer, known, movie.scene) if reaches("localize") else None

    def _stage(self, name: str, depends_on: object, compute: Any, **more: Any) -> dict[str, Any]:
        return self.stages.run(name, to_json(depends_on), compute, **more)

    def _calibrate(self) -> KnownPsf:
        settings, folder = self.settings.psf, self.folder
        optics = self.instrument.optics

        def compute(_: Stage) -> dict[str, Any]:
            figure = self.stages.figure("calibrate")
            found = psf_source.calibrate(settings, self.instrument, folder, figure, self.record.command)
            known = psf_source.known_psf(settings, found, self.instrument, folder)
            return {**found, "told_bin_px": best_bin_px(known, Extent.of(known), self.device)}

        files = (folder / psf_source.PSF_FILE,)
        camera = [row for row in self.instrument.rows if row.key.startswith("camera.")]
        depends = (psf_source.identify(settings), optics, settings.z_min_nm, settings.z_max_nm, camera)
        results = self._stage("calibrate", depends, compute, files=files)
        known = psf_source.known_psf(settings, results, self.instrument, folder)
        known = dataclasses.replace(known, told_bin_px=results["told_bin_px"])
        for line in psf_source.doubts(known.z_range_nm, results):
            self.record.warn(line)
        self._check_size(known)
        return known

    def _check_size(self, known: KnownPsf) -> None:
        """Refuse frames that hold too little of the PSF."""
        side = Extent.of(known).fit_px
        height, width = self.part.shape[1:]
        if min(height, width) < _LEAST_HELD * side:
            raise UserError(
                f"{self.whole.path}: frames of {height} x {width} px are much smaller than the PSF, {side} px"
                f" over {known.z_range_nm[0]:g} to {known.z_range_nm[1]:g} nm: give a larger region or fewer"
                " depths"
            )

    def _light(self, known: KnownPsf) -> LightMovie:
        """Return the movie's light above a scene as smooth as the PSF where it is sharpest."""
        peak = peak_per_photon(known.model, *known.z_range_nm)
        sigma_px = 1 / math.sqrt(2 * math.pi * peak)
        scene = Scene(self.field, self.noise, sigma_px, self.settings.background)
        first = self.part.first_frame
        return LightMovie(scene, self.camera, first, first + self.part.shape[0])

    def _observe(self, scene: Scene, start: int, stop: int) -> Observation:
        """Return frames of the part as the fits see them."""
        first, last = start + self.part.first_frame, stop + self.part.first_frame
        frames = self.field.read(first, last)
        return Observation.over_scene(
            frames,
            scene(first, last, frames),
            self.camera,
            gain_known=self.instrument.gain_known,
            device=self.fitting_device,
        )

    def _first_pass(self, movie: LightMovie, known: KnownPsf, extent: Extent) -> Population | None:
        """Measure photons and density by what the shipped network finds."""
        finder = train3d.shipped_finder(known, extent, self.device)
        localizer = self._with_fit(finder, known, extent, passes=2)
        windows = first_pass3d.windows(self.part.shape, extent.render_px)
        looked = [self._observe(movie.scene, t, t + 1).window(y, x, side) for t, y, x, side in windows]
        seen = Observation.concatenate(looked)
        rounds = first_pass3d.ROUNDS if self.settings.needs_population else _QUICK_ROUNDS
        on_frames = mean_on_frames(movie)
        return first_pass3d.measure_population(
            seen, localizer, known, extent, self.camera, on_frames=on_frames, rounds=rounds
        )

    def _measure_snr(
        self, movie: LightMovie, known: KnownPsf, extent: Extent, background: dict[str, Any]
    ) -> dict[str, Any]:
        first_pass = functools.partial(self._first_pass, movie, known, extent)
        wanted, camera, figure = self.settings.snr, self.instrument.camera, self.stages.figure("snr")
        return measure3d.measure_snr(movie, known, wanted, camera, background, figure, first_pass)

    def _localizer(self, known: KnownPsf, extent: Extent) -> VolumeLocalizer:
        finder = train3d.load_finder(self.folder, known, extent, self.settings.threshold, self.device)
        return self._with_fit(finder, known, extent, self.settings.passes)

    def _with_fit(self, finder: Finder, known: KnownPsf, extent: Extent, passes: int) -> VolumeLocalizer:
        settings = self.settings
        fast = known.over_field(extent.render_px)
        if isinstance(fast, torch.nn.Module):
            fast.to(self.fitting_device)
        fitter = PsfFitter(
            fast,
            extent.fit_px,
            (known.z_range_nm[0] - _BEYOND_NM, known.z_range_nm[1] + _BEYOND_NM),
            refine=settings.refine == "mle",
            origin_px=(float(self.part.origin_px[1]), float(self.part.origin_px[0])),
            error=known.error,
            image_px=extent.render_px,
        )
        return VolumeLocalizer(finder, fitter, settings.significance, passes)

    def _localize(self, localizer: VolumeLocalizer, known: KnownPsf, scene: Scene) -> LocalizationTable:
        n_frames = self.part.shape[0]
        starts = range(0, n_frames, min(block_length(self.part.shape), _BLOCK_FRAMES))
        compute = functools.partial(self._localize_block, localizer, scene, starts)
        at_once = blocks_at_once(self.device)
        blocks = list(each_block(self.record, self.store, starts, compute, self.group, at_once))
        if not self.is_keeper:
            return LocalizationTable.empty()
        pixel_nm = self.instrument.optics.pixel_size_nm
        table = merge(blocks, self.part, pixel_nm, self.settings.max_uncertainty_nm)
        if not len(table):
            self.record.warn("nothing was found: look at the movie, or lower decode.threshold")
        frames = range(self.part.first_frame, self.part.first_frame + n_frames)
        finished = finish(self.record, table, frames, pixel_nm, self.settings.finish)
        self.record.add_results(localizations=len(finished.table), frames=n_frames)
        self._write(finished, known)
        self.store.clear()
        return finished.table

    def _localize_block(
        self, localizer: VolumeLocalizer, scene: Scene, starts: range, start: int, _: OnShare
    ) -> Block:
        stop, beside = min(start + starts.step, starts.stop), localizer.neighbours
        first, last = max(start - beside, starts.start), min(stop + beside, starts.stop)
        frames = self._observe(scene, first, last)
        return Block(localizer(frames, slice(start - first, stop - first))).later(start)

    def _write(self, finished: Finished, known: KnownPsf) -> None:
        record, folder = self.record, self.record.folder
        region = outputs.Region.of(self.whole, self.part, self.instrument.optics.pixel_size_nm)
        rows = [*self.instrument.rows, *outputs3d.setting_rows(self.settings, known.z_range_nm)]
        with record.stage("write tables"):
            outputs.write_plan(
                {"settings": rows_to_plan(rows), "all": to_json(_hashable(self.settings))}, folder
            )
            outputs.write_tables(finished, region, folder)
        with record.stage("render"):
            pixel_nm = self.settings.render_pixel_size_nm
            events = finished.linked.table
            preview = outputs3d.write_pictures(events, region, known.z_range_nm, pixel_nm, folder)
        with record.stage("report"):
            outputs3d.write_report(record, finished, region, preview_png=preview, settings=rows)
