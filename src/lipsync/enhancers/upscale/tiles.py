"""Split a frame into tiles with margins and write them back larger, so that only one tile is held in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lipsync.frames.planes import contiguous_copy
from lipsync.types import Float32, Frame, Plane

ALIGNMENT = 4  # of tile sides and corners, for models that fold pixels into channels
WRITE_MARGIN = 2  # pixels around a written tile that its chroma samples depend on
CHROMA_MARGIN = 3  # samples around a read tile that cubic interpolation depends on


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles of one size that cover a frame of ``height`` x ``width`` pixels; the last ones may extend beyond it."""

    height: int
    width: int
    tile_height: int
    tile_width: int

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield top and left of each tile, row by row."""
        for top in range(0, self.height, self.tile_height):
            for left in range(0, self.width, self.tile_width):
                yield top, left


def grid(height: int, width: int, max_side: int) -> Grid:
    """Return the fewest tiles of at most ``max_side`` pixels (rounded up to ALIGNMENT), as equal as possible."""
    return Grid(height, width, _tile_side(height, max_side), _tile_side(width, max_side))


def read_tile(frame: Frame, top: int, left: int, size: tuple[int, int], margin: int) -> Float32:
    """Return a tile of ``size`` (height, width) with a margin around it: (h, w, 3) Y'CbCr code values.

    Beyond the frame its edge pixels are repeated. Chroma is interpolated with cubics from its sample positions (see
    ``frames.rgb``). ``top``, ``left`` and ``margin`` are even.
    """
    top, left, height, width = top - margin, left - margin, size[0] + 2 * margin, size[1] + 2 * margin
    luma = np.asarray(_cut(frame.y, top, left, height, width), np.float32)
    extra = CHROMA_MARGIN
    matrix = np.array([[0.5, 0, extra], [0, 0.5, extra - 0.25]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    chroma = []
    for plane in (frame.u, frame.v):
        part = _cut(plane, top // 2 - extra, left // 2 - extra, height // 2 + 2 * extra, width // 2 + 2 * extra)
        chroma.append(cv2.warpAffine(np.asarray(part, np.float32), matrix, (width, height), flags=flags))
    return np.asarray(cv2.merge([luma, *chroma]), np.float32)


def blank_frame(like: Frame, factor: int) -> Frame:
    """Return a black-luma frame ``factor`` times as large, of the same depth, colour tags and transparency."""
    height, width = (length * factor for length in like.y.shape)
    half = ((height + 1) // 2, (width + 1) // 2)
    zero = np.zeros((), like.y.dtype)
    y, u, v = contiguous_copy([cast(Plane, np.broadcast_to(zero, shape)) for shape in ((height, width), half, half)])
    alpha = None if like.alpha is None else cv2.resize(like.alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    return Frame(like.index, y, u, v, like.depth, like.colour, cast(Plane | None, alpha))


def write_tile(frame: Frame, top: int, left: int, tile: Float32) -> None:
    """Write a tile (h + 2 WRITE_MARGIN, w + 2 WRITE_MARGIN, 3) of Y'CbCr code values; clip it to the frame.

    ``top`` and ``left`` are even. Chroma is averaged over two rows, and over three columns with weights 1, 2, 1.
    """
    max_value = (1 << frame.depth) - 1
    luma, *chroma = cv2.split(tile)
    margin = WRITE_MARGIN
    _write(frame.y, top, left, np.asarray(luma[margin:-margin, margin:-margin], np.float32), max_value)
    for plane, full in zip((frame.u, frame.v), chroma, strict=True):
        rows = full[margin:-margin:2] + full[margin + 1 : -margin : 2]
        before, at, after = (rows[:, margin + shift : -margin + shift : 2] for shift in (-1, 0, 1))
        columns = np.asarray((before + 2 * at + after) / 8, np.float32)
        _write(plane, top // 2, left // 2, columns, max_value)


def _tile_side(length: int, max_side: int) -> int:
    count = -(-length // max_side)
    return -(-length // (count * ALIGNMENT)) * ALIGNMENT


def _cut(plane: Plane, top: int, left: int, height: int, width: int) -> Plane:
    """Cut a rectangle that may extend beyond the plane; repeat edge samples there."""
    rows, columns = plane.shape
    first, last = max(top, 0), min(top + height, rows)
    start, stop = max(left, 0), min(left + width, columns)
    part = plane[first:last, start:stop]
    border = (first - top, top + height - last, start - left, left + width - stop)
    return part if not any(border) else cast(Plane, cv2.copyMakeBorder(part, *border, cv2.BORDER_REPLICATE))


def _write(plane: Plane, top: int, left: int, values: Float32, max_value: int) -> None:
    target = plane[top : top + values.shape[0], left : left + values.shape[1]]
    codes = np.clip(np.rint(values[: target.shape[0], : target.shape[1]]), 0, max_value)
    np.copyto(target, codes, casting="unsafe")
