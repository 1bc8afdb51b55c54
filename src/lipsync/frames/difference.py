"""What was changed in a picture, and where."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.frames.patch import Box
from lipsync.types import Float32, Frame, Plane


def changed_box(before: Frame, after: Frame) -> Box | None:
    """The smallest even box that holds every sample that differs; None if none does."""
    height, width = after.y.shape
    boxes = [_differing(a, b) for a, b in ((before.y, after.y), (before.u, after.u), (before.v, after.v))]
    found = [
        (rows[0] * scale, rows[1] * scale, columns[0] * scale, columns[1] * scale)
        for (rows, columns), scale in ((box, scale) for box, scale in zip(boxes, (1, 2, 2), strict=True) if box)
    ]
    if not found:
        return None
    top, bottom = min(it[0] for it in found) // 2 * 2, max(it[1] for it in found)
    left, right = min(it[2] for it in found) // 2 * 2, max(it[3] for it in found)
    return Box(left, top, min(right + right % 2, width), min(bottom + bottom % 2, height))


def changed_mask(before: Frame, after: Frame, box: Box, softness: float) -> Float32:
    """How much of each pixel of the box belongs to what was changed, (h, w) in 0..1, with an edge that fades inwards.

    ``softness``: pixels in which it fades. Outside of what was changed it is 0; islands that stayed are filled.
    """
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    differs = (before.y[rows, columns] != after.y[rows, columns]).astype(np.uint8)
    reach = max(3, round(softness) | 1)
    closed = cv2.morphologyEx(
        np.pad(differs, reach), cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    )
    depth = cv2.distanceTransform(closed, cv2.DIST_L2, 3)[reach:-reach, reach:-reach]
    return np.asarray(np.clip(depth / max(softness, 1e-3), 0, 1), np.float32)


def _differing(before: Plane, after: Plane) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """First and one past the last row and column that differ."""
    differs = before != after
    rows = np.flatnonzero(differs.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(0))
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
