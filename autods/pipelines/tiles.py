"""Pictures of millions of localizations: the tiles of a pyramid, and parts of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.pipelines.kept import Kept
from autods.pipelines.shown_rows import Box, Look, Rows
from autods.rendering import CUTOFF, blur, depth_palette, in_depth_colors, render_spots, white_level

#: Pixels of a tile's side.
TILE_PX = 256
#: Least width of a spot on the screen, pixels.
SPOT_PX = 0.6
#: The same where hardly any pixel is lit, below this share.
_SPARSE_SPOT_PX, _SPARSE_SHARE = 1.6, 0.01
#: Up to this level tiles are cut out of one picture of the whole field, 2048 pixels long.
_BASE_LEVEL = 3
#: Smallest pixel, in typical uncertainties: finer tiles would show no more than enlarged ones.
_FINEST = 1 / 6
#: Tiles that tell the full brightness of a level.
_PROBES = 3

Image = NDArray[np.float32]


class Painter:
    """Draws a sorted table.

    Inside, an image is (1, Y, X) counts or, in the colours of depth, (2, Y, X) counts and sums of depths.

    Parameters
    ----------
    rows
        The localizations.
    kept
        Where results are kept, shared with other tables.
    name
        Of the table, among those of ``kept``.
    """

    def __init__(self, rows: Rows, kept: Kept, name: object) -> None:
        self.rows, self.table, self._kept, self._name = rows, rows.table, kept, name

    @property
    def level_0_nm(self) -> float:
        """Pixel of the only tile of level 0, nm; of the next level half of it, and so on."""
        return max(self.table.shape_nm) / TILE_PX

    @property
    def levels(self) -> int:
        """Number of levels."""
        finest_nm = max(_FINEST * self.table.typical_nm, 1e-3)
        return max(math.ceil(math.log2(self.level_0_nm / finest_nm)), _BASE_LEVEL) + 1

    def tile(self, look: Look, level: int, row: int, column: int) -> tuple[Image, float]:
        """Draw a tile.

        Returns ``light, white``: (256, 256) or with colours (256, 256, 3) float32 linear light, and the value
        of full brightness, the same for all tiles of the level. Raises `UserError` if there is no such tile,
        the filter cannot be read, or depth colours are wanted in 2D.
        """
        side = 1 << level
        if not (0 <= level < self.levels and 0 <= row < side and 0 <= column < side):
            raise UserError(f"there is no tile {level}/{row}/{column}: zoom out")
        self._check(look)
        return _shown(self._tile_light(_light_of(look), level, row, column)), self._white(look, level)

    def tile_with(self, other: Painter, look: Look, level: int, row: int, column: int) -> tuple[Image, float]:
        """Draw a tile in magenta, and over it what another table has there in green; white where both are.

        Returns ``light, white``: as of `tile`: (256, 256, 3) and 1. Raises `UserError` as `tile`.

        Parameters
        ----------
        other
            Draws the second table, whose coordinates of the full frame are those of the first.
        look, level, row, column
            As of `tile`; the filter is for both.
        """
        grey = replace(look, colors="")
        first, white = self.tile(grey, level, row, column)
        pixel_nm = self.level_0_nm / (1 << level)
        corner = [
            place * TILE_PX * pixel_nm + self.table.origin_nm[axis] - other.table.origin_nm[axis]
            for axis, place in enumerate((row, column))
        ]
        side = TILE_PX * pixel_nm
        box = (corner[0], corner[1], corner[0] + side, corner[1] + side)
        own = int(np.clip(round(math.log2(other.level_0_nm / pixel_nm)), 0, other.levels - 1))
        light = _light_of(grey)
        second = _shown(other._light(light, box, pixel_nm, other._least_px(light)))
        # The nearest level of its own tells the brightness, for the area of a pixel here.
        area = (pixel_nm * (1 << own) / other.level_0_nm) ** 2
        magenta, green = (
            np.clip(first / white, 0, 1),
            np.clip(second / (other._white(grey, own) * area), 0, 1),
        )
        return np.stack([magenta, green, magenta], -1).astype(np.float32), 1.0

    def part(self, look: Look, box_nm: Box, side_px: int) -> tuple[Image, float]:
        """Draw a part ``(y0, x0, y1, x1)`` of the field, nm; returns the light and the white of `tile`.

        Raises `UserError` if the part is empty, or as `tile`.
        """
        y0, x0, y1, x1 = box_nm
        if not (y1 > y0 and x1 > x0 and math.isfinite(y1 - y0 + x1 - x0)):
            raise UserError("the part of the field is empty: zoom out")
        self._check(look)
        pixel_nm, least = max(y1 - y0, x1 - x0) / side_px, self._least_px(look)
        light = _shown(self._light(_light_of(look), box_nm, pixel_nm, least))
        return light, white_level(light, look.percentile)

    def _get(
        self, key: object, make: Callable[[], Any], size: Callable[[Any], int] = lambda a: int(a.nbytes)
    ) -> Any:
        return self._kept.get((self._name, key), make, size)

    def _check(self, look: Look) -> None:
        if look.colors == "depth" and not self.table.is_3d:
            raise UserError("the run has no depths: choose a colour map")

    def _least_px(self, look: Look) -> float:
        """Return the least width of a spot: wider where so few pixels are lit that nobody would see them."""
        light = _light_of(look)

        def make() -> float:
            return float(np.count_nonzero(base := self._summed(light, _BASE_LEVEL)[0]) / base.size)

        lit = self._get(("lit", light), make, lambda _: 64)
        return SPOT_PX if lit > _SPARSE_SHARE else _SPARSE_SPOT_PX

    def _summed(self, light: Look, level: int) -> Image:
        """Return the sums of the whole field in the pixels of a coarse level."""

        def make() -> Image:
            if level == _BASE_LEVEL:
                return self._counts(light, (0.0, 0.0, *self.table.shape_nm), self.level_0_nm / (1 << level))
            finer = self._summed(light, level + 1)
            finer = np.pad(finer, [(0, 0), *((0, length % 2) for length in finer.shape[1:])])
            rows: Image = finer[:, 0::2] + finer[:, 1::2]
            return np.asarray(rows[:, :, 0::2] + rows[:, :, 1::2])

        return np.asarray(self._get(("summed", light, level), make))

    def _tile_light(self, light: Look, level: int, row: int, column: int) -> Image:
        def make() -> Image:
            pixel_nm = self.level_0_nm / (1 << level)
            if level <= _BASE_LEVEL:
                return self._coarse(light, level, row * TILE_PX, column * TILE_PX)
            side = TILE_PX * pixel_nm
            box = (row * side, column * side, (row + 1) * side, (column + 1) * side)
            return self._light(light, box, pixel_nm, self._least_px(light))

        return np.asarray(self._get(("light", light, level, row, column), make))

    def _coarse(self, light: Look, level: int, top: int, left: int) -> Image:
        """Return a tile of a coarse level, where all spots are about as wide as a pixel."""
        sigma = max(self.table.typical_nm * (1 << level) / self.level_0_nm, self._least_px(light))
        margin = 0 if light.drawing == "histogram" else math.ceil(CUTOFF * sigma)
        whole = self._summed(light, level)
        tile = np.zeros((len(whole), *(2 * (TILE_PX + 2 * margin,))), np.float32)
        y, x = max(top - margin, 0), max(left - margin, 0)
        cut = whole[:, y : top + TILE_PX + margin, x : left + TILE_PX + margin]
        y, x = y - top + margin, x - left + margin
        tile[:, y : y + cut.shape[1], x : x + cut.shape[2]] = cut
        return tile if not margin else blur(tile, (sigma, sigma), margin)

    def _white(self, look: Look, level: int) -> float:
        """Return the value of full brightness of a level: from tiles of places with localizations."""
        return float(
            self._get(
                ("white", _light_of(look), look.percentile, level),
                lambda: self._probe(look, level),
                lambda _: 64,
            )
        )

    def _probe(self, look: Look, level: int) -> float:
        mask, length = self.rows.passing(look.filter), len(self.table)
        starts = [int((number + 0.5) * length / _PROBES) for number in range(_PROBES)] if length else []
        pixel_nm, places = self.level_0_nm / (1 << level), set[tuple[int, int]]()
        for start in starts:
            # The next one that passes the filter.
            row = start if mask is None else start + int(np.argmax(mask[start:]))
            if mask is None or mask[row]:
                at = [float(self.table.columns[name][row]) / pixel_nm // TILE_PX for name in ("y_nm", "x_nm")]
                row_of, column_of = (int(np.clip(place, 0, (1 << level) - 1)) for place in at)
                places.add((row_of, column_of))
        light = _light_of(look)
        tiles = [self._tile_light(light, level, *place)[0] for place in sorted(places)]
        white = white_level(np.stack(tiles), look.percentile) if tiles else 1.0
        # A colour of depth is less than white.
        return white * float(depth_palette().max(1).mean()) if look.colors == "depth" else white

    def _light(self, light: Look, box: Box, pixel_nm: float, least_px: float) -> Image:
        if light.drawing == "histogram":
            return self._counts(light, box, pixel_nm)
        # Spots beyond the edge reach in.
        reach = 3 * max(3 * self.table.typical_nm, least_px * pixel_nm)
        wide = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
        columns = self.rows.columns(light, wide, ("uncertainty_xy_nm", *_depth_of(light)))
        sigma = self.rows.widths(columns["uncertainty_xy_nm"], pixel_nm, least_px) / pixel_nm
        x, y = (columns["x_nm"] - box[1]) / pixel_nm, (columns["y_nm"] - box[0]) / pixel_nm
        shape = _shape(box, pixel_nm)
        counts = render_spots(x, y, sigma, sigma, shape)
        if light.colors != "depth":
            return counts
        # The eye sees colours less sharply than light: those of two by two pixels are drawn at once.
        half = np.float32(0.5)
        place = (x * half, y * half, sigma * half, sigma * half, ((shape[0] + 1) // 2, (shape[1] + 1) // 2))
        mean = _mean_depth(*render_spots(*place, [self.rows.depths(columns["z_nm"])]))
        mean = mean.repeat(2, 0).repeat(2, 1)[: shape[0], : shape[1]]
        return np.concatenate([counts, counts * mean])

    def _counts(self, light: Look, box: Box, pixel_nm: float) -> Image:
        """Count localizations and add up their depths in pixels."""
        height, width = _shape(box, pixel_nm)
        names = _depth_of(light)
        counts = np.zeros((1 + len(names), height * width), np.float32)
        for columns in self.rows.pieces(light, box, names):
            x, y = (columns["x_nm"] - box[1]) / pixel_nm, (columns["y_nm"] - box[0]) / pixel_nm
            inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
            if not inside.all():
                x, y, columns = x[inside], y[inside], {name: columns[name][inside] for name in names}
            index = y.astype(np.int32) * np.int32(width) + x.astype(np.int32)
            if not len(index):
                continue
            # Rows go by place: a piece covers a strip of the picture.
            low = int(index.min())
            for image, name in zip(counts, [None, *names], strict=True):
                weight = None if name is None else self.rows.depths(columns[name])
                found = np.bincount(index - low, weight)
                image[low : low + len(found)] += found
        return counts.reshape(-1, height, width)


def _depth_of(light: Look) -> tuple[str, ...]:
    return ("z_nm",) if light.colors == "depth" else ()


def _light_of(look: Look) -> Look:
    """Return all that light depends on: not its colours on the screen."""
    return replace(look, colors="depth" if look.colors == "depth" else "", percentile=0.0)


def _shown(image: Image) -> Image:
    """Return the counts, or their light in the colours of depth."""
    return image[0] if len(image) == 1 else in_depth_colors(*image)


def _mean_depth(counts: Image, sums: Image) -> Image:
    """Return the mean depth in each pixel, in parts of the range."""
    mean: Image = np.divide(sums, np.maximum(counts, np.float32(1e-9)), dtype=np.float32)
    return mean


def _shape(box: Box, pixel_nm: float) -> tuple[int, int]:
    """Return rows and columns of the picture of a box."""
    rows, columns = (
        max(math.ceil(length / pixel_nm - 1e-6), 1) for length in (box[2] - box[0], box[3] - box[1])
    )
    return rows, columns
