"""A rectangle of a picture as three full-size planes, and back: where engines edit.

The colours stay the picture's own Y'CbCr, so nothing is converted and what is not edited keeps its exact values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lipsync.frames.rgb import upsample_chroma
from lipsync.types import Float32, Frame, Plane


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


def box_around(points: Float32, margin: float, picture: Frame) -> Box | None:
    """The smallest even box that holds ``points`` (n, 2) and ``margin`` pixels, cut at the picture; None if outside."""
    height, width = picture.y.shape
    low = np.floor((points.min(0) - margin) / 2).astype(int) * 2
    high = np.ceil((points.max(0) + margin) / 2).astype(int) * 2
    box = Box(max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height))
    return box if box.width > 1 and box.height > 1 else None


def read_patch(picture: Frame, box: Box) -> Plane:
    """The box as (height, width, 3) of Y', Cb, Cr in code values; chroma is interpolated to full size."""
    size = (box.width, box.height)
    half = slice(box.top // 2, (box.bottom + 1) // 2), slice(box.left // 2, (box.right + 1) // 2)
    luma = picture.y[box.top : box.bottom, box.left : box.right]
    return cast(Plane, cv2.merge([luma, *(upsample_chroma(plane[half], size) for plane in (picture.u, picture.v))]))


def quantise(patch: Float32, depth: int) -> Plane:
    """A patch (h, w, 3) as code values of 8 bits, or of more in 16."""
    whole = np.clip(np.rint(patch), 0, (1 << depth) - 1)
    return whole.astype(np.uint8) if depth == 8 else whole.astype(np.uint16)


def write_patch(picture: Frame, box: Box, before: Plane, after: Plane, replaced: Float32 | None = None) -> None:
    """Put ``after`` in the place of ``before``, both as ``read_patch`` gives them; what is the same in both stays.

    Chroma takes the mean change of the pixels that share a sample, so that nothing is lost by reading and writing.
    ``replaced`` (h, w) in 0..1: how much of each pixel is new, and keeps nothing of what reading smoothed away.
    """
    luma, *chroma = cv2.split(after)
    picture.y[box.top : box.bottom, box.left : box.right] = luma
    rows, columns = (box.height + 1) // 2, (box.width + 1) // 2
    top = (1 << picture.depth) - 1
    new_share = None if replaced is None else _halve(replaced, rows, columns)
    for plane, new, channel in ((picture.u, chroma[0], 1), (picture.v, chroma[1], 2)):
        old = cv2.extractChannel(before, channel)
        half = plane[box.top // 2 : box.top // 2 + rows, box.left // 2 : box.left // 2 + columns]
        change = _halve(np.asarray(cv2.subtract(new, old, dtype=cv2.CV_32F), np.float32), rows, columns)
        if new_share is not None:
            change += new_share * (_halve(np.asarray(old, np.float32), rows, columns) - half)
        np.copyto(half, np.clip(np.rint(half + change), 0, top), casting="unsafe")


def warp_picture(picture: Frame, box: Box, where: Float32) -> None:
    """Show in each pixel of the box what lies at ``where`` (height, width, 2): x, then y, in pixels of the box."""
    halved = np.ascontiguousarray(where[::2, ::2]) * np.float32(0.5)
    top, left = box.top // 2, box.left // 2
    luma = picture.y[box.top : box.bottom, box.left : box.right]
    luma[:] = sampled(luma, where)
    for plane in (picture.u, picture.v):
        half = plane[top : top + halved.shape[0], left : left + halved.shape[1]]
        half[:] = sampled(half, halved)


def sampled(patch: Plane, where: Float32) -> Plane:
    """The patch, (h, w) or (h, w, channels), looked up at ``where`` (height, width, 2): x, then y, in pixels of it."""
    nothing = cast(Float32, None)  # a map of both coordinates needs no second one, whatever OpenCV's types say
    return cast(Plane, cv2.remap(patch, where, nothing, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _halve(plane: Float32, rows: int, columns: int) -> Float32:
    height, width = plane.shape
    if (height, width) != (rows * 2, columns * 2):
        plane = np.pad(plane, ((0, rows * 2 - height), (0, columns * 2 - width)), mode="edge")
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
