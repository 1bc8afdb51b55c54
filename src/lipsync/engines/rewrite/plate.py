"""A clean plate: the skin around the lips without the colour that a lip leaves outside its landmarks.

Landmarks of a wide open or blurred mouth often run inside the lower lip. When the mouth closes, the rest of the real
lip would stay behind as a red stain on the chin. Such pixels have a chroma between that of the skin and that of the
lips. The surrounding skin fills them by normalised convolution (Knutsson and Westin, "Normalized and differential
convolution", CVPR 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, JAW, LEFT_CORNER, LIPS_INNER, LIPS_OUTER, RIGHT_CORNER
from lipsync.frames.blend import filled_outline, smoothstep
from lipsync.frames.patch import box_around
from lipsync.types import Box, Float32, Frame

REACH: Final = 0.2  # eye distances from the outline within which lip colour is looked for
NEAR: Final = 0.045  # eye distances from the outline at which lips always fade into the skin
SKIN_BAND: Final = 0.08  # eye distances beyond the reach that give the skin's colour
MIN_CONTRAST, FULL_CONTRAST = 5.0, 10.0  # code values at 8 bits between the chroma of lips and skin: unsure, certain
LIP_SHARE, LIP_SHARE_RANGE = 0.4, 0.3  # of the way from the skin's chroma to the lips': stained, and fully so
SKIN_TINT, SKIN_MARGIN = 12, 0.15  # percent of the skin that may be nearer to the lips' chroma, and by how much
RESOLUTION: Final = 30.0  # samples per eye distance
LEAST_AREA, STAIN_AREA = 0.012, 0.024  # square eye distances of stain: ignored, and filled entirely
LEAST_CLOSING, FULL_CLOSING = 0.05, 0.10  # eye distances that the mouth closes: nothing to clean, everything
HALF_STAINED: Final = 0.3  # from which a pixel belongs to a part of the stain
GROWTH: Final = 0.03  # eye distances by which a stain is widened
CLEAN: Final = 0.05  # of stain that the skin may have from which others are filled
FAR_WEIGHT: Final = 0.01  # of all clean skin, which fills what has none nearby
_OUTER, _INNER = list(LIPS_OUTER), list(LIPS_INNER)


@dataclass(frozen=True, slots=True)
class _Around:
    """The surroundings of the lips at low resolution.

    ``colours`` (h, w, 3): Y'CbCr code values. ``distance`` (h, w): from the lips' outline in eye distances, 0 inside.
    ``lips`` (h, w): what is between the lips' contours. ``below`` (h, w): what is below the corners of the mouth.
    ``face`` (h, w): what is within the jaw's outline. ``scale``: samples per eye distance.
    """

    colours: Float32
    distance: Float32
    lips: NDArray[np.bool_]
    below: NDArray[np.bool_]
    face: NDArray[np.bool_]
    scale: float


def clean_plate(frame: Frame, source: Float32, target: Float32, unit: float) -> bool:
    """Remove lip colour from the skin around the lips of ``frame``, in place, if the mouth closes.

    ``source`` and ``target`` (468, 2): the mesh in pixels before and after; ``unit``: the eye distance in pixels.
    Returns whether anything changed.
    """
    before, after = (float(np.linalg.norm(mesh[INNER_BOTTOM] - mesh[INNER_TOP])) for mesh in (source, target))
    closing = (before - after) / unit
    box = box_around(source[_OUTER], (REACH + SKIN_BAND) * unit, frame) if closing > LEAST_CLOSING else None
    if box is None:
        return False
    around = _look_around(frame, box, source, unit)
    stain = _stain(around, float(1 << (frame.depth - 8)))
    area = float(stain[around.distance > NEAR].sum()) / around.scale**2
    strength = smoothstep((closing - LEAST_CLOSING) / (FULL_CLOSING - LEAST_CLOSING))
    strength *= smoothstep((area - LEAST_AREA) / (STAIN_AREA - LEAST_AREA))
    if strength > 0:
        _fill(frame, box, around, stain, float(strength))
    return bool(strength > 0)


def _look_around(frame: Frame, box: Box, points: Float32, unit: float) -> _Around:
    step = max(2, round(unit / RESOLUTION))
    size = -(-box.width // step), -(-box.height // step)
    planes = (frame.y[box.luma], frame.u[box.chroma], frame.v[box.chroma])
    colours = cv2.merge([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes])
    shrink = np.array([size[0] / box.width, size[1] / box.height])
    nodes = (points - np.array([box.left, box.top]) + 0.5) * shrink - 0.5
    outer, inner = (filled_outline(nodes[numbers], size[::-1]) for numbers in (_OUTER, _INNER))
    scale = float(unit * shrink.mean())
    distance = np.asarray(cv2.distanceTransform(1 - outer, cv2.DIST_L2, 3), np.float32) / np.float32(scale)
    right, along = nodes[RIGHT_CORNER], nodes[LEFT_CORNER] - nodes[RIGHT_CORNER]
    x, y = np.arange(size[0])[None] - right[0], np.arange(size[1])[:, None] - right[1]
    below = along[0] * y - along[1] * x > 0
    face = filled_outline(nodes[list(JAW)], size[::-1]) > 0
    return _Around(np.asarray(colours, np.float32), distance, (outer > 0) & (inner == 0), below, face, scale)


def _stain(around: _Around, code: float) -> Float32:
    """How much each pixel around the lips has their colour, (h, w) in 0..1. ``code``: code values per 8-bit one."""
    band = (around.distance > REACH) & around.face
    if not around.lips.any() or not band.any():
        return np.zeros_like(around.distance)
    lips, skin = (_middle(around.colours[mask][:, 1:]) for mask in (around.lips, band))
    axis = lips - skin
    contrast = float(np.hypot(*axis))
    if contrast < MIN_CONTRAST * code:
        return np.zeros_like(around.distance)
    share = (around.colours[..., 1:] - skin) @ (axis / contrast**2)
    least = max(LIP_SHARE, float(np.percentile(share[band], 100 - SKIN_TINT)) + SKIN_MARGIN)
    stained = smoothstep((share - least) / LIP_SHARE_RANGE)
    near = smoothstep((REACH - around.distance) * (4 / REACH)) * (around.distance > 0)
    certain = smoothstep((contrast / code - MIN_CONTRAST) / (FULL_CONTRAST - MIN_CONTRAST))
    return _at_the_lips(np.asarray(stained * near * around.below * certain, np.float32), around.distance)


def _at_the_lips(stain: Float32, distance: Float32) -> Float32:
    """The parts of a stain (h, w) that reach the lips; others are skin of a warmer tone, as on a lit chin."""
    count, parts = cv2.connectedComponents((stain > HALF_STAINED).astype(np.uint8), connectivity=8)
    kept = np.bincount(parts[distance < NEAR], minlength=count) > 0
    kept[0] = False
    grown = cv2.dilate(kept[parts].astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(stain * grown, np.float32)


def _middle(colours: Float32) -> Float32:
    """The median (2,) of colours (n, 2)."""
    return np.asarray(np.partition(colours, len(colours) // 2, axis=0)[len(colours) // 2], np.float32)


def _fill(frame: Frame, box: Box, around: _Around, stain: Float32, strength: float) -> None:
    """Replace the stain by the skin around it; a weak stain keeps its luma, whose shades would flicker."""
    grown = 2 * max(1, round(GROWTH * around.scale)) + 1
    cover = cv2.GaussianBlur(cv2.dilate(stain, np.ones((grown, grown), np.uint8)), (grown, grown), 0)
    clean = np.asarray((cover < CLEAN) & (around.distance > NEAR) & around.face, np.float32)
    if not clean.any():
        return
    skin = around.colours[clean > 0].mean(0)
    width = 2 * round(REACH / 2 * around.scale) + 1
    weighted = np.dstack([around.colours * clean[..., None], clean])
    sums = cv2.blur(cv2.blur(weighted, (width, width)), (width, width))
    fill = (sums[..., :3] + FAR_WEIGHT * skin) / (sums[..., 3:] + FAR_WEIGHT)
    planes = (frame.y[box.luma], frame.u[box.chroma], frame.v[box.chroma])
    for plane, colour, full in zip(planes, cv2.split(fill), (strength**2, strength, strength), strict=True):
        size = plane.shape[::-1]
        new, weight = (cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in (colour, cover))
        np.copyto(plane, np.rint(plane + (new - plane) * (weight * np.float32(full))), casting="unsafe")
