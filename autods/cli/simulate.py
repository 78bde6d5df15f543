"""``autods simulate``: a blinking movie with truth."""

from __future__ import annotations

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.progress import progress_bars
from autods.configuration.compose import load
from autods.configuration.convert import simulation_settings
from autods.configuration.schema import SimulateConfig
from autods.core import UserError
from autods.pipelines.simulate import TRUTH_FILE, simulate_to_folder


def run(arguments: Arguments) -> int:
    """Simulate into ``--out`` and print the names of the files."""
    wanted = simulation_settings(load(SimulateConfig, arguments.overrides))
    if arguments.out is None:
        raise UserError("autods simulate needs a folder for the movie: give --out DIR")
    with progress_bars("simulate") as progress:
        movie = simulate_to_folder(wanted, arguments.out, command=arguments.equivalent(), progress=progress)
    print(f"{movie}\n{movie.parent / TRUTH_FILE}")
    return DONE
