"""The donor for what the footage does not show: a drawn inside of the mouth, which fits any pose and opening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.donors import Donor
from lipsync.engines.rewrite.drawn_mouth import DrawnMouth
from lipsync.engines.rewrite.inside import sample_inside
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.look import inside_detail
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, Pose
from lipsync.frames.patch import quantise
from lipsync.types import Box, Float32

OPEN_DONOR: Final = 0.06  # eye distances from which a donor shows the inside of the mouth
# Of the drawn mouth against a real one, in a donor's costs: where the footage never shows the inside, or else does.
UNSEEN_COST, SEEN_COST = 0.0, 0.15
CAVITY_LIGHT, MOST_CAVITY_LIGHT = 0.2, 0.35  # of the lips: where the cavity is unknown, and at most
SOFTNESSES: Final = (0.6, 0.8, 1.0, 1.25, 1.6)  # of the drawn mouth, over the blur of the footage's sharpest edges
TEETH_PERCENTILE: Final = 85  # of the luma between open lips
TEETH_REDNESS: Final = 0.75  # of the lips; redder pixels are tongue or lips


def drawn_donor(donors: Sequence[Donor], closed: Float32, light: Light) -> Donor:
    """The donor that stands for the drawn mouth. It has no shape, so that it matches every target alike.

    ``closed`` (468, 3): the closed mouth in the face frame. ``light``: that in which its colours were measured.
    """
    seen = any(donor.gap > OPEN_DONOR for donor in donors)
    lips = measure_lips(np.asarray(closed[:, :2], np.float32), 1.0)
    mouth = Mouth(np.zeros((0, 0, 3), np.uint8), lips, None, light)
    descriptor = np.full((len(LIPS_INNER) + 1, 2), np.nan, np.float32)
    return Donor(mouth, descriptor, np.inf, cost=SEEN_COST if seen else UNSEEN_COST)


def with_usual_detail(drawing: DrawnMouth, closed: Float32, donors: Sequence[Donor]) -> DrawnMouth:
    """The drawn mouth, so soft that it shows as much detail as the open donors do; unchanged if there are none.

    ``closed`` (468, 3): the closed mouth in the face frame.
    """
    opened = [donor for donor in donors if donor.gap > OPEN_DONOR and donor.mouth.points is not None]
    details = np.array([inside_detail(donor.mouth) for donor in opened])
    if not np.isfinite(details).any():
        return drawing
    unit = float(np.median([donor.mouth.lips.unit for donor in opened]))
    mesh = open_lips(closed, float(np.median([donor.gap for donor in opened])))
    candidates = [drawing.softened(softness) for softness in SOFTNESSES]
    drawn = np.array([inside_detail(drawn_image(candidate, mesh, unit)) for candidate in candidates])
    distance = np.abs(np.log(np.maximum(drawn, 1e-3) / np.nanmedian(details)))
    return candidates[int(np.nan_to_num(distance).argmin())]


def drawn_image(drawing: DrawnMouth, mesh: Float32, unit: float) -> Mouth:
    """An image of the drawn inside of a ``mesh`` (468, 3) that faces the camera, ``unit`` pixels per eye distance."""
    low = mesh[list(LIPS_INNER), :2].min(0) * unit - 2
    pose = Pose(np.array([unit], np.float32), np.eye(3, dtype=np.float32)[None], np.append(-low, 0)[None])
    points = np.asarray(mesh[:, :2] * unit - low, np.float32)
    right, bottom = np.ceil(points[list(LIPS_INNER)].max(0)).astype(int) + 2
    lips = measure_lips(points, unit)
    image = drawing.posed(pose, mesh, 0).draw(lips, Box(0, 0, int(right), int(bottom)))
    return Mouth(quantise(image, drawing.depth), lips, points)


def cavity_colour(donors: Sequence[Donor], lips: Float32, black: Float32) -> Float32:
    """The colour of the mouth's cavity, (3,) Y'CbCr: the darkest 4 % inside open donors, or else of the lips.

    ``lips`` and ``black`` (3,): see ``Appearance``.
    """
    unit = float(black[1]) / 128
    open_mouths = [sample_inside(donor.mouth)[1].reshape(-1, 3) for donor in donors if donor.gap > OPEN_DONOR]
    if not open_mouths:
        return np.asarray(black + (lips - black) * CAVITY_LIGHT, np.float32)
    pixels = np.concatenate(open_mouths)
    dark = pixels[pixels[:, 0] <= np.percentile(pixels[:, 0], 4)].mean(0)
    most = black[0] + MOST_CAVITY_LIGHT * (lips[0] - black[0])  # teeth that fill the gap leave no cavity to be seen
    dark[0] = max(min(dark[0], most), 20 * unit)
    return np.asarray(dark, np.float32)


def teeth_colour(donors: Sequence[Donor], lips: Float32, black: Float32) -> Float32 | None:
    """The colour of the teeth that open donors show, (3,) Y'CbCr; None if they show none."""
    found = [colour for donor in donors if donor.gap > OPEN_DONOR if (colour := _brightest(donor)) is not None]
    if not found:
        return None
    brightest = max(found, key=lambda colour: float(colour[0]))
    middle = black[2]
    teeth = brightest[2] - middle < TEETH_REDNESS * (lips[2] - middle) and brightest[0] > lips[0]
    return brightest if teeth else None


def _brightest(donor: Donor) -> Float32 | None:
    points, patch = donor.mouth.points, donor.mouth.patch
    if points is None:
        return None
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(points[list(LIPS_INNER)] * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    inside = np.asarray(patch[mask > 0], np.float32)
    if len(inside) < 12:
        return None
    return np.asarray(inside[inside[:, 0] >= np.percentile(inside[:, 0], TEETH_PERCENTILE)].mean(0), np.float32)
