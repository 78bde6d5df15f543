"""Minimal files of vendors' formats, as far as their readers look at them."""

import struct
from pathlib import Path

import h5py
import numpy as np


def write_lif(path: Path, images: dict[str, np.ndarray], pixel_nm: float = 100.0) -> Path:
    """Write Leica's LIF: a header in XML, and a block of memory for each image (T, Y, X) of uint16."""
    elements, blocks = "", b""
    for number, (name, frames) in enumerate(images.items(), 1):
        dimensions, step = "", 2
        for label, n in zip((1, 2, 4), frames.shape[::-1], strict=True):
            length = (n - 1) * pixel_nm * 1e-9 if label < 4 else float(n)
            unit = "s" if label == 4 else "m"
            dimensions += (
                f'<DimensionDescription DimID="{label}" NumberOfElements="{n}" Origin="0"'
                f' Length="{length}" Unit="{unit}" BytesInc="{step}" BitInc="0"/>'
            )
            step *= n
        elements += (
            f'<Element Name="{name}" Visibility="1" UniqueID="{number}"><Data><Image TextDescription="">'
            '<ImageDescription><Channels><ChannelDescription DataType="0" ChannelTag="0" Resolution="16"'
            ' NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="Gray" IsLUTInverted="0"'
            f' BytesInc="0" BitInc="0"/></Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>'
            f'</Image></Data><Memory Size="{frames.nbytes}" MemoryBlockID="Block{number}"/></Element>'
        )
        label = f"Block{number}"
        head = struct.pack("<BQBI", 0x2A, frames.nbytes, 0x2A, len(label)) + label.encode("utf-16-le")
        blocks += struct.pack("<II", 0x70, len(head)) + head + frames.astype("<u2").tobytes()
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="file"><Memory Size="0" MemoryBlockID="Block0"/>'
        f"<Children>{elements}</Children></Element></LMSDataContainerHeader>"
    )
    text = xml.encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(xml)) + text + blocks)
    return path


def write_sif(path: Path, frames: np.ndarray, exposure_s: float = 0.03) -> Path:
    """Write Andor's SIF: lines of text, then float32 images (T, Y, X)."""
    n_frames, height, width = frames.shape
    lines = [
        "Andor Technology Multi-Channel File",
        "65538 1",
        f"65550 0 0 1 1540956289 -70 {' ' * 10}0 {exposure_s} 0.03 0.03 1 \0 0.03 1e-08 0 1 3 0 0 1"
        f"{' 0' * 16} 0 0",
        "DU897_BV",
        f"{width} {height} 8",
        "movie.si ",
        "65538 1",
        "x",
        f"65538 {' ' * 8}0 0",
        *("skipped", "skipped"),
        "65539 0 1 0 0",
        *("0 1 0 0", "0 1 0 0", "0", "422", "13", "13"),
        f"12\nPixel number6\nCounts12\nPixel number65541 1 {height} {width} 1 {n_frames} 1 {frames.size}"
        f" {height * width} 65538 1 {height} {width} 1 1 1",
        *map(str, range(n_frames)),
    ]
    head = "".join(f"{line}\n" for line in lines).encode("latin-1")
    path.write_bytes(head + frames.astype("<f4").tobytes())
    return path


def write_imaris(path: Path, channels: np.ndarray, pixel_um: float = 0.1) -> Path:
    """Write Imaris' HDF5: (C, T, Y, X) uint16, blocks padded to 8 px, and a second resolution."""
    n_channels, n_times, height, width = channels.shape

    def text(value: object) -> np.ndarray:
        return np.frombuffer(str(value).encode(), "S1")

    with h5py.File(path, "w") as file:
        for level in (0, 1):
            for t in range(n_times):
                for c in range(n_channels):
                    image = channels[c, t, :: 2**level, :: 2**level]
                    padded = np.zeros((1, *(-(-n // 8) * 8 for n in image.shape)), np.uint16)
                    padded[0, : image.shape[0], : image.shape[1]] = image
                    place = f"DataSet/ResolutionLevel {level}/TimePoint {t}/Channel {c}/Data"
                    file.create_dataset(place, data=padded, chunks=padded.shape, compression="gzip")
        attributes = file.create_group("DataSetInfo/Image").attrs
        stated = {"X": width, "Y": height, "Z": 1, "Unit": "um", "ExtMin0": 0, "ExtMin1": 0}
        stated |= {"ExtMax0": width * pixel_um, "ExtMax1": height * pixel_um}
        for name, value in stated.items():
            attributes[name] = text(value)
    return path


def write_stk(path: Path, frames: np.ndarray) -> Path:
    """Write MetaMorph's stack: one page, all planes (T, Y, X) of uint16, and a tag with their number."""
    n_planes, height, width = frames.shape
    data = 8 + 2 + 12 * 11 + 4
    planes = data + frames.nbytes
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, data), (277, 3, 1, 1), (278, 3, 1, height), (279, 4, 1, 2 * height * width)),
        *((33628, 4, n_planes, planes), (33629, 5, n_planes, planes)),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    path.write_bytes(head + frames.astype("<u2").tobytes() + struct.pack("<6I", 0, 1, 0, 0, 0, 0) * n_planes)
    return path
