"""Mattes of the mouth's three layers: upper lip with the skin above, lower lip with the skin below, and the inside.

Each matte is the share of a pixel that its layer covers (alpha in Porter and Duff, "Compositing Digital Images",
SIGGRAPH 1984). The layers border on each other, so that the shares of a pixel add up to one: the layers are added with
these weights, and where the lips touch, nothing of the inside remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.mouth import Lips
from lipsync.frames.blend import smoothstep
from lipsync.types import Box, Float32

SAMPLES: Final = 64  # of a contour, from corner to corner
CONTACT_GAP, APART_GAP = 0.006, 0.02  # eye distances: lips closer than this touch; wider ones have no contact
CONTACT_REACH: Final = 0.014  # eye distances from the edges at which the shade of the contact has faded to 1/e
CONTACT_END: Final = 0.05  # mouth widths beyond the corners over which the contact ends
RAMP_PER_SIGMA: Final = 4.47  # width of a smoothstep edge that is as soft as a Gaussian of sigma 1 (equal variance)


@dataclass(frozen=True, slots=True)
class Contours:
    """The inner edges of the lips as smooth curves: ``heights`` (2, SAMPLES + 1), upper and lower.

    Heights are in pixels below the line between the corners, at equal steps of the position along the mouth.
    """

    lips: Lips
    heights: Float32

    @property
    def gaps(self) -> Float32:
        """The distance of the lips at each sample, (SAMPLES + 1,), in pixels."""
        return np.asarray(self.heights[1] - self.heights[0], np.float32)


def lip_contours(lips: Lips, openness: float = 1.0) -> Contours:
    """The contours of ``lips``; lips that overlap touch. ``openness`` 0..1: the share of the gap that is kept."""
    heights = np.stack([_smooth_curve(lips.upper), _smooth_curve(lips.lower)])
    heights[0] = np.minimum(heights[0], heights[1])
    closing = (1 - openness) / 2 * (heights[1] - heights[0])
    return Contours(lips, heights + np.stack([closing, -closing]))


@dataclass(frozen=True, slots=True)
class Mattes:
    """The weights of the layers in a box, each (h, w), 0..1; they add up to 1 at each pixel.

    ``contact`` (h, w): 1 where the lips touch, 0 where they are apart or far away.
    """

    upper: Float32
    inside: Float32
    lower: Float32
    contact: Float32


def layer_mattes(contours: Contours, box: Box, softness: float) -> Mattes:
    """The mattes of ``box``. ``softness``: sigma in pixels of the edges' blur."""
    lips = contours.lips
    position, height = lip_coordinates(lips, box)
    slopes = np.zeros_like(contours.heights)
    slopes[:, 1:-1] = (contours.heights[:, 2:] - contours.heights[:, :-2]) * np.float32(SAMPLES / 2 / lips.width)
    scale = 1 / (RAMP_PER_SIGMA * softness * np.hypot(1, slopes))
    table = np.concatenate([contours.heights, scale]).astype(np.float32).T[None]
    lookup = np.ascontiguousarray(np.clip(position, 0, 1) * np.float32(SAMPLES))
    curves = cv2.remap(np.ascontiguousarray(table), lookup, np.zeros_like(lookup), cv2.INTER_LINEAR)
    top, bottom, top_scale, bottom_scale = cv2.split(curves)
    below_top = smoothstep((height - top) * top_scale + np.float32(0.5))
    below_bottom = smoothstep((height - bottom) * bottom_scale + np.float32(0.5))
    below_bottom = np.minimum(below_bottom, below_top)
    distance = np.maximum(top - height, height - bottom)
    reach = float(np.hypot(CONTACT_REACH * lips.unit, softness))
    contact = _contact(position, (bottom - top) / np.float32(lips.unit), distance / np.float32(reach))
    return Mattes(1 - below_top, below_top - below_bottom, below_bottom, contact)


def _contact(position: Float32, gap: Float32, distance: Float32) -> Float32:
    """How much the lips touch at positions along the mouth.

    ``gap``: in eye distances; ``distance``: from the lips' edges, in units of the shade's reach.
    """
    touching = smoothstep((APART_GAP - gap) / (APART_GAP - CONTACT_GAP))
    between = smoothstep(1 - np.maximum(np.abs(position - 0.5) - 0.5, 0) / CONTACT_END)
    near = np.exp(-(np.maximum(distance, 0) ** 2))
    return np.asarray(touching * between * near, np.float32)


def lip_coordinates(lips: Lips, box: Box) -> tuple[Float32, Float32]:
    """For each pixel of ``box``: its position along the mouth (0..1 between the corners), and its height in pixels."""
    x = np.arange(box.left, box.right, dtype=np.float32)[None] - lips.origin[0]
    y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] - lips.origin[1]
    position = (x * lips.along[0] + y * lips.along[1]) / np.float32(lips.width)
    return position, x * lips.down[0] + y * lips.down[1]


def _spline(points: int, samples: int) -> Float32:
    """The weights (samples, points) of equidistant knots in equidistant samples of their spline.

    The spline of Catmull and Rom, "A class of local interpolating splines", 1974.
    """
    t = np.linspace(0, points - 1, samples)
    k = np.minimum(t.astype(int), points - 2)
    share = (t - k)[:, None]
    knots = np.eye(points)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = (padded[k + step] for step in range(4))
    bend = (3 * (b - c) + d - a) * share + (2 * a - 5 * b + 4 * c - d)
    return np.asarray(b + 0.5 * share * (c - a + share * bend), np.float32)


_SPLINE: Final = _spline(11, SAMPLES + 1)
STEPS: Final = np.linspace(0, 1, SAMPLES + 1)


def _smooth_curve(points: Float32) -> Float32:
    """Heights (SAMPLES + 1,) at equal steps along the mouth of the spline through ``points`` (11, 2)."""
    position, height = (_SPLINE @ points).T
    return np.asarray(np.interp(STEPS, np.maximum.accumulate(position), height), np.float32)
