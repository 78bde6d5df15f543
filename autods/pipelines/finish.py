"""From merged localizations to the finished table: filter, drift, linking, and their files."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.io.drift import read_drift, write_drift
from autods.io.parquet import write_parquet
from autods.io.tables import write_picasso, write_thunderstorm
from autods.pipelines.settings import FinishSettings, SettingRow
from autods.postprocessing.drift import Drift, estimate_drift
from autods.postprocessing.fiducials import Fiducial, fiducial_drift, find_fiducials, mark_rows
from autods.postprocessing.filtering import filter_rows
from autods.postprocessing.linking import LinkedTable, link
from autods.postprocessing.quality import QualityRow, assess
from autods.runs.provenance import digest_file, versions
from autods.runs.record import RunRecord

#: Files of the finished table beside those of the localizations.
FINISH_FILES = ("drift.csv", "linked.csv", "linked.hdf5", "linked.yaml", "localizations.parquet")


def drift_digest(settings: FinishSettings) -> str:
    """Return the digest of the file of a drift; empty where none is given."""
    path = Path(settings.drift)
    is_file = settings.drift not in ("auto", "fiducials", "none") and path.is_file()
    return digest_file(path).sha256 if is_file else ""


def finish_rows(settings: FinishSettings) -> list[SettingRow]:
    """Describe the settings for the report."""
    usual, row = FinishSettings(), SettingRow.chosen
    radius = settings.link_radius_nm
    return [
        row("filter", settings.filter, usual.filter, settings.filter or "none"),
        row("drift", settings.drift, usual.drift),
        row("link.radius_nm", radius, None, "by the uncertainties" if radius is None else f"{radius:g} nm"),
        row("link.gap", settings.link_gap, usual.link_gap),
    ]


#: Beads that agree within this, nm, are believed; else the molecules are asked, too.
_SURE_NM = 5.0
#: Frames of a movie from which a molecule is hardly on in most of them; places that a warning names.
_LEAST_FRAMES, _NAMED = 50, 4


@dataclass(frozen=True)
class Finished:
    """A finished table."""

    #: Localizations, filtered and corrected for drift, ordered by frame, y, x.
    table: LocalizationTable
    #: The same rows before the correction.
    raw: LocalizationTable
    #: Events of the corrected table.
    linked: LinkedTable
    #: What was subtracted.
    drift: Drift
    #: (N,) number of the bead that a localization is of, from 1; 0 for molecules.
    fiducial: NDArray[np.int64]
    #: Localizations that the filter dropped.
    n_dropped: int
    #: Frames of the movie that were localized.
    frames: range

    def quality(self) -> list[QualityRow]:
        """Tell how good the result is; waits for `_measuring`."""
        return self._measuring.result()

    def begin_quality(self) -> None:
        """Begin to measure how good the result is, beside what else there is to do."""
        self._measuring  # noqa: B018 it begins with the first look

    @functools.cached_property
    def _measuring(self) -> Future[list[QualityRow]]:
        pool = ThreadPoolExecutor(1)
        future = pool.submit(assess, self.raw, self.linked, self.drift, self.frames)
        pool.shutdown(wait=False)
        return future


def finish(
    record: RunRecord,
    table: LocalizationTable,
    frames: range,
    pixel_size_nm: float,
    settings: FinishSettings,
) -> Finished:
    """Link a table, mark its beads, filter it and correct its drift, each as a stage of the run.

    Raises `UserError` if the filter names no column, or the file of the drift does not fit the movie.

    Parameters
    ----------
    record
        The run.
    table
        Localizations of all frames, ordered by frame.
    frames
        Frames of the movie that were localized.
    pixel_size_nm
        Camera pixel, nm.
    settings
        What is wanted.
    """
    n_before = len(table)
    linking = functools.partial(link, radius_nm=settings.link_radius_nm, max_gap=settings.link_gap)
    with record.stage("link"):
        linked = linking(table)
    with record.stage("beads"):
        lasting = find_fiducials(table, frames, linked)
        fiducials = [one for one in lasting if one.is_bead]
        fiducial = mark_rows(fiducials, len(table))
        _tell(record, lasting, len(table), frames)
    if settings.filter is not None:
        with record.stage("filter"):
            kept = filter_rows(table, settings.filter, {"fiducial": fiducial})
            table, fiducial = table.select(kept), fiducial[kept]
            linked = linking(table)
        dropped = n_before - len(table)
        record.add_results(filter=settings.filter, dropped_by_filter=dropped)
        if not len(table) and dropped:
            record.warn(f"filter={settings.filter!r} dropped all {dropped:,} localizations: loosen it")
    with record.stage("drift"):
        drift = _drift(linked, fiducials, frames, pixel_size_nm, settings)
        raw = table
        if drift.is_on:
            table = drift.subtract(raw)
            order = table.order()
            table, raw, fiducial = table.select(order), raw.select(order), fiducial[order]
            linked = linking(table)
    record.add_results(events=len(linked), drift={"method": drift.method, "note": drift.note})
    return Finished(table, raw, linked, drift, fiducial, n_before - len(table), frames)


def _tell(record: RunRecord, lasting: list[Fiducial], n_rows: int, frames: range) -> None:
    """Say what shines in most frames: beads, or what is none and should not be in the table."""
    beads = [one for one in lasting if one.is_bead]
    record.add_results(
        fiducials=[
            {
                "x_nm": round(float(np.median(one.position_nm[:, 0])), 1),
                "y_nm": round(float(np.median(one.position_nm[:, 1])), 1),
                "frames": len(one.frame),
                "localizations": len(one.rows),
                "times_as_bright": round(one.brightness, 2),
            }
            for one in beads
        ]
    )
    what = "shine in most frames, as beads do"
    _warn_of(record, beads, what, 'filter="fiducial == 0" leaves them out', n_rows)
    if len(frames) >= _LEAST_FRAMES:
        others = [one for one in lasting if not one.is_bead]
        what = "give a localization in most frames and are no brighter than molecules"
        advice = "a pattern of camera or background, or bleached beads: look before you count molecules"
        _warn_of(record, others, what, advice, n_rows)


def _warn_of(record: RunRecord, found: list[Fiducial], what: str, advice: str, n_rows: int) -> None:
    if not found:
        return
    places = [np.median(one.position_nm[:, :2], axis=0) / 1000 for one in found[:_NAMED]]
    named = "; ".join(f"{x:.2f}, {y:.2f}" for x, y in places) + ("; ..." if len(found) > _NAMED else "")
    share = 100 * sum(len(one.rows) for one in found) / max(n_rows, 1)
    record.warn(
        f"places that {what}: {len(found)}, with {share:.0f} % of the localizations (x, y in um: {named}):"
        f" {advice}"
    )


def _drift(
    linked: LinkedTable,
    fiducials: list[Fiducial],
    frames: range,
    pixel_size_nm: float,
    settings: FinishSettings,
) -> Drift:
    n_axes = 3 if linked.table.is_3d else 2
    if settings.drift == "none":
        return Drift.off(frames, n_axes, "not asked for")
    if settings.drift not in ("auto", "fiducials"):
        curve = read_drift(settings.drift, frames, pixel_size_nm)[:, :n_axes]
        unknown = np.full(curve.shape[1], np.nan)
        return Drift(curve, frames.start, "file", f"read from {Path(settings.drift).name}", unknown)
    found = fiducial_drift(fiducials, frames)
    if found is not None and (settings.drift == "fiducials" or _error(found) < _SURE_NM):
        return found
    if settings.drift == "fiducials":
        raise UserError(
            f"drift=fiducials needs two beads that stay in place, and {len(fiducials)} that shine in most"
            " frames were found: give drift=auto"
        )
    estimated = estimate_drift(linked, frames)
    return found if found is not None and not _error(estimated) < _error(found) else estimated


def _error(drift: Drift) -> float:
    """Return the lateral error of a drift, nm; NaN where there is none."""
    return float(np.hypot(*drift.error_nm[:2]))


def write_finished(
    finished: Finished,
    folder: Path,
    pixel_size_nm: float,
    shape: tuple[int, int, int],
    movie: Path,
) -> None:
    """Write ``drift.csv``, ``linked.csv``, ``linked.hdf5`` and ``localizations.parquet``.

    Raises `UserError` if a file cannot be written.

    Parameters
    ----------
    finished
        The table.
    folder
        The run folder.
    pixel_size_nm
        Camera pixel, nm.
    shape
        (T, Y, X) of the whole movie.
    movie
        Its file.
    """
    finished.begin_quality()
    linked, drift = finished.linked, finished.drift
    write_drift(folder / "drift.csv", drift.curve_nm, drift.first_frame)
    n, last = linked.n_localizations, linked.last_frame
    write_thunderstorm(
        linked.table, folder / "linked.csv", {"detections": (n, 0), "last_frame": (last + 1, 0)}
    )
    length = last - linked.table.frame + 1
    write_picasso(
        linked.table,
        folder / "linked.hdf5",
        pixel_size_nm,
        shape,
        movie=movie,
        more={"len": length, "n": n, "photon_rate": (linked.table.photons / n).astype(np.float32)},
    )
    more: dict[str, NDArray[np.generic]] = {"event": linked.event, "fiducial": finished.fiducial}
    if drift.is_on:
        uncorrected = finished.raw.columns()
        more |= {
            f"{axis}_uncorrected_nm": uncorrected[f"{axis}_nm"]
            for axis in ("x", "y", "z")
            if f"{axis}_nm" in uncorrected
        }
    about = {
        "movie": str(movie),
        "pixel_size_nm": pixel_size_nm,
        "shape": list(shape),
        "drift": {"method": drift.method, "note": drift.note},
        "versions": versions(),
    }
    write_parquet(finished.table, folder / "localizations.parquet", more=more, provenance=about)
