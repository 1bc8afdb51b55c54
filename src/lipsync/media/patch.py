"""A rectangle of a picture as three full-size planes, and back: where engines edit.

The colours stay the picture's own Y'CbCr, so nothing is converted and what is not edited keeps its exact values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lipsync.types import Float32, Picture, Plane


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, ``right`` and ``bottom`` excluded; corners even, so that chroma samples are not split."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def box_around(points: Float32, margin: float, picture: Picture) -> Box | None:
    """The smallest even box that holds ``points`` (n, 2) and ``margin`` pixels, cut at the picture; None if outside."""
    height, width = picture.y.shape
    low = np.floor((points.min(0) - margin) / 2).astype(int) * 2
    high = np.ceil((points.max(0) + margin) / 2).astype(int) * 2
    box = Box(max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height))
    return box if box.width > 1 and box.height > 1 else None


def read_patch(picture: Picture, box: Box) -> Float32:
    """The box as (height, width, 3) float32 of Y', Cb, Cr in code values; chroma is interpolated to full size."""
    size = (box.width, box.height)
    half = slice(box.top // 2, (box.bottom + 1) // 2), slice(box.left // 2, (box.right + 1) // 2)
    luma = picture.y[box.top : box.bottom, box.left : box.right]
    planes = [luma] + [_double(plane[half], size) for plane in (picture.u, picture.v)]
    return np.asarray(cv2.merge([plane.astype(np.float32) for plane in planes]), np.float32)


def whole_values(patch: Float32, depth: int) -> Plane:
    """A patch (h, w, 3) as code values of 8 bits, or of more in 16."""
    whole = np.clip(np.rint(patch), 0, (1 << depth) - 1)
    return whole.astype(np.uint8) if depth == 8 else whole.astype(np.uint16)


def add_to_picture(picture: Picture, box: Box, change: Float32) -> None:
    """Add ``change`` (height, width, 3), in code values, to the picture in place. Zero leaves a sample as it is."""
    top = (1 << picture.depth) - 1
    luma = picture.y[box.top : box.bottom, box.left : box.right]
    _add(luma, change[..., 0], top)
    rows, columns = (box.height + 1) // 2, (box.width + 1) // 2
    for plane, channel in ((picture.u, 1), (picture.v, 2)):
        half = plane[box.top // 2 : box.top // 2 + rows, box.left // 2 : box.left // 2 + columns]
        _add(half, _halve(change[..., channel], rows, columns), top)


def _double(plane: Plane, size: tuple[int, int]) -> Plane:
    even = (plane.shape[1] * 2, plane.shape[0] * 2)
    full = cv2.resize(plane, even, interpolation=cv2.INTER_LINEAR)
    return cast(Plane, full[: size[1], : size[0]])


def _halve(plane: Float32, rows: int, columns: int) -> Float32:
    height, width = plane.shape
    if (height, width) != (rows * 2, columns * 2):
        plane = np.pad(plane, ((0, rows * 2 - height), (0, columns * 2 - width)), mode="edge")
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _add(target: Plane, change: Float32, top: int) -> None:
    np.copyto(target, np.clip(np.rint(target + change), 0, top), casting="unsafe")
