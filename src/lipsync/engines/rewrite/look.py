"""The look of a donor's image: how sharp its lips are, and whether lips fill the gap that its landmarks show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.mouth import Mouth
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.blend import filled_outline
from lipsync.types import Float32, Plane

GRID: Final = 96.0  # pixels per eye distance at which looks are compared
NEAR_GRID: Final = 0.75  # a scale above which resizing is not worth its time
AROUND, EDGE = 0.05, 0.02  # eye distances: skin measured around the lips; border of the inner lips that is left out
LIP_LIGHT, LIP_CHROMA = 0.22, 7.0  # how far lip colour may be from the median: share of its luma; 8-bit code values
MIN_PIXELS: Final = 8  # of a gap; fewer show nothing
MIN_GAP: Final = 0.08  # of the mouth's area; a narrower gap says nothing


@dataclass(frozen=True, slots=True)
class Look:
    """``focus``: see ``_focus``. ``lip_share``: of the gap between the inner lips, 0..1, that has the lips' colour."""

    focus: float
    lip_share: float


def measure_look(patch: Plane, points: Float32, unit: float) -> Look:
    """The look of a mouth's image ``patch`` (h, w, 3), Y'CbCr code values.

    ``points`` (468, 2): the mesh in pixels of the patch; ``unit``: pixels per eye distance.
    """
    scale = GRID / unit if NEAR_GRID * unit > GRID else 1.0
    image = patch
    if scale < 1:
        image = cast(Plane, cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    outer, inner = ((points[list(lips)] + 0.5) * scale - 0.5 for lips in (LIPS_OUTER, LIPS_INNER))
    gap, mouth = filled_outline(inner, image.shape), filled_outline(outer, image.shape)
    edge = _grown(gap, EDGE * unit * scale) > 0
    ring = (_grown(mouth, AROUND * unit * scale) > 0) & ~edge
    open_enough = cv2.contourArea(inner) > MIN_GAP * cv2.contourArea(outer)
    lip_share = _lip_share(image, gap > 0, (mouth > 0) & ~edge) if open_enough else 0.0
    return Look(_focus(image[..., 0], ring), lip_share)


def inside_detail(mouth: Mouth) -> float:
    """The mean magnitude of the Laplacian of the luma between the lips in code values; NaN if they nearly touch."""
    filled = filled_outline(mouth.seen.outline(), mouth.patch.shape)
    gap = cv2.erode(filled, np.ones((3, 3), np.uint8), borderValue=0) > 0
    if gap.sum() < MIN_PIXELS:
        return float("nan")
    return float(np.abs(cv2.Laplacian(np.ascontiguousarray(mouth.patch[..., 0]), cv2.CV_32F)[gap]).mean())


def _focus(luma: Plane, ring: NDArray[np.bool_]) -> float:
    """The mean magnitude of the Laplacian of the lips and the skin at their border, relative to their contrast."""
    if not ring.any():
        return 0.0
    detail = np.abs(cv2.Laplacian(np.ascontiguousarray(luma), cv2.CV_32F)[ring]).mean()
    return float(detail / (luma[ring].std() + 1))


def _lip_share(image: Plane, gap: NDArray[np.bool_], lips: NDArray[np.bool_]) -> float:
    inside, around = image[gap].astype(np.int32), image[lips].astype(np.int32)
    if not len(around) or not len(inside):
        return 0.0
    colour = np.sort(around, axis=0)[len(around) // 2]
    unit = 1 if image.dtype == np.uint8 else 4
    same_light = np.abs(inside[:, 0] - colour[0]) < LIP_LIGHT * colour[0]
    same_chroma = np.abs(inside[:, 1:] - colour[1:]).max(1) < LIP_CHROMA * unit
    return float((same_light & same_chroma).mean())


def _grown(mask: NDArray[np.uint8], pixels: float) -> NDArray[np.uint8]:
    size = 2 * max(1, round(pixels)) + 1
    return np.asarray(cv2.dilate(mask, np.ones((size, size), np.uint8)), np.uint8)
