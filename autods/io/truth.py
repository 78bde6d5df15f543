"""True emitters as CSV: ``frame,x_nm,y_nm[,z_nm],photons``, frames from 0, origin at the outer corner."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from autods.core.emitters import EmitterBatch
from autods.io.atomic import atomic_path
from autods.io.csv import format_rows


class TruthWriter:
    """Writes the emitters of a long movie batch by batch.

    Raises `UserError` if the file cannot be written.
    """

    def __init__(self, path: str | Path, *, is_3d: bool = False) -> None:
        self._path = path
        self._is_3d = is_3d
        self._n_frames = 0

    def __enter__(self) -> TruthWriter:
        header = "frame,x_nm,y_nm,z_nm,photons\n" if self._is_3d else "frame,x_nm,y_nm,photons\n"
        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self._path))
            self._file = stack.enter_context(part.open("wb"))
            self._file.write(header.encode())
            self._open = stack.pop_all()
        return self

    def append(self, emitters: EmitterBatch) -> None:
        """Write the emitters of the next frames."""
        frame, xyz, photons = (tensor.detach().cpu().numpy() for tensor in emitters.flat())
        columns = {"frame": frame + self._n_frames, "x_nm": xyz[:, 0], "y_nm": xyz[:, 1]}
        if self._is_3d:
            columns["z_nm"] = xyz[:, 2]
        columns["photons"] = photons
        self._file.writelines(format_rows(columns, {name: 0 if name == "frame" else 2 for name in columns}))
        self._n_frames += len(emitters)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def write_truth(emitters: EmitterBatch, path: str | Path, *, is_3d: bool = False) -> None:
    """Write the emitters of all frames at once; see `TruthWriter`."""
    with TruthWriter(path, is_3d=is_3d) as writer:
        writer.append(emitters)
