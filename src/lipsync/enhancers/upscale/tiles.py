"""A picture in tiles: read with what lies around them, written back larger, so that only one is ever held in floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lipsync.frames.planes import contiguous_copy
from lipsync.types import Float32, Frame, Plane

EVEN = 4  # tiles' sides and corners are multiples of it: networks that fold pixels into channels want that
MARGIN = 2  # pixels around a written tile that its chroma samples look at
CHROMA_MARGIN = 3  # samples around a read tile that cubic interpolation looks at


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles of ``high`` x ``wide`` pixels that cover a picture of ``height`` x ``width``; all are of one size, and the
    last ones may reach over the picture's edge."""

    height: int
    width: int
    high: int
    wide: int

    def corners(self) -> Iterator[tuple[int, int]]:
        """Top and left of each tile, row by row."""
        for top in range(0, self.height, self.high):
            for left in range(0, self.width, self.wide):
                yield top, left


def grid(height: int, width: int, side: int) -> Grid:
    """The fewest tiles of at most ``side`` (rounded up to a multiple of EVEN), all about as large as each other."""
    return Grid(height, width, _share(height, side), _share(width, side))


def read_tile(picture: Frame, top: int, left: int, size: tuple[int, int], reach: int) -> Float32:
    """A tile of ``size`` (height, width) with ``reach`` pixels around it: (h, w, 3) Y'CbCr code values.

    Beyond the picture's edge its last pixels go on. Chroma lies on every other column, as in ``frames.rgb``, and is
    interpolated with cubics. ``top``, ``left`` and ``reach`` are even.
    """
    top, left, high, wide = top - reach, left - reach, size[0] + 2 * reach, size[1] + 2 * reach
    luma = np.asarray(_continued(picture.y, top, left, high, wide), np.float32)
    more = CHROMA_MARGIN
    where = np.array([[0.5, 0, more], [0, 0.5, more - 0.25]])
    chroma = []
    for plane in (picture.u, picture.v):
        part = _continued(plane, top // 2 - more, left // 2 - more, high // 2 + 2 * more, wide // 2 + 2 * more)
        chroma.append(
            cv2.warpAffine(
                np.asarray(part, np.float32), where, (wide, high), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            )
        )
    return np.asarray(cv2.merge([luma, *chroma]), np.float32)


def blank(like: Frame, factor: int) -> Frame:
    """A picture ``factor`` times as large, of the same depth and colours, with nothing in it yet."""
    height, width = (length * factor for length in like.y.shape)
    half = ((height + 1) // 2, (width + 1) // 2)
    nothing = np.zeros((), like.y.dtype)
    y, u, v = contiguous_copy([cast(Plane, np.broadcast_to(nothing, shape)) for shape in ((height, width), half, half)])
    return Frame(like.index, y, u, v, like.depth, like.colour)


def write_tile(picture: Frame, top: int, left: int, made: Float32) -> None:
    """Put a tile (h + 2 MARGIN, w + 2 MARGIN, 3) of Y'CbCr code values at an even place; what is beyond the picture's
    edge is left out. Chroma is averaged over two rows and, around every other column, with weights 1, 2, 1."""
    highest = (1 << picture.depth) - 1
    luma, *chroma = cv2.split(made)
    _put(picture.y, top, left, np.asarray(luma[MARGIN:-MARGIN, MARGIN:-MARGIN], np.float32), highest)
    for plane, full in zip((picture.u, picture.v), chroma, strict=True):
        rows = full[MARGIN:-MARGIN:2] + full[MARGIN + 1 : -MARGIN : 2]
        before, at, after = (rows[:, MARGIN + shift : -MARGIN + shift : 2] for shift in (-1, 0, 1))
        columns = np.asarray((before + 2 * at + after) / 8, np.float32)
        _put(plane, top // 2, left // 2, columns, highest)


def _share(length: int, side: int) -> int:
    count = -(-length // side)
    return -(-length // (count * EVEN)) * EVEN


def _continued(plane: Plane, top: int, left: int, high: int, wide: int) -> Plane:
    """A rectangle of a plane that may lie partly beyond its edge."""
    rows, columns = plane.shape
    first, last = max(top, 0), min(top + high, rows)
    start, stop = max(left, 0), min(left + wide, columns)
    part = plane[first:last, start:stop]
    around = (first - top, top + high - last, start - left, left + wide - stop)
    return part if not any(around) else cast(Plane, cv2.copyMakeBorder(part, *around, cv2.BORDER_REPLICATE))


def _put(plane: Plane, top: int, left: int, values: Float32, highest: int) -> None:
    there = plane[top : top + values.shape[0], left : left + values.shape[1]]
    whole = np.clip(np.rint(values[: there.shape[0], : there.shape[1]]), 0, highest)
    np.copyto(there, whole, casting="unsafe")
