"""What makes one piece of a picture sit in another without a seam."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.frames.patch import Box
from lipsync.types import Float32

BRIGHTER = 24.0  # code values of 8 bits: the most that colours are shifted to fit
RING = (0.05, 0.6)  # of a mask: where its edge is


def outline_mask(outline: Float32, box: Box, softness: float) -> Float32:
    """How much of each pixel lies inside a closed outline (n, 2), in pixels of the picture: (h, w) in 0..1."""
    mask = np.zeros((box.height, box.width), np.uint8)
    corners = np.rint((outline - np.array([box.left, box.top])) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)
    return np.multiply(soft, 1 / 255, dtype=np.float32)


def colour_shift(around: Float32, look: Float32, mask: Float32, depth: int = 8) -> Float32:
    """What makes ``look`` as bright and as warm as the picture ``around`` it, along the edge of a mask: (3,).

    All (h, w), the first two of three channels in code values of ``depth`` bits; add the result to ``look``.
    """
    ring = cv2.inRange(mask, *RING)
    most = BRIGHTER * (1 << (depth - 8))
    return np.asarray(np.clip(cv2.mean(around - look, ring)[:3], -most, most), np.float32)
