"""OME-TIFF: which page of which file is which plane of which image, from the XML of the first page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.io.base import Choice
from autods.io.readers.tiff_layout import Layout, one_file_layout, plain_layout
from autods.io.readers.tiff_pages import Pages, scan_pages

_MAX_PLANES = 1 << 26


def is_ome(description: str) -> bool:
    """Whether the text of a first page is OME-XML."""
    head = description[:2000].lstrip()
    return head.startswith("<") and ("<OME" in head or ":OME" in head)


def names_other_files(path: Path) -> bool:
    """Whether a TIFF file is one of a series of files that its OME-XML describes or refers to."""
    text = scan_pages(path).description
    return is_ome(text) and ("BinaryOnly" in text or len(set(re.findall(r'FileName="([^"]*)"', text))) > 1)


@dataclass(frozen=True)
class _Block:
    """A run of planes: where they are and which they are."""

    first: tuple[int, int, int]
    count: int | None
    ifd: int
    file: str


@dataclass(frozen=True)
class _Image:
    name: str
    sizes: dict[str, int]
    order: str
    blocks: list[_Block]
    channels: list[str]
    size_px: str


def ome_layout(pages: Pages, choice: Choice) -> Layout:
    """Lay out an OME-TIFF file and the further files that it names.

    Raises `UserError` if a file of the series is missing.
    """
    try:
        root = ElementTree.fromstring(pages.description)
        images = [_image(element) for element in root.iterfind(".//{*}Image")]
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        words = " ".join(str(error).split())[:80]
        note = f"its OME-XML cannot be read ({words}): the pages are read in their order"
        return plain_layout(pages, choice, "OME-TIFF", [note])
    master = root.find(".//{*}BinaryOnly")
    if not images and master is not None:
        return _from_master(pages, choice, master.get("MetadataFile", ""))
    if not images:
        return plain_layout(pages, choice, "OME-TIFF", ["its OME-XML names no image"])
    own = {element.get("FileName", "") for element in root.iter() if (element.text or "") == root.get("UUID")}
    return _arrange(pages, choice, images, own)


def _from_master(pages: Pages, choice: Choice, name: str) -> Layout:
    """Follow a file that only refers to the one with the description."""
    target = pages.path.parent / Path(name).name
    if not name or not target.is_file() or target == pages.path:
        note = f"it refers to {name or 'another file'}, which is missing: the rest of its series is not read"
        return plain_layout(pages, choice, "OME-TIFF", [note])
    first = scan_pages(target)
    if is_ome(first.description) and "BinaryOnly" not in first.description:
        found = ome_layout(first, choice)
        return replace(found, notes=[*found.notes, f"{pages.path.name} is one file of the series of {name}"])
    return plain_layout(pages, choice, "OME-TIFF", [f"{name} does not describe it"])


def _image(element: ElementTree.Element) -> _Image:
    pixels = element.find("{*}Pixels")
    if pixels is None:
        raise ValueError("an image without pixels")
    channels = pixels.findall("{*}Channel")
    samples = [int(channel.get("SamplesPerPixel", 1)) for channel in channels]
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT"}
    if channels and sum(samples) == sizes["C"]:
        sizes["C"] = len(channels)
    if min(sizes.values()) < 1 or sizes["Z"] * sizes["C"] * sizes["T"] > _MAX_PLANES:
        raise ValueError(f"an image of {sizes}")
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    return _Image(
        element.get("Name", ""),
        sizes,
        order if sorted(order) == ["C", "T", "Z"] else "CZT",
        list(_blocks(pixels)),
        [channel.get("Name", "") for channel in channels],
        f"{pixels.get('SizeY')} x {pixels.get('SizeX')} px",
    )


def _blocks(pixels: ElementTree.Element) -> Iterator[_Block]:
    for data in pixels.iterfind("{*}TiffData"):
        uuid = data.find("{*}UUID")
        count, ifd = data.get("PlaneCount"), data.get("IFD")
        first = (int(data.get("FirstZ", 0)), int(data.get("FirstC", 0)), int(data.get("FirstT", 0)))
        n_planes = int(count) if count is not None else (None if ifd is None else 1)
        yield _Block(first, n_planes, int(ifd or 0), "" if uuid is None else uuid.get("FileName", ""))


def _arrange(pages: Pages, choice: Choice, images: list[_Image], own: set[str]) -> Layout:
    number = choice.position if choice.position is not None and 0 <= choice.position < len(images) else 0
    image = images[number]
    files, index_of = _files(pages, image, own)
    file, page = _planes(image, files, index_of)
    axes = "".join(reversed(image.order))
    shape = tuple(image.sizes[axis] for axis in axes)
    n_planes = int(np.prod(shape))
    n_images = sum(int(np.prod(list(each.sizes.values()))) for each in images)
    n_pages = sum(len(each) for each in files)
    is_one_series = (
        len(images) == 1 and len(files) == 1 and sum(n > 1 for n in shape) < 2 and image.sizes["C"] == 1
    )
    if is_one_series and n_planes < n_pages:
        note = f"its OME-XML names {n_planes} of {n_pages} pages: all are read as frames"
        return plain_layout(pages, choice, "OME-TIFF", [note])
    if is_one_series and len(pages) == 1 and n_planes > 1:
        virtual = one_file_layout(pages, choice)  # a list of pages that was cut off
        if len(virtual.page) > 1:
            return replace(virtual, kind="OME-TIFF")
    notes = []
    if len(files) == 1 and n_images < n_pages:
        notes.append(f"its OME-XML names {n_images} of {n_pages} pages: the others are not read")
    padded = np.full((len(images), n_planes), -1, np.int64), np.full((len(images), n_planes), -1, np.int64)
    padded[0][number], padded[1][number] = file, page
    names = {"P": _image_names(images), "C": image.channels}
    kind = "OME-TIFF" if len(files) == 1 else f"OME-TIFF of {len(files)} files"
    return Layout(
        kind, f"P{axes}", (len(images), *shape), files, padded[0].ravel(), padded[1].ravel(), names, notes
    )


def _image_names(images: list[_Image]) -> list[str]:
    is_mixed = len({image.size_px for image in images}) > 1
    return [f"{image.name} {image.size_px}".strip() if is_mixed else image.name for image in images]


def _files(pages: Pages, image: _Image, own: set[str]) -> tuple[list[Pages], dict[str, int]]:
    """Scan the files of an image; a file that was renamed still names itself."""
    named = sorted({block.file for block in image.blocks if block.file})
    missing = [name for name in named if not (pages.path.parent / name).is_file()]
    if len(missing) == 1 and (missing[0] in own or len(named) == 1):
        own, missing = {missing[0]}, []
    if missing:
        raise UserError(
            f"{pages.path} is one of {len(named)} files and {missing[0]} is missing: put them in one folder"
        )
    files, index_of = [pages], {"": 0}
    for name in named:
        if name == pages.path.name or (name in own and not (pages.path.parent / name).is_file()):
            index_of[name] = 0
        else:
            index_of[name] = len(files)
            files.append(scan_pages(pages.path.parent / name))
    return files, index_of


def _planes(
    image: _Image, files: list[Pages], index_of: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find file and page of each plane, counted with the fastest axis of the image running fastest."""
    sizes = [image.sizes[axis] for axis in image.order]
    n_planes = int(np.prod(sizes))
    file, page = np.full(n_planes, -1, np.int64), np.full(n_planes, -1, np.int64)
    strides = dict(zip(image.order, (1, sizes[0], sizes[0] * sizes[1]), strict=True))
    for block in image.blocks or [_Block((0, 0, 0), None, 0, "")]:
        number = index_of[block.file]
        start = sum(strides[axis] * first for axis, first in zip("ZCT", block.first, strict=True))
        room = min(n_planes - start, len(files[number]) - block.ifd)
        count = room if block.count is None else min(block.count, room)
        if start < 0 or block.ifd < 0 or count < 1:
            continue
        file[start : start + count] = number
        page[start : start + count] = np.arange(block.ifd, block.ifd + count)
    return file, page
