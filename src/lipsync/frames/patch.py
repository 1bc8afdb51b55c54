"""Read a box of a frame as three full-size planes, edit it, and write it back.

Patches stay in the frame's own Y'CbCr, so nothing is converted and unedited pixels keep their exact values.
"""

from __future__ import annotations

from math import ceil, floor
from typing import cast

import cv2
import numpy as np

from lipsync.frames.rgb import upsample_chroma
from lipsync.types import Box, Float32, Frame, Plane

NO_SECOND_MAP = cast(Float32, None)  # cv2.remap takes None beside a two-channel map; its type stubs do not


def box_around(points: Float32, margin: float, frame: Frame) -> Box | None:
    """Return the smallest even box around ``points`` (n, 2) and ``margin`` pixels, clipped to the frame.

    None if less than two pixels a side are left.
    """
    height, width = frame.y.shape
    left, top = (2 * floor((value - margin) / 2) for value in points.min(0).tolist())
    right, bottom = (2 * ceil((value + margin) / 2) for value in points.max(0).tolist())
    box = Box(left, top, right, bottom).intersection(Box(0, 0, width, height))
    return box if box.width > 1 and box.height > 1 else None


def read_patch(frame: Frame, box: Box) -> Plane:
    """Return an even box as (h, w, 3) Y', Cb, Cr code values; chroma is interpolated to full size."""
    size = (box.width, box.height)
    chroma = (upsample_chroma(plane[box.chroma], size) for plane in (frame.u, frame.v))
    return cast(Plane, cv2.merge([frame.y[box.luma], *chroma]))


def quantise(patch: Float32, depth: int) -> Plane:
    """Round and clip a patch (h, w, 3) to code values: uint8 at 8 bits, else uint16."""
    codes = np.clip(np.rint(patch), 0, (1 << depth) - 1)
    return codes.astype(np.uint8) if depth == 8 else codes.astype(np.uint16)


def write_patch(frame: Frame, box: Box, before: Plane, after: Plane, replaced: Float32 | None = None) -> None:
    """Write ``after`` over ``before``, both as ``read_patch`` returns them; unchanged pixels keep their exact values.

    A chroma sample changes by the mean change of the pixels that share it, so that reading and writing loses nothing.
    ``replaced``: (h, w), 0..1, the share of each pixel that is new and must not keep the detail that reading smoothed.
    """
    luma, *chroma = cv2.split(after)
    frame.y[box.luma] = luma
    rows, columns = (box.height + 1) // 2, (box.width + 1) // 2
    max_code = (1 << frame.depth) - 1
    new_share = None if replaced is None else _halve(replaced, rows, columns)
    for plane, new, channel in ((frame.u, chroma[0], 1), (frame.v, chroma[1], 2)):
        old = cv2.extractChannel(before, channel)
        samples = plane[box.chroma]
        change = _halve(np.asarray(cv2.subtract(new, old, dtype=cv2.CV_32F), np.float32), rows, columns)
        if new_share is not None:
            change += new_share * (_halve(np.asarray(old, np.float32), rows, columns) - samples)
        np.copyto(samples, np.clip(np.rint(samples + change), 0, max_code), casting="unsafe")


def warp_frame(frame: Frame, box: Box, coordinates: Float32) -> None:
    """Replace each pixel of ``box`` by the one at ``coordinates`` (h, w, 2): x, y in pixels of the box.

    Luma is interpolated bicubically; chroma, which is coarse and smooth, bilinearly, in a quarter of the time.
    """
    halved = np.ascontiguousarray(coordinates[::2, ::2]) * np.float32(0.5)
    luma = frame.y[box.luma]
    luma[:] = remap(luma, coordinates)
    for plane in (frame.u, frame.v):
        samples = plane[box.chroma]
        samples[:] = cv2.remap(samples, halved, NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def remap(patch: Plane, coordinates: Float32) -> Plane:
    """Sample a patch (h, w) or (h, w, c) at ``coordinates`` (height, width, 2), x, y in its pixels; bicubic."""
    return cast(Plane, cv2.remap(patch, coordinates, NO_SECOND_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _halve(plane: Float32, rows: int, columns: int) -> Float32:
    height, width = plane.shape
    if (height, width) != (rows * 2, columns * 2):
        plane = np.pad(plane, ((0, rows * 2 - height), (0, columns * 2 - width)), mode="edge")
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
