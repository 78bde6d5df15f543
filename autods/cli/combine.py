"""``autods combine``: two tables in one frame of reference, in two colours."""

from __future__ import annotations

from pathlib import Path

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.progress import progress_bars
from autods.configuration.compose import load
from autods.configuration.schema import CombineConfig
from autods.pipelines.combine import Combined, combine


def run(arguments: Arguments) -> int:
    """Register the second table with the first one and draw both."""
    config = load(CombineConfig, arguments.overrides)
    first, second = arguments.paths
    folder = arguments.out or Path(f"{first.stem}_{second.stem}_combined")
    with progress_bars("combine") as progress:
        combined = combine(
            first,
            second,
            folder,
            registration=config.registration,
            render_pixel_size_nm=config.render.pixel_size_nm,
            progress=progress,
            command=arguments.equivalent(out=folder),
        )
    print(registration_line(combined))
    print(f"Look at {folder / 'preview.png'}")
    return DONE


def registration_line(combined: Combined) -> str:
    """Say how the tables were registered, in one line."""
    found = combined.registration
    x, y = found.shift_nm
    error = "" if found.error_nm != found.error_nm else f", error {found.error_nm:.1f} nm"
    counts = f"{len(combined.first):,} and {len(combined.second):,} localizations"
    return f"{counts}; registration: {found.note}; shift {x:.0f}, {y:.0f} nm{error}"
