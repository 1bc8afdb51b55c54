"""The opening that the image of a mouth really shows, where the tracked inner lips are too far apart.

Then the gap between the tracked lips holds a part of a lip, which would become a second lip inside the mouth.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.mouth import LOWER_SIDE, UPPER_SIDE, Lips
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.patch import remap
from lipsync.types import Float32, Plane

COLUMNS: Final = (np.arange(1, 10), np.arange(19, 10, -1))  # of the inner edges between the corners, as numbers
DEPTHS: Final = 16  # samples of the gap, from a lip's edge
REACH: Final = 0.6  # of the gap that may be lip
OWN_DEPTHS: Final = (0.15, 0.3, 0.45)  # of the lip's thickness: where its colour is measured
LIGHT_RANGE, CHROMA_RANGE = 0.2, 6.0  # of a lip's colour: share of its luma; 8-bit code values
MOST_UNKNOWN: Final = 4  # of the columns: lips that show no edge there take it from their neighbours
LEAST_MOVE: Final = 0.15  # of the gap; less is left alone


def seen_lips(patch: Plane, points: Float32, lips: Lips) -> Lips:
    """The ``lips`` with their edges moved into the gap as far as it has the lips' colour.

    ``patch`` (h, w, 3): Y'CbCr code values; ``points`` (468, 2): the mesh in pixels of it.
    """
    curves = [lips.upper.copy(), lips.lower.copy()]
    for side in (UPPER_SIDE, LOWER_SIDE):
        curve, other = curves[side][1:-1], lips.height((lips.upper, lips.lower)[side][1:-1, 0], 1 - side)
        across = other - curve[:, 1]
        share = np.linspace(0, REACH, DEPTHS)
        places = lips.points(curve[:, :1], curve[:, 1:] + across[:, None] * share)
        own = _lip_colours(patch, points, COLUMNS[side])
        depth = _first_of_gap(np.asarray(remap(patch, places), np.float32), own, 1 if patch.dtype == np.uint8 else 4)
        curve[:, 1] += across * _smooth(depth)
    return Lips(lips.origin, lips.along, lips.down, lips.width, curves[0], curves[1], lips.unit)


def _lip_colours(patch: Plane, points: Float32, columns: NDArray[np.int_]) -> Float32:
    """The colour of a lip beside each column, (9, 3), half-way to that of the whole lip."""
    inner, outer = points[np.array(LIPS_INNER)[columns]], points[np.array(LIPS_OUTER)[columns]]
    share = np.array(OWN_DEPTHS)[None, :, None]
    colours = np.asarray(
        remap(patch, (inner[:, None] + share * (outer - inner)[:, None]).astype(np.float32)), np.float32
    )
    local = colours.mean(1)
    return np.asarray((local + np.median(local, axis=0)) / 2, np.float32)


def _first_of_gap(profiles: Float32, lip: Float32, code: int) -> Float32:
    """The share of the gap (9,) from which ``profiles`` (9, DEPTHS, 3) leave the colour of the ``lip`` (9, 3)."""
    difference = np.abs(profiles - lip[:, None])
    light = difference[..., 0] / (LIGHT_RANGE * lip[:, None, 0])
    is_lip = light + difference[..., 1:].max(-1) / (CHROMA_RANGE * code) < 1.5
    unknown, first = is_lip.all(1), (~is_lip).argmax(1).astype(np.float32)
    first[unknown] = DEPTHS - 1
    if unknown.sum() <= MOST_UNKNOWN:  # shadow at the corners may have the lips' colour
        first = np.interp(np.arange(len(first)), np.flatnonzero(~unknown), first[~unknown])
    return np.asarray(first / (DEPTHS - 1) * REACH, np.float32)


def _smooth(depth: Float32) -> Float32:
    padded = np.pad(depth, 1, mode="edge")
    middle = np.sort(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)[1]
    padded = np.pad(middle, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(np.where(smooth.max() < LEAST_MOVE, 0, smooth), np.float32)
