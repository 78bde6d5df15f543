"""`open_movie`, `read_table`, `write_table` and `evaluate`: files and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autods.api.documented import documented
from autods.core import LocalizationTable, UserError
from autods.io.base import Movie
from autods.io.smap import write_smap
from autods.io.tables import read_table as read_any
from autods.io.tables import write_parquet, write_picasso, write_thunderstorm
from autods.metrics.evaluation import evaluate as score
from autods.metrics.evaluation import flatten
from autods.pipelines.inputs import MovieLike, open_input

#: Endings that `write_table` knows, and the program that opens each.
TABLE_ENDINGS = {
    ".csv": "ThunderSTORM",
    ".hdf5": "Picasso",
    ".parquet": "pandas, Arrow",
    "_sml.mat": "SMAP",
}


@documented("localize")
def open_movie(movie: MovieLike, *, channel: int | None = None, position: int | None = None) -> Movie:
    """Open a movie; its frames are read only when they are asked for.

    Parameters
    ----------
    movie
        A file of any format that autods reads, told by its content (TIFF, OME-TIFF, Micro-Manager, ND2, CZI,
        LIF, SIF, Imaris, Zarr, ``.npy``, Picasso ``.raw``), a folder of numbered images, an array or tensor
        (T, Y, X) or (Y, X), or an open movie, which is returned as it is.
    {settings}

    Returns
    -------
    Movie
        ``shape`` (T, Y, X), ``dtype``, ``metadata`` (pixel size in nm and camera, where stated) and
        ``read(start, stop)`` -> (t, Y, X); use it in ``with``.

    Raises
    ------
    UserError
        If there is no readable movie; the message says why.
    TypeError
        If it is none of the above.

    Examples
    --------
    >>> import autods, numpy
    >>> with autods.open_movie(numpy.zeros((5, 16, 20), "uint16")) as movie:
    ...     movie.shape, movie.read(1, 3).shape
    ((5, 16, 20), (2, 16, 20))
    >>> autods.open_movie("nowhere.tif")
    Traceback (most recent call last):
    autods.core.errors.UserError: nowhere.tif does not exist: check the name
    """
    return open_input(movie, channel, position)


def read_table(path: str | Path, pixel_size_nm: float | None = None) -> LocalizationTable:
    r"""Read a localization table of autods or another program; its format is told by the content.

    Parameters
    ----------
    path
        ThunderSTORM, SMAP, DECODE, rapidSTORM, ZEN or NIS-Elements text, Picasso or DECODE HDF5, SMAP's
        ``_sml.mat``, Parquet, a ``truth.csv``, or a run folder.
    pixel_size_nm
        Camera pixel, nm; needed only where positions are in pixels and the table does not state it.

    Returns
    -------
    LocalizationTable
        One array (N,) a column; frames from 0, positions in nm from the outer corner of pixel (0, 0).

    Raises
    ------
    UserError
        If the file is missing or of none of these kinds.

    Examples
    --------
    >>> import autods, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "table.csv")
    ...     _ = path.write_text('"frame","x [nm]","y [nm]"\n1,120.5,310\n2,99,12\n')
    ...     table = autods.read_table(path)
    >>> table.frame.tolist(), table.x_nm.tolist()
    ([0, 1], [120.5, 99.0])
    """
    return read_any(path, pixel_size_nm)


def write_table(
    table: LocalizationTable,
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    shape: tuple[int, int, int] | None = None,
) -> None:
    """Write a localization table for another program, which the ending names.

    Parameters
    ----------
    table
        The localizations.
    path
        ``.csv`` (ThunderSTORM), ``.hdf5`` (Picasso, with its ``.yaml`` beside it), ``.parquet`` (pandas and
        others) or ``_sml.mat`` (SMAP); replaced in one step.
    pixel_size_nm
        Camera pixel, nm; needed for Picasso and SMAP.
    shape
        (T, Y, X) of the movie; needed for Picasso.

    Raises
    ------
    UserError
        If the ending is not known, a needed number is missing, or the file cannot be written.

    Examples
    --------
    >>> import autods, numpy, pathlib, tempfile
    >>> table = autods.LocalizationTable.build(
    ...     frame=numpy.array([0, 1]), x_nm=numpy.array([120.5, 99.0]), y_nm=numpy.array([310.0, 12.0])
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("t.csv", "t.parquet", "t.hdf5", "t_sml.mat"):
    ...         autods.write_table(table, pathlib.Path(folder, name), pixel_size_nm=100, shape=(2, 8, 8))
    ...         again = autods.read_table(pathlib.Path(folder, name))
    ...         print(name, again.x_nm.round(3).tolist())
    t.csv [120.5, 99.0]
    t.parquet [120.5, 99.0]
    t.hdf5 [120.5, 99.0]
    t_sml.mat [120.5, 99.0]
    >>> autods.write_table(table, "table.xlsx")
    Traceback (most recent call last):
    autods.core.errors.UserError: table.xlsx: no table has this ending: use ...
    """
    ending = next((end for end in TABLE_ENDINGS if str(path).lower().endswith(end)), None)
    if ending is None:
        known = ", ".join(f"{end} ({program})" for end, program in TABLE_ENDINGS.items())
        raise UserError(f"{path}: no table has this ending: use {known}")
    if ending == ".csv":
        write_thunderstorm(table, path)
        return
    if ending == ".parquet":
        write_parquet(
            table, path, provenance={} if pixel_size_nm is None else {"pixel_size_nm": pixel_size_nm}
        )
        return
    if pixel_size_nm is None:
        raise UserError(f"{path}: a table for {TABLE_ENDINGS[ending]} states the pixel: give pixel_size_nm")
    if ending == "_sml.mat":
        write_smap(table, path, pixel_size_nm)
    elif shape is None:
        raise UserError(f"{path}: a table for Picasso states the movie's size: give shape=(T, Y, X)")
    else:
        write_picasso(table, path, pixel_size_nm, shape)


@documented("evaluate")
def evaluate(
    found: LocalizationTable | str | Path,
    truth: LocalizationTable | str | Path,
    *,
    radius_nm: float = 200.0,
    axial_radius_nm: float | None = 500.0,
    remove_axial_offset: bool = False,
    remove_lateral_offset: bool = False,
    shape_nm: tuple[float, float] | None = None,
    image_pixel_size_nm: float = 12.5,
    resolution_pixel_size_nm: float = 10.0,
    pixel_size_nm: float | None = None,
) -> dict[str, Any]:
    """Score localizations against the truth: detection, error, image similarity and resolution.

    Parameters
    ----------
    found, truth
        Tables, or files that `read_table` reads.
    shape_nm
        Height and width of the field, nm; None: the smallest that holds both.
    {settings}

    Returns
    -------
    dict
        ``jaccard``, ``precision``, ``recall``, ``rmse_lateral_nm``, ``psnr``, ``ms_ssim``, ... as
        `autods evaluate` prints them, then ``resolution``, ``settings`` and ``warnings``. Plain types;
        None where a number is not defined.

    Raises
    ------
    UserError
        If a file cannot be read or the field is too large.

    Notes
    -----
    Localizations and emitters of a frame are paired so that the sum of their distances is least, as in the
    2016 SMLM challenge (Sage et al., Nature Methods 2019, doi 10.1038/s41592-019-0364-4).

    Examples
    --------
    >>> import autods, numpy
    >>> frame, x, y = numpy.array([0, 0, 1]), numpy.array([500.0, 900, 700]), numpy.array([500.0, 300, 800])
    >>> truth = autods.LocalizationTable.build(frame, x, y)
    >>> found = autods.LocalizationTable.build(frame[:2], x[:2] + 30, y[:2])
    >>> scores = autods.evaluate(found, truth)
    >>> round(scores["jaccard"], 3), scores["precision"], round(scores["rmse_lateral_nm"], 3)
    (0.667, 1.0, 30.0)
    """
    tables = [t if isinstance(t, LocalizationTable) else read_any(t, pixel_size_nm) for t in (truth, found)]
    return flatten(
        score(
            *tables,
            radius_nm=radius_nm,
            axial_radius_nm=axial_radius_nm,
            remove_axial_offset=remove_axial_offset,
            remove_lateral_offset=remove_lateral_offset,
            shape_nm=shape_nm,
            image_pixel_size_nm=image_pixel_size_nm,
            resolution_pixel_size_nm=resolution_pixel_size_nm,
        )
    )
