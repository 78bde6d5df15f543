"""What is known of all runs, kept up to date without reading ten thousand folders again and again."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autods.core import UserError
from autods.runs.record import RUN_FILE
from autods.web.jobs import JOB_FILE, UNFINISHED, JobStore, JobView, view
from autods.web.run_notes import NOTES_FILE, Notes, read_notes

#: Seconds after which folders of ended runs are looked at again: others may have changed them.
_WHOLE_S = 120.0
#: Seconds between two looks at the runs that go on.
_FRESH_S = 0.9
#: What a list shows of a record.
_SHORT = ("status", "seconds", "error")


@dataclass(frozen=True)
class Entry:
    """A run as a list shows it."""

    view: JobView
    notes: Notes
    stamp: tuple[int, ...]


class RunIndex:
    """The runs of a store.

    New folders show by the time of the folder above, runs that go on are read each second, and all others
    again only every two minutes or when the store has written them.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._entries: dict[str, Entry] = {}
        self._sorted: list[Entry] = []
        self._folder_stamp = 0
        self._whole_at = self._fresh_at = -1e9
        self._lock = threading.Lock()
        self.version = 0

    def entries(self) -> list[Entry]:
        """Return all runs, the latest first."""
        with self._lock:
            self._refresh()
            return self._sorted

    def unfinished(self) -> list[JobView]:
        """Return the runs that go on or wait, the latest first."""
        return [entry.view for entry in self.entries() if entry.view.is_unfinished]

    def forget(self) -> None:
        """Look again at what the store has written, at the next call."""
        self._fresh_at = -1e9

    def _refresh(self) -> None:
        now = time.monotonic()
        written = self._store.take_written()
        if now - self._fresh_at < _FRESH_S and not written:
            return
        self._fresh_at = now
        stamp = self._store.folder.stat().st_mtime_ns if self._store.folder.is_dir() else 0
        is_whole = now - self._whole_at > _WHOLE_S
        changed = False
        if is_whole or stamp != self._folder_stamp:
            names = self._names()
            for gone in self._entries.keys() - names:
                del self._entries[gone]
                changed = True
            for name in names:
                known = self._entries.get(name)
                if known is None or (is_whole and known.stamp != self._stamp(name)):
                    changed |= self._read(name)
            self._folder_stamp = stamp
            self._whole_at = now if is_whole else self._whole_at
        going = {name for name, entry in self._entries.items() if entry.view.status in UNFINISHED}
        for name in going | written:
            changed |= self._read(name)
        if changed:
            self.version += 1
            self._sorted = sorted(self._entries.values(), key=_latest, reverse=True)

    def _names(self) -> set[str]:
        try:
            with os.scandir(self._store.folder) as items:
                return {item.name for item in items if not item.name.startswith(".")}
        except OSError:
            return set()

    def _stamp(self, name: str) -> tuple[int, ...]:
        return tuple(_changed(self._store.folder / name / file) for file in (JOB_FILE, RUN_FILE, NOTES_FILE))

    def _read(self, name: str) -> bool:
        """Read a run anew, and tell whether it differs."""
        before, stamp = self._entries.get(name), self._stamp(name)
        try:
            found = view(self._store.load(name))
        except UserError:
            self._entries.pop(name, None)
            return before is not None
        entry = Entry(_short(found), read_notes(found.job.folder), stamp)
        self._entries[name] = entry
        return entry != before


def _latest(entry: Entry) -> tuple[float, str]:
    return entry.view.job.queued_at, entry.view.job.id


def _changed(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def _short(found: JobView) -> JobView:
    """Leave out of a record what no list shows."""
    run: dict[str, Any] = {name: found.run[name] for name in _SHORT if name in found.run}
    count = found.run.get("results", {})
    if isinstance(count, dict) and isinstance(count.get("localizations"), int):
        run["results"] = {"localizations": count["localizations"]}
    return dataclasses.replace(found, run=run)


def is_of(entry: Entry, text: str, status: str) -> bool:
    """Tell whether a run is meant by words of its movie, title or notes, and by a status ('' for any)."""
    job = entry.view.job
    named = " ".join((job.id, job.movie, entry.notes.title, entry.notes.text, job.kind)).lower()
    return all(word in named for word in text.lower().split()) and status in ("", entry.view.status)


def read_counts(entries: list[Entry]) -> dict[str, int]:
    """Count the runs by status."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.view.status] = counts.get(entry.view.status, 0) + 1
    return counts
