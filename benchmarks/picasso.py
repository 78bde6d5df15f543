"""Picasso, run by its own command line in its own Python, judged by the table that it writes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from autods.core import LocalizationTable, UserError
from autods.io.hdf5_tables import read_hdf5_table
from autods.io.images import write_movie_tiff
from autods.metrics.detection import detection_metrics
from benchmarks.fields import SimulatedField

_BOX_PX = 7


@dataclass(frozen=True)
class PeerTable:
    """What a peer found, and how it is called in a table."""

    name: str
    table: LocalizationTable


def best_picasso(
    field: SimulatedField, python: str, gradients: Sequence[float], radius_nm: float
) -> PeerTable:
    """Localize with several thresholds and return the table of the highest Jaccard index.

    Parameters
    ----------
    field
        The movie with its truth.
    python
        A Python interpreter that has ``picassosr``.
    gradients
        Least net gradients to try.
    radius_nm
        Largest distance of a match.

    Raises
    ------
    UserError
        If Picasso does not run there.
    """
    tables = [run_picasso(field, python, gradient) for gradient in gradients]
    scores = [detection_metrics(field.truth, table, radius_nm).jaccard for table in tables]
    best = max(range(len(tables)), key=scores.__getitem__)
    return PeerTable("Picasso, tuned on the truth", tables[best])


def run_picasso(field: SimulatedField, python: str, gradient: float) -> LocalizationTable:
    """Localize with Gaussian maximum likelihood in boxes of 7 x 7 pixels.

    Raises
    ------
    UserError
        If Picasso does not run.
    """
    camera = field.camera
    with TemporaryDirectory(prefix="autods-picasso-") as folder:
        movie = Path(folder) / "movie.tif"
        write_movie_tiff(field.frames, movie, field.optics.pixel_size_nm)
        options: dict[str, object] = {
            "-b": _BOX_PX,
            "-a": "mle",
            "-g": gradient,
            "-d": 0,
            "-bl": camera.offset_adu,
            "-s": camera.e_per_adu,
            "-ga": camera.em_gain or 1,
            "-qe": camera.qe,
            "-px": field.optics.pixel_size_nm,
        }
        words = [text for option, value in options.items() for text in (option, _text(value))]
        command = [python, "-m", "picasso", "localize", str(movie), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise UserError(f"picasso_python={python} does not start: {error.strerror}") from error
        table = movie.with_name("movie_locs.hdf5")
        if done.returncode or not table.exists():
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise UserError(f"Picasso did not run in {python} ({last}): install picassosr there")
        return read_hdf5_table(table, field.optics.pixel_size_nm)


def _text(value: object) -> str:
    """Write whole numbers without a point: some options take nothing else."""
    return f"{value:g}" if isinstance(value, float) else str(value)
