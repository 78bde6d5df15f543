"""``autods doctor``: is everything here, and what is to be fixed; with a movie, what is found in its file."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE, USER_ERROR

#: Free memory and disk below which a run of usual size may fail, GiB.
_MIN_MEMORY_GIB = 3.0
_MIN_DISK_GIB = 2.0
#: Optional packages, and what they are for.
_EXTRAS = {
    "nd2": "ND2 movies",
    "zarr": "Zarr movies",
    "pylibCZIrw": "CZI movies",
    "liffile": "LIF movies",
    "sif_parser": "SIF movies",
    "imagecodecs": "compressed TIFF",
    "picasso": "comparison with Picasso",
}


@dataclass(frozen=True)
class Finding:
    """One line of the check-up; ``advice`` is empty when all is well."""

    name: str
    value: str
    advice: str = ""


def run(arguments: Arguments) -> int:
    """Print the check-up; return 0 when nothing is to be fixed, else 2. With a movie print what it holds."""
    if arguments.paths:
        return _look_at(arguments)
    to_fix = []
    for finding in findings(_zoo_of(arguments)):
        mark = "FIX " if finding.advice else "ok  "
        print(f"{mark}{finding.name:<16} {finding.value}")
        if finding.advice:
            to_fix.append(finding)
    for finding in to_fix:
        print(f"To fix: {finding.name}: {finding.advice}")
    if not to_fix:
        print("All is well. Try: autods demo")
    return USER_ERROR if to_fix else DONE


def _look_at(arguments: Arguments) -> int:
    """Print what was found in a movie's file."""
    from autods.configuration.compose import load
    from autods.configuration.schema import DoctorConfig
    from autods.io.describe import describe_movie
    from autods.io.movie import open_movie

    config = load(DoctorConfig, arguments.overrides)
    with open_movie(arguments.paths[0], channel=config.channel, position=config.position) as movie:
        lines = [("file", str(arguments.paths[0])), *describe_movie(movie)]
    print("\n".join(f"{name:<14}{text}" for name, text in lines))
    return DONE


def _zoo_of(arguments: Arguments) -> Path | None:
    """Return the folder of the models that are checked; None for the shipped ones."""
    if not arguments.overrides:
        return None  # nothing to compose, which takes a second
    from autods.configuration.compose import load
    from autods.configuration.schema import DoctorConfig

    zoo = load(DoctorConfig, arguments.overrides).zoo
    return None if zoo is None else Path(zoo)


def findings(zoo: Path | None = None) -> Iterator[Finding]:
    """Yield the findings, from the interpreter to the models of a zoo."""
    yield from _software()
    yield from _device()
    yield from _space()
    yield from _configuration()
    yield from _models(zoo)


def _software() -> Iterator[Finding]:
    import numpy
    import torch

    import autods

    yield Finding("autods", f"{autods.__version__} in {Path(autods.__file__).parent}")
    yield Finding("python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("torch, numpy", f"{torch.__version__}, {numpy.__version__}")
    there = [f"{name} ({use})" for name, use in _EXTRAS.items() if importlib.util.find_spec(name)]
    absent = [f"{name} ({use})" for name, use in _EXTRAS.items() if not importlib.util.find_spec(name)]
    hint = f"; not installed: {', '.join(absent)}" if absent else ""
    yield Finding("extras", f"{', '.join(there) or 'none'}{hint}")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            yield Finding("device", f"cuda:{index} {card.name}, {card.total_memory / 2**30:.0f} GiB")
    elif torch.backends.mps.is_available():
        yield Finding("device", "mps (Apple GPU)")
    else:
        yield Finding("device", f"cpu, {torch.get_num_threads()} threads of {os.cpu_count()} cores")


def _space() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 2**30
    advice = f"close other programs: {_MIN_MEMORY_GIB:.0f} GiB are needed" if free < _MIN_MEMORY_GIB else ""
    yield Finding("memory", f"{free:.1f} of {memory.total / 2**30:.1f} GiB free", advice)
    folder = Path.cwd()
    disk = shutil.disk_usage(folder).free / 2**30
    advice = f"free some space: {_MIN_DISK_GIB:.0f} GiB are needed" if disk < _MIN_DISK_GIB else ""
    yield Finding("disk", f"{disk:.1f} GiB free in {folder}", advice)
    if not os.access(folder, os.W_OK):
        yield Finding("current folder", f"{folder} is not writable", "change folder, or give --out DIR")


def _configuration() -> Iterator[Finding]:
    from autods.core.resources import conf_dir

    there = (conf_dir() / "train.yaml").is_file()
    yield Finding("settings", str(conf_dir()), "" if there else "install autods again: its files are missing")


def _models(zoo: Path | None) -> Iterator[Finding]:
    from autods.core import UserError
    from autods.core.resources import models_dir
    from autods.zoo.registry import list_models, load_card, load_model

    names = list_models(zoo)
    if not names:
        advice = "install autods again, or build the zoo: autods zoo build"
        yield Finding("models", f"none in {zoo or models_dir()}", advice)
    for name in names:
        try:
            card = load_card(name, zoo)
            n_weights = sum(weight.numel() for weight in load_model(card).parameters())
        except UserError as error:
            yield Finding("model", name, str(error))
            continue
        density, snr = card.density_per_um2, card.snr
        yield Finding(
            "model",
            f"{name}: {card.family}, {n_weights / 1e6:.2f} M weights, density {density.low:g} to"
            f" {density.high:g} per um^2, SNR {snr.low:g} to {snr.high:g}",
        )
