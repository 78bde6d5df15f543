"""What all pages share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from autods.inference import pick_device
from autods.runs.steps import step_key
from autods.web.jobs import Job, JobStore, JobView, Kind, view
from autods.web.known_cameras import KnownCameras
from autods.web.movies import Movies
from autods.web.presets import Presets
from autods.web.queue import Queue
from autods.web.results import Results
from autods.web.roots import Roots
from autods.web.run_index import RunIndex
from autods.web.short_commands import FOLDER as SHORT_FOLDER
from autods.web.short_commands import ShortCommands
from autods.web.tensorboard import TensorBoard

Value = TypeVar("Value")
#: What is read of a run folder is shown to all viewers for this long.
_FRESH_S = 0.9
UPLOADS = "autods_uploads"
#: Entries of the pages of movies, beside the runs; a name that no list shows.
_FORMS = ".forms"


@dataclass
class Site:
    """The parts of the server that pages use."""

    #: Allowed folders.
    roots: Roots
    #: Largest file that can be uploaded.
    max_upload_bytes: int
    #: Whether only this machine reaches the page.
    is_local: bool = True
    store: JobStore = field(init=False)
    index: RunIndex = field(init=False)
    queue: Queue = field(init=False)
    presets: Presets = field(init=False)
    known_cameras: KnownCameras = field(init=False)
    short_commands: ShortCommands = field(init=False)
    results: Results = field(init=False)
    tensorboard: TensorBoard | None = field(init=False)
    #: Those that are open.
    movies: Movies = field(default_factory=Movies)
    _kept: dict[object, tuple[float, Any]] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.store = JobStore(self.roots)
        self.index = RunIndex(self.store)
        self.queue = Queue(self.store, self.index)
        self.results = Results(self.store, self.index)
        self.presets = Presets(self.store.folder / "presets.json")
        self.known_cameras = KnownCameras(self.store.folder / "cameras.json")
        self.short_commands = ShortCommands(self.store.folder / SHORT_FOLDER)
        self.tensorboard = TensorBoard(self.store.folder) if self.is_local else None

    @property
    def uploads(self) -> Path:
        """Where uploaded files go."""
        return self.roots.folders[0] / UPLOADS

    def fresh(self, key: object, read: Callable[[], Value]) -> Value:
        """Read something at most about once a second, however many people look at it."""
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is None or now - kept[0] > _FRESH_S:
            if len(self._kept) > 500:
                self._kept.clear()
            kept = self._kept[key] = (now, read())
        value: Value = kept[1]
        return value

    def view(self, job_id: str) -> JobView:
        """Look at a job.

        Raises `UserError` if there is none of this name.
        """
        return self.fresh(("view", job_id), lambda: view(self.store.load(job_id)))

    def form_folder(self, movie: Path) -> Path:
        """Return where the entries of a movie's page are kept."""
        return self.store.folder / _FORMS / step_key(str(movie))

    async def start(self, kind: Kind, movie: Path, arguments: list[str], device: str) -> Job:
        """Put a job into the queue; one that is there and says the same is taken instead.

        Raises `UserError` if its folder cannot be written.
        """
        async with self._starting:
            job = await asyncio.to_thread(self._same, kind, tuple(arguments))
            if job is None:
                job = await asyncio.to_thread(self.store.create, kind, movie, arguments, device, queue=True)
            await self.submit()
        return job

    def _same(self, kind: Kind, arguments: tuple[str, ...]) -> Job | None:
        """Return the unfinished job of these words."""
        jobs = (now.job for now in self.index.unfinished())
        return next((job for job in jobs if (job.kind, job.arguments) == (kind, arguments)), None)

    async def submit(self) -> None:
        """Let the queue look at a new job at once."""
        await asyncio.to_thread(self.queue.advance)
        self._kept.clear()

    async def resume(
        self, job: Job, arguments: tuple[str, ...] | None = None, device: str | None = None
    ) -> None:
        """Put a job into the queue again, perhaps with other arguments or on another device."""
        await asyncio.to_thread(self.store.put_back, job, arguments, device)
        await self.submit()

    async def stop(self, job: Job, *, kill: bool = False) -> None:
        """Stop a job."""
        await asyncio.to_thread(self.queue.stop, job, kill=kill)
        self._kept.clear()


def device_key(device: str) -> str:
    """Name the device that a setting means, so that jobs on the same one wait for each other.

    Raises `UserError` if this machine has no such device.
    """
    found = pick_device(device)
    return f"cuda:{found.index or 0}" if found.type == "cuda" else found.type
