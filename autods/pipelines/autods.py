"""The 2D one-click: from a movie to localizations, a picture and a report."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.estimation.profile import measure_scene
from autods.estimation.scene import NoiseModel, Scene
from autods.inference import Localizer, pick_device
from autods.io.movie import CroppedMovie, Movie, check_frames
from autods.io.tables import read_table
from autods.pipelines import outputs, report_figures
from autods.pipelines.blocks import Block, OnShare, blocks_at_once, each_block, merge
from autods.pipelines.finish import Finished, drift_digest, finish, finish_rows
from autods.pipelines.html_report import Section, SettingRow
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
from autods.pipelines.plan import (
    MIN_SIDE_PX,
    Plan,
    family_cards,
    load_localizers,
    make_plan,
    patch_rows,
    plan_to_dict,
)
from autods.pipelines.settings import FinishSettings, LocalizeSettings, camera_inputs
from autods.pipelines.streaming import BlockLocalizer, block_length, ignore_share
from autods.postprocessing.quality import share_near_limit
from autods.runs.chunks import ChunkStore
from autods.runs.provenance import FileDigest, digest_file
from autods.runs.record import Progress, RunRecord, is_finished, no_progress
from autods.runs.steps import step_key
from autods.zoo import ModelCard

if TYPE_CHECKING:
    # Lightning takes seconds to import; most runs are of one process.
    from autods.pipelines.distributed import ProcessGroup

logger = logging.getLogger(__name__)

#: Frames looked at to tell whether a movie carries any signal.
_CHECKED_FRAMES = 16
#: Share of localizations near the limit of significance from which the result is doubted.
_MOST_NEAR_LIMIT = 0.5


def localize(
    movie: MovieLike,
    settings: LocalizeSettings | None = None,
    out: Path | None = None,
    *,
    progress: Progress = no_progress,
    command: str = "",
    group: ProcessGroup | None = None,
) -> LocalizationTable:
    """Localize one movie.

    Returns `LocalizationTable`, in coordinates of the full frame and of the whole movie, ordered by frame, y,
    x; empty in processes of a group other than the first. Raises `UserError` if the movie cannot be read or
    localized, the pixel size is not known, a setting does not fit, or the folder cannot be written.

    Parameters
    ----------
    movie
        A file or folder, an open movie, or frames (T, Y, X) as an array or tensor.
    settings
        What is known and wanted; None for all defaults.
    out
        Run folder; None writes nothing. A folder with an interrupted run of the same movie and settings is
        gone on with, a finished one is read.
    progress
        Told of each finished step.
    command
        The command line that repeats the run, for the record.
    group
        Processes that share the frames; each of them makes this call. None for this process alone.
    """
    settings = settings or LocalizeSettings()
    if group is not None and out is None:
        raise UserError("several processes share a run folder: name it")
    with ExitStack() as stack:
        whole = stack.enter_context(open_input(movie, settings.channel, settings.position))
        part = CroppedMovie(whole, settings.frames, settings.roi)
        _check(part)
        instrument = resolve_instrument(whole, settings.optics, settings.camera)
        cards = family_cards(settings)
        device = pick_device(settings.device) if group is None else group.device
        digest = digest_file(whole.path) if whole.path.exists() else None
        made_from = (
            digest.sha256 if digest else digest_frames(whole),
            # Models are known by their cards; the device changes no number that anybody looks at.
            dataclasses.replace(
                settings, camera=camera_inputs(settings.camera), zoo=None, device="", finish=FinishSettings()
            ),
            [
                dataclasses.replace(card, folder=None, description="", training={}, metrics={})
                for card in cards
            ],
        )
        key = step_key(*made_from, settings.finish, drift_digest(settings.finish))
        if out is not None and is_finished(out, key, outputs.OUTPUT_FILES):
            return read_table(out)
        localizers = load_localizers(cards, settings, device)
        is_keeper = group is None or group.is_first
        folder = (out if is_keeper else None) or Path(
            stack.enter_context(TemporaryDirectory(prefix="autods-"))
        )
        record = stack.enter_context(
            RunRecord(folder, "localize", command=command, key=key, progress=progress)
        )
        # The blocks of an interrupted run serve another filter or drift too.
        store = ChunkStore(out or folder, step_key(*made_from))
        run = Run(record, whole, part, settings, instrument, cards, localizers, digest, store, group)
        return run.carry_out(write=out is not None)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the pipeline: what its stages share."""

    record: RunRecord
    whole: Movie
    part: CroppedMovie
    settings: LocalizeSettings
    instrument: Instrument
    cards: tuple[ModelCard, ...]
    localizers: dict[str, Localizer]
    digest: FileDigest | None
    store: ChunkStore
    group: ProcessGroup | None

    def carry_out(self, *, write: bool) -> LocalizationTable:
        """Measure, localize, finish and, if wanted, write the files."""
        record, part = self.record, self.part
        if self.digest is not None:
            record.add_input(self.whole.path, self.digest)
        if write:
            outputs.load_libraries()
        plan, instrument, localizer = self.prepare()
        blocks = self._localize_blocks(localizer)
        if self.group is not None and not self.group.is_first:
            return LocalizationTable.empty()
        used = _count_used(plan, blocks)
        pixel_nm = self.instrument.optics.pixel_size_nm
        with record.stage("merge"):
            table = merge(blocks, part, pixel_nm, self.settings.max_uncertainty_nm)
        frames = range(part.first_frame, part.first_frame + part.shape[0])
        finished = finish(record, table, frames, pixel_nm, self.settings.finish)
        table = finished.table
        self._warn(plan, instrument, table, used)
        record.add_results(localizations=len(table), frames=part.shape[0])
        if write:
            self._write(plan, instrument, finished, used, localizer.scene)
        self.store.clear()
        return table

    def prepare(self) -> tuple[Plan, Instrument, BlockLocalizer]:
        """Measure the movie, choose the models, and make what localizes its blocks."""
        record, part = self.record, self.part
        field = self.field
        with record.stage("measure the movie"):
            known = with_read_noise(self.instrument, self.whole)
            noise = NoiseModel.of_camera(crop_camera(known.camera, self._roi)) if known.gain_known else None
            optics = known.optics
            measured = measure_scene(field, optics, noise, self.settings.background)
            plan = make_plan(
                part,
                optics,
                self.settings,
                self.cards,
                self.localizers,
                measured=measured,
                first_frame=part.first_frame,
            )
        instrument = with_measured(known, measured.camera)
        for card in self.cards:
            if card.name in self.localizers:
                record.add_weights(card.name, card.weights_sha256)
        localizer = BlockLocalizer(
            plan,
            self.localizers,
            crop_camera(instrument.camera, self._roi),
            measured.scene,
            scope=self.settings.scope,
            gain_known=instrument.gain_known,
            min_significance=self.settings.min_significance,
            refine=self.settings.refine,
        )
        return plan, instrument, localizer

    @property
    def field(self) -> CroppedMovie:
        """The region over all frames, on which the scene is measured."""
        return CroppedMovie(self.whole, None, self._roi)

    @property
    def _roi(self) -> tuple[int, int, int, int]:
        y0, x0 = self.part.origin_px
        return y0, x0, y0 + self.part.shape[1], x0 + self.part.shape[2]

    def _localize_blocks(self, localizer: BlockLocalizer) -> list[Block]:
        starts = range(0, self.part.shape[0], block_length(self.part.shape))

        def compute(start: int, tell: OnShare) -> Block:
            return self.block(localizer, start, min(start + starts.step, starts.stop), tell)

        at_once = blocks_at_once(localizer.device)
        return list(each_block(self.record, self.store, starts, compute, self.group, at_once))

    def block(self, localizer: BlockLocalizer, start: int, stop: int, tell: OnShare = ignore_share) -> Block:
        """Localize frames [start, stop) of the part; positions are those within the part."""
        frames, before, after = self._read(start, stop, localizer.neighbours)
        return localizer(frames, start + self.part.first_frame, before, after, tell).later(start)

    def _read(self, start: int, stop: int, neighbours: int) -> tuple[NDArray[Any], int, int]:
        """Return frames between their neighbours, which may lie outside the wanted range, and how many of
        these there are before and after.
        """
        field = self.field
        first, last = (frame + self.part.first_frame for frame in (start, stop))
        before, after = min(neighbours, first), min(neighbours, field.shape[0] - last)
        return field.read(first - before, last + after), before, after

    def _warn(
        self, plan: Plan, instrument: Instrument, table: LocalizationTable, used: list[Counter[str]]
    ) -> None:
        warn = self.record.warn
        for note in plan.profile.notes:
            warn(note)
        if not instrument.gain_known:
            warn(
                "the camera's gain or offset is not known: photons are in arbitrary units;"
                " give camera.offset_adu and camera.e_per_adu"
            )
        outside: Counter[str] = Counter()
        for patch, counts in zip(plan.patches, used, strict=True):
            if counts:
                outside.update(line.split(" ")[0] for line in patch.choice.out_of_range)
        for quantity, n in outside.items():
            warn(f"{quantity} lies outside what the models were trained for in {n} of {len(used)} patches")
        near = share_near_limit(table, plan.optics.pixel_size_nm)
        if near > _MOST_NEAR_LIMIT:
            warn(
                f"{100 * near:.0f} % of the localizations hardly stand out of the noise: some may be noise;"
                " raise decode.min_significance for fewer and surer ones"
            )
        if not len(table):
            warn("nothing was found: look at the movie, or lower decode.threshold")

    def _write(
        self,
        plan: Plan,
        instrument: Instrument,
        finished: Finished,
        used: list[Counter[str]],
        scene: Scene,
    ) -> None:
        record, folder = self.record, self.record.folder
        region = outputs.Region.of(self.whole, self.part, instrument.optics.pixel_size_nm)
        rows = [*instrument.rows, *_setting_rows(self.settings, plan)]
        patches = patch_rows(plan, used, self.part.origin_px)
        with record.stage("write tables"):
            middle = self.part.first_frame + self.part.shape[0] // 2
            backdrop = scene(middle, middle + 1)
            profile = {**plan.profile.to_dict(), "scene": {"method": scene.method, **backdrop.summary()}}
            outputs.write_profile(profile, folder)
            outputs.write_plan(plan_to_dict(plan, self.settings, rows, patches), folder)
            outputs.write_tables(finished, region, folder)
        with record.stage("render"):
            events, wanted_nm = finished.linked.table, self.settings.render_pixel_size_nm
            image, pixel_nm = outputs.reconstruct(events, region, wanted_nm)
            preview = outputs.write_picture(image, pixel_nm, folder)
        with record.stage("report"):
            camera = plan.profile.camera
            note = f"In frame {middle}, before the emitters. Camera: {camera.reason}."
            maps = report_figures.scene_maps(backdrop, camera)
            outputs.write_report(
                record,
                finished,
                region,
                preview_png=preview,
                patches=patches,
                settings=rows,
                sections=[Section("Background, noise and camera", maps, note)],
            )


def _check(movie: Movie) -> None:
    """Refuse a movie without signal, looking at a few frames spread over it."""
    n_frames, height, width = movie.shape
    if min(height, width) < MIN_SIDE_PX:
        raise UserError(
            f"{movie.path}: frames of {height} x {width} px are too small: give at least"
            f" {MIN_SIDE_PX} x {MIN_SIDE_PX} px"
        )
    chosen = np.unique(np.linspace(0, n_frames - 1, _CHECKED_FRAMES).round().astype(int))
    check_frames(np.concatenate([movie.read(int(t), int(t) + 1) for t in chosen]), movie.path)


def _setting_rows(settings: LocalizeSettings, plan: Plan) -> list[SettingRow]:
    """Describe what was not a number of the instrument."""
    usual, row = LocalizeSettings(), SettingRow.chosen
    thresholds = ", ".join(f"{value:g}" for value in sorted({card.threshold for card in plan.cards}))
    significance = settings.min_significance
    return [
        SettingRow("PSF standard deviation", f"{plan.psf_sigma_px:.3f} px", plan.profile.psf_source),
        row("selection", settings.selection, usual.selection),
        row("selection.scope", settings.scope, usual.scope),
        row("selection.family", settings.family, usual.family, plan.cards[0].family),
        row("tiling.patch_um", settings.patch_um, usual.patch_um, f"{settings.patch_um:g} um"),
        row("background", settings.background, usual.background),
        row("rescale", settings.rescale, usual.rescale),
        SettingRow("decode.threshold", thresholds, "the models' cards")
        if settings.threshold is None
        else SettingRow("decode.threshold", f"{settings.threshold:g}", "given"),
        row("decode.min_significance", significance, None, "by density" if significance is None else None),
        row("refine", settings.refine, usual.refine),
        *finish_rows(settings.finish),
        row("device", settings.device, usual.device),
    ]


def _count_used(plan: Plan, blocks: list[Block]) -> list[Counter[str]]:
    """Count how often each patch got each model."""
    used = np.sum([block.used for block in blocks], axis=0)
    names = [card.name for card in plan.cards]
    return [Counter({name: int(n) for name, n in zip(names, row, strict=True) if n}) for row in used]
