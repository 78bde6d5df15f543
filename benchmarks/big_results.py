"""How long the page's pictures of large results take: ``python -m benchmarks.big_results [N ...]``.

For each number of localizations: sorting the table (once), the first picture, a step of the zoom and of the
pan, a filter, and the memory, drawn as the server draws it for a pane of 720 x 560 pixels. Times are those of
the processor, one thread, which other programs change little; on an idle core one waits as long. In a process
of its own for each number, so that memory is that of the server with this result alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from autods.core import LocalizationTable
from autods.io.tables import write_parquet
from autods.pipelines.kept import Kept
from autods.pipelines.shown_rows import Look, Rows
from autods.pipelines.sorted_table import open_sorted, sort_table
from autods.pipelines.tiles import TILE_PX, Painter
from autods.web.results import encoded

_SIDE_NM = 51_200.0
_PANE_PX = (560, 720)
_FILTER = "photons > 800 & uncertainty_xy < 15"
_HEADER = "| localizations | colours | sort once | first picture | zoom | pan | filter | memory |"


def filaments(number: int) -> LocalizationTable:
    """Return localizations on 300 lines in a field of 51.2 um, at depths that follow the lines."""
    rng = np.random.default_rng(0)
    line, along = rng.integers(0, 300, number), rng.uniform(-_SIDE_NM / 2, _SIDE_NM / 2, number)
    start, angle = rng.uniform(0, _SIDE_NM, (2, 300)), rng.uniform(0, 2 * np.pi, 300)
    uncertainty = np.clip(rng.lognormal(np.log(10), 0.4, number), 3, 60)
    x, y = (
        (start[axis][line] + along * wave(angle[line]) + rng.normal(0, 1, number) * uncertainty) % _SIDE_NM
        for axis, wave in ((0, np.cos), (1, np.sin))
    )
    return LocalizationTable.build(
        rng.integers(0, 60_000, number),
        x,
        y,
        photons=rng.lognormal(7, 0.5, number),
        uncertainty_xy_nm=uncertainty,
        z_nm=600 * np.sin(along / 4000 + line) + rng.normal(0, 2, number) * uncertainty,
        uncertainty_z_nm=2 * uncertainty,
    )


def make_run(folder: Path, number: int) -> None:
    """Write the table of `filaments` as that of a finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(filaments(number), folder / "localizations.parquet")
    side = round(_SIDE_NM / 100)
    region = {"pixel_size_nm": 100.0, "origin_px": [0, 0], "shape": [60_000, side, side]}
    (folder / "run.json").write_text(json.dumps({"status": "done", "results": {"region": region}}))


def visible(painter: Painter, level: int, centre_nm: tuple[float, float]) -> list[tuple[int, int]]:
    """Return the tiles of a level that the pane shows round a place."""
    nm, last = painter.level_0_nm / 2**level, 2**level - 1
    spans = []
    for at, pixels in zip(centre_nm, _PANE_PX, strict=True):
        first, final = (int((at / nm + side * pixels / 2) // TILE_PX) for side in (-1, 1))
        spans.append(range(max(first, 0), min(final, last) + 1))
    return [(row, column) for row in spans[0] for column in spans[1]]


def measure(folder: Path, colors: str) -> Iterator[float]:
    """Yield milliseconds of first picture, zoom, pan and filter, then megabytes of the process."""
    # A server has loaded its libraries and colours before anybody looks.
    encoded(np.zeros((2, 2), np.float32), 1.0, "inferno")
    begun = time.process_time()
    kept = Kept(384 << 20)
    painter = Painter(Rows(open_sorted(folder), None, kept, "run"), kept, "run")
    middle = (_SIDE_NM / 2, _SIDE_NM / 2)

    def draw(look: Look, level: int, at: tuple[float, float]) -> None:
        for tile in visible(painter, level, at):
            encoded(*painter.tile(look, level, *tile), look.colors)

    def timed(look: Look, level: int, at: tuple[float, float]) -> float:
        start = time.process_time()
        draw(look, level, at)
        return 1000 * (time.process_time() - start)

    look = Look(colors=colors)
    draw(look, 1, middle)
    yield 1000 * (time.process_time() - begun)
    deeper = range(2, painter.levels)
    yield float(np.median([timed(look, level, middle) for level in deeper]))
    # A quarter of the pane to the right, at each level.
    steps = [(level, (middle[0], middle[1] + 180 * painter.level_0_nm / 2**level)) for level in deeper]
    yield float(np.median([timed(look, level, at) for level, at in steps]))
    yield timed(Look(_FILTER, colors=colors), 1, middle)
    process = psutil.Process().memory_full_info()
    # Pages of the mapped file are the system's to take back.
    yield process.uss / 2**20


def _row(number: int, colors: str) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _apart("make_run", folder, number)
        start = time.process_time()
        sort_table(folder)
        seconds = time.process_time() - start
        first, zoom, pan, chosen, memory = json.loads(_apart("measure", folder, colors))
    times = " | ".join(f"{value:.0f} ms" for value in (first, zoom, pan, chosen))
    return f"| {number:,} | {colors} | {seconds:.1f} s | {times} | {memory:.0f} MB |"


def _apart(name: str, folder: Path, argument: object) -> str:
    """Call a function of this module in a process of its own and return what it yields as JSON."""
    words = [sys.executable, "-m", "benchmarks.big_results", f"--{name}", str(folder), str(argument)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def main(words: Sequence[str], say: Callable[[str], object]) -> None:
    """Print a line for each number of localizations."""
    if words and words[0] == "--make_run":
        make_run(Path(words[1]), int(words[2]))
    elif words and words[0] == "--measure":
        say(json.dumps(list(measure(Path(words[1]), words[2]))))
    else:
        say(f"{_HEADER}\n|{'---|' * 8}\n")
        for number in map(int, words or ("100000", "1000000", "10000000")):
            for colors in ("inferno", "depth"):
                say(_row(number, colors) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.write)
