"""Which movies a folder holds."""

from __future__ import annotations

import re
from pathlib import Path

from tifffile import TiffFile

from autods.core.errors import UserError
from autods.io.foreign import quiet
from autods.io.names import skeleton

_SUFFIXES = (
    ".tif",
    ".tiff",
    ".btf",
    ".tf8",
    ".nd2",
    ".npy",
    ".raw",
    ".zarr",
    ".czi",
    ".lif",
    ".sif",
    ".ims",
    ".stk",
)
_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
#: Second and further files of a Micro-Manager stack: NAME_MMStack_Pos0_1.ome.tif, NDTiffStack_1.tif.
_CONTINUED = re.compile(
    r"^(?P<first>.*(?:MMStack.*?|NDTiffStack))_\d+(?P<suffix>(?:\.ome)?\.tiff?)$", re.IGNORECASE
)


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).is_file() for name in _ZARR_FILES)


def find_movies(folder: str | Path) -> list[Path]:
    """List the movies of a folder: a series of several files once, by its first.

    Returns `list of Path`, in natural order: movie2 before movie10. Raises `UserError` if there is no such
    folder or no movie in it.

    Parameters
    ----------
    folder
        Folder to look into, not below it; a folder that is itself one movie (Zarr, numbered images) gives
        itself, and a file gives itself.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"{folder} does not exist: check the name")
    if folder.is_file() or is_zarr(folder) or numbered_images(folder):
        return [folder]
    movies = [path for path in _entries(folder) if _is_movie(path)]
    names = {path.name for path in movies}
    movies = [path for path in movies if not _continues(path.name, names)]
    if not movies:
        raise UserError(f"{folder} holds no movie: it needs files of type {', '.join(_SUFFIXES)}")
    return movies


def numbered_images(folder: Path) -> list[Path]:
    """List the files of a folder of single TIFF images that differ in their number only, else nothing.

    Returns `list of Path`, in the order of the numbers; empty when the folder is not one movie of this kind.

    Parameters
    ----------
    folder
        Folder of, say, img_000000000_Default_000.tif and its successors.
    """
    images = [path for path in _entries(folder) if path.suffix.lower() in (".tif", ".tiff")]
    stems = {skeleton(path.name) for path in images}
    if len(images) < 2 or len(stems) != 1 or "#" not in next(iter(stems)):
        return []
    return images if all(_is_single_image(path) for path in (images[0], images[-1])) else []


def _is_single_image(path: Path) -> bool:
    try:
        with quiet("tifffile"), TiffFile(path) as tif:
            return not tif.pages.is_multipage and int((tif.imagej_metadata or {}).get("images", 1)) == 1
    except Exception:  # noqa: BLE001 tifffile raises anything over damaged files, which are no images
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except PermissionError as error:
        raise UserError(f"no permission to read {folder}: ask for it or copy the folder") from error
    return sorted(paths, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _is_movie(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path)
    if path.suffix.lower() == ".raw":
        return path.with_suffix(".yaml").exists()
    return path.suffix.lower() in _SUFFIXES


def _continues(name: str, names: set[str]) -> bool:
    found = _CONTINUED.match(name)
    return found is not None and f"{found['first']}{found['suffix']}" in names


def first_of_series(path: Path) -> Path:
    """Return the file that a file of Micro-Manager continues; the file itself when it continues none."""
    found = _CONTINUED.match(path.name)
    first = path.with_name(f"{found['first']}{found['suffix']}") if found else path
    return first if first.is_file() else path


def continuations(path: Path) -> list[Path]:
    """List the files of a Micro-Manager series of which one is given, the first one first."""
    first = first_of_series(path)
    others = [other for other in _entries(first.parent) if other != first and first_of_series(other) == first]
    return [first, *(other for other in others if other.is_file())]
