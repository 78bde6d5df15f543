"""The localization table: what every localizer returns and every format stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


def _numbers(name: str, column: object) -> NDArray[np.float64]:
    """Return a column as numbers.

    Raises
    ------
    TypeError
        If it holds anything else; the message names the column.
    """
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} holds {column!r:.60}, not one number a row ({error})") from error


@dataclass(frozen=True)
class LocalizationTable:
    """Localizations as one float64 array a column (frame: int64), all of length N.

    Parameters
    ----------
    frame
        Frame, counted from 0.
    x_nm, y_nm
        Position in nm along columns and rows, origin at the outer corner of pixel (0, 0) of the full frame.
    photons
        Detected photons; NaN where unknown.
    background, background_std
        Expected background and its standard deviation, photons per pixel; NaN where unknown.
    sigma_nm
        PSF standard deviation in nm; NaN where unknown.
    uncertainty_xy_nm
        Expected lateral standard error per axis in nm; NaN where unknown.
    confidence
        The network's confidence; larger is surer.
    z_nm, uncertainty_z_nm
        Axial position and its standard error, nm; None in 2D (both or neither).

    Raises
    ------
    ValueError
        If the columns' lengths differ.

    Examples
    --------
    >>> import numpy
    >>> from autods import LocalizationTable
    >>> table = LocalizationTable.build(
    ...     frame=numpy.array([1, 0]), x_nm=numpy.array([250.0, 80.0]), y_nm=numpy.array([40.0, 60.0]),
    ...     photons=numpy.array([900.0, 1500.0]),
    ... )
    >>> len(table), table.is_3d, table.sorted().frame.tolist()
    (2, False, [0, 1])
    >>> table.select(table.photons > 1000).x_nm.tolist()
    [80.0]
    >>> len(LocalizationTable.concatenate([table, table]))
    4
    >>> sorted(table.columns())[:3]
    ['background', 'background_std', 'confidence']
    """

    frame: NDArray[np.int64]
    x_nm: NDArray[np.float64]
    y_nm: NDArray[np.float64]
    photons: NDArray[np.float64]
    background: NDArray[np.float64]
    background_std: NDArray[np.float64]
    sigma_nm: NDArray[np.float64]
    uncertainty_xy_nm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    z_nm: NDArray[np.float64] | None = None
    uncertainty_z_nm: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            if column.shape != (len(self.frame),):
                raise ValueError(f"column {name} has shape {column.shape}, frame has {self.frame.shape}")
        if (self.z_nm is None) != (self.uncertainty_z_nm is None):
            raise ValueError("z_nm and uncertainty_z_nm come together or not at all")

    def __len__(self) -> int:
        """Count the localizations."""
        return len(self.frame)

    @property
    def is_3d(self) -> bool:
        """Whether the table has axial positions."""
        return self.z_nm is not None

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns present, (N,) each, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in values.items() if column is not None}

    @classmethod
    def build(
        cls,
        frame: NDArray[np.generic],
        x_nm: NDArray[np.generic],
        y_nm: NDArray[np.generic],
        **columns: NDArray[np.generic] | None,
    ) -> LocalizationTable:
        """Build from the given columns, (N,) each; missing ones are NaN (z columns: absent).

        Raises
        ------
        ValueError
            If a column is none of `LocalizationTable`.
        """
        known = {field.name for field in fields(cls)}
        if not set(columns) <= known:
            raise ValueError(f"no such column: {sorted(set(columns) - known)}")
        if columns.get("z_nm") is not None:
            columns.setdefault("uncertainty_z_nm", np.full(len(frame), np.nan))
        values = {name: np.full(len(frame), np.nan) for name in known if not name.endswith("z_nm")}
        values.update({name: column for name, column in columns.items() if column is not None})
        values.update(x_nm=x_nm, y_nm=y_nm)
        converted = {name: _numbers(name, column) for name, column in values.items() if name != "frame"}
        return cls(frame=_numbers("frame", frame).astype(np.int64), **converted)

    @classmethod
    def empty(cls, *, is_3d: bool = False) -> LocalizationTable:
        """Return a table without rows."""
        none = np.zeros(0)
        return cls.build(none, none, none, z_nm=none if is_3d else None)

    def select(self, rows: NDArray[np.generic] | slice) -> LocalizationTable:
        """Return the rows given by a mask (N,), an index array (M,) or a slice."""
        return LocalizationTable(**{name: column[rows] for name, column in self.columns().items()})  # type: ignore[arg-type]

    def order(self) -> NDArray[np.intp]:
        """Return the indices (N,) of the rows by frame, then y, then x: the order of every file."""
        return np.lexsort((self.x_nm, self.y_nm, self.frame))

    def sorted(self) -> LocalizationTable:
        """Return the table in the order of every file."""
        return self.select(self.order())

    @classmethod
    def concatenate(cls, tables: Sequence[LocalizationTable]) -> LocalizationTable:
        """Join tables with the same columns, in the given order; an empty list gives an empty 2D table."""
        if not tables:
            return cls.empty()
        names = tables[0].columns()
        return cls(**{name: np.concatenate([t.columns()[name] for t in tables]) for name in names})
