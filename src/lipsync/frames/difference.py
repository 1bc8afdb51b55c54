"""Locate the pixels that differ between two versions of a frame."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.types import Box, Float32, Frame, Plane


def changed_box(before: Frame, after: Frame) -> Box | None:
    """Return the smallest box with even corners that holds every changed sample; None if nothing changed."""
    height, width = after.y.shape
    boxes = [_changed_box(a, b) for a, b in ((before.y, after.y), (before.u, after.u), (before.v, after.v))]
    luma = [
        Box(box.left * scale, box.top * scale, box.right * scale, box.bottom * scale)
        for box, scale in zip(boxes, (1, 2, 2), strict=True)
        if box
    ]
    if not luma:
        return None
    union = Box(
        min(box.left for box in luma),
        min(box.top for box in luma),
        max(box.right for box in luma),
        max(box.bottom for box in luma),
    )
    return union.even().intersection(Box(0, 0, width, height))


def changed_mask(before: Frame, after: Frame, box: Box, softness: float) -> Float32:
    """Return how much of each pixel of ``box`` belongs to the changed area: (h, w), 0..1.

    The mask is 0 outside the changed area and fades in over ``softness`` pixels inside it. Small unchanged islands
    count as changed.
    """
    differs = (before.y[box.luma] != after.y[box.luma]).astype(np.uint8)
    reach = max(3, round(softness) | 1)
    closed = cv2.morphologyEx(
        np.pad(differs, reach), cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    )
    distance = cv2.distanceTransform(closed, cv2.DIST_L2, 3)[reach:-reach, reach:-reach]
    return np.asarray(np.clip(distance / max(softness, 1e-3), 0, 1), np.float32)


def _changed_box(before: Plane, after: Plane) -> Box | None:
    differs = before != after
    rows = np.flatnonzero(differs.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
