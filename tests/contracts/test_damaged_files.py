"""Files cut off and altered at random: the user's error or a result comes out, nothing else, and soon.

More damage than the quick tests do: ``python -m tests.contracts.test_damaged_files 2000``.
"""

from __future__ import annotations

import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autods.core import LocalizationTable, UserError
from autods.io.movie import open_movie
from autods.io.smap import write_smap
from autods.io.tables import read_table, write_parquet
from autods.optics import ScalarPSF, load_psf, save_psf
from autods.training.fit import warm_start
from autods.zoo.card import read_card
from autods.zoo.registry import list_models, load_card
from tests.contracts.test_readers import FORMATS as MOVIES
from tests.contracts.test_table_formats import FORMATS as TABLES
from tests.io.test_programs import TEXTS
from tests.io.writers import write_sif
from tests.optics.test_storage import aberrated

SIF_FRAMES = np.random.default_rng(4).integers(0, 999, (6, 8, 9)).astype(np.uint16)
_SECONDS, _GIB = 10, 2**30


def _table(write: Callable[[LocalizationTable, Path], Path]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        x_nm, y_nm = rng.uniform(0, 5000, (2, 40))
        photons = rng.uniform(100, 900, 40)
        return write(LocalizationTable.build(rng.integers(0, 50, 40), x_nm, y_nm, photons=photons), folder)

    return make


def _text(content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "table.csv").write_text(content, encoding="utf-8")
        return folder / "table.csv"

    return make


def _parquet(table: LocalizationTable, folder: Path) -> Path:
    write_parquet(table, folder / "table.parquet")
    return folder / "table.parquet"


def _smap(table: LocalizationTable, folder: Path) -> Path:
    write_smap(table, folder / "table_sml.mat", 100.0)
    return folder / "table_sml.mat"


MORE_TABLES = (("parquet", _parquet), ("smap", _smap))


def _psf(folder: Path) -> Path:
    save_psf(aberrated(ScalarPSF), folder / "psf.h5", {"source": "beads.tif"})
    return folder / "psf.h5"


def _read_movie(path: Path) -> None:
    with open_movie(path) as movie:
        movie.read(0, 2)
        movie.read(max(movie.shape[0] - 2, 0), movie.shape[0])


def _weights(folder: Path) -> Path:
    torch.save({"state_dict": {"network.0.weight": torch.ones(2, 1, 3, 3)}}, folder / "last.ckpt")
    return folder / "last.ckpt"


def _safetensors(folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file({"0.weight": torch.ones(2, 1, 3, 3)}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def _read_weights(path: Path) -> None:

    warm_start(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)), path)


def _card(folder: Path) -> Path:
    card = load_card(list_models()[0])
    assert card.folder is not None
    return Path(shutil.copy(card.folder / "card.yaml", folder / "card.yaml"))


Format = tuple[Callable[[Path], Path], Callable[[Path], object]]
FORMATS: dict[str, Format] = {
    **{name: (make, _read_movie) for name, make in MOVIES.items() if name not in ("array", "cropped")},
    **{f"table {name}": (_table(write), read_table) for name, write in (*TABLES.items(), *MORE_TABLES)},
    **{f"table of {name}": (_text(text), lambda p: read_table(p, 100.0)) for name, text in TEXTS.items()},
    "sif": (lambda folder: write_sif(folder / "movie.sif", SIF_FRAMES), _read_movie),
    "psf": (_psf, load_psf),
    "checkpoint": (_weights, _read_weights),
    "weights": (_safetensors, _read_weights),
    "card": (_card, read_card),
}


def damage(path: Path, rng: np.random.Generator) -> str:
    """Cut off, flip, overwrite or remove something in one of the files at a path; say what was done."""
    files = sorted(
        file for file in (path.rglob("*") if path.is_dir() else path.parent.iterdir()) if file.is_file()
    )
    file = files[int(rng.integers(len(files)))]
    content = bytearray(file.read_bytes())
    kind = ("cut", "flip", "flip", "head", "number", "insert", "remove")[int(rng.integers(7))]
    size = max(len(content), 1)
    if kind == "cut":
        del content[int(rng.integers(size)) :]
    elif kind == "insert":
        content[(place := int(rng.integers(size))) : place] = rng.bytes(int(rng.integers(1, 9)))
    elif kind == "remove" and len(files) > 1:
        file.unlink()
        return f"{file.name}: removed"
    elif content:
        reach = min(size, 400) if kind == "head" else size
        for place in rng.integers(reach, size=int(rng.integers(1, 7))).tolist():
            if kind == "number":
                content[place : place + 4] = int(rng.choice([2**31 - 1, 2**31, 2**32 - 1, 0])).to_bytes(
                    4, "little"
                )
            else:
                content[place] = int(rng.integers(256))
    file.write_bytes(content)
    return f"{file.name}: {kind}"


@contextmanager
def limits() -> Iterator[None]:
    """Stop what takes longer than 10 s, and what asks for more than 2 GiB above what is in use."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    def late(*_: object) -> None:
        pytest.fail(f"no answer in {_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 2 * _GIB, before[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)


def try_once(name: str, seed: int, folder: Path) -> str:
    """Damage a file of a format and read it; say what came out."""
    make, read = FORMATS[name]
    path = make(folder)
    done = damage(path, np.random.default_rng(seed))
    with limits():
        try:
            read(path)
        except UserError as error:
            message = str(error)
        else:
            return "read"
    if "\n" in message or "Memory" in message:
        raise AssertionError(f"{name}, {done}: {message}")
    return "refused"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time as on Linux")
@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_damage_is_the_users_error_or_a_result(name, seed):
    with tempfile.TemporaryDirectory() as folder:
        try_once(name, seed, Path(folder))


def main(total: int, first: int = 0) -> None:
    """Spread so many damaged files over the formats, and print what came out."""
    names, counts, slowest, faults = list(FORMATS), {"read": 0, "refused": 0}, 0.0, 0
    for number in range(first, first + total):
        name, start = names[number % len(names)], time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                counts[try_once(name, number, Path(folder))] += 1
            except BaseException as error:  # noqa: BLE001 to be counted
                faults += 1
                sys.stdout.write(f"{name} {number}: {type(error).__name__}: {str(error)[:200]}\n")
        slowest = max(slowest, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    outcome = f"{counts}, {faults} faults, slowest {slowest:.1f} s, {peak:.2f} GiB"
    sys.stdout.write(f"{total} files of {len(names)} formats: {outcome}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
