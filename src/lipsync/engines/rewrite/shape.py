"""Shapes of the lower face: how far each point follows the motion, and opened lips."""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, MESH
from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

NOSE_BASE, CHIN_TIP = 2, 152
FULL_MOTION_DISTANCE, NO_MOTION_DISTANCE = 0.10, 0.62  # eye distances from the lips
HALF_FOLLOW_DISTANCE: Final = 0.15  # eye distances from the lip at which the skin follows it by half
UPPER_INNER, LOWER_INNER = LIPS_INNER[1:10], LIPS_INNER[:10:-1]


def influence(canonical: Float32) -> Float32:
    """The share of the motion that each point of the canonical face (468, 3) follows, (468,) in 0..1.

    It is 1 at lips and chin, fades to 0 towards the cheekbones and ears, and is 0 from the nose upwards.
    """
    outline = canonical[list(LIPS_OUTER), :2]
    distance = np.linalg.norm(canonical[:MESH, None, :2] - outline[None], axis=-1).min(1)
    span = NO_MOTION_DISTANCE - FULL_MOTION_DISTANCE
    weight = smoothstep((NO_MOTION_DISTANCE - distance) / span)
    lips_bottom, chin = outline[:, 1].max(), canonical[CHIN_TIP, 1]
    aside = np.abs(canonical[:MESH, 0] - canonical[CHIN_TIP, 0])
    jaw = smoothstep((0.55 - aside) / 0.35) * smoothstep((canonical[:MESH, 1] - lips_bottom) / 0.1)
    weight = np.maximum(weight, jaw * (canonical[:MESH, 1] <= chin + 0.2))
    above = canonical[NOSE_BASE, 1] - canonical[:MESH, 1]
    weight = weight * smoothstep(1 - (above + 0.02) / 0.12)
    weight[list(LIPS_OUTER + LIPS_INNER)] = 1
    return np.asarray(weight, np.float32)


def open_lips(face: Float32, gap: float) -> Float32:
    """A mesh (468, 3) with the lower lip lowered by an arch of height ``gap``."""
    lower = face[list(LOWER_INNER)]
    position = np.linspace(-1, 1, len(lower) + 2)[1:-1]
    moved = np.zeros_like(lower)
    moved[:, 1] = gap * np.sqrt(1 - position**2)
    below = face[:, 1] > np.interp(face[:, 0], lower[:, 0], lower[:, 1]) - 1e-6
    below[list(UPPER_INNER)], below[list(LOWER_INNER)] = False, True
    return np.asarray(face + np.where(below[:, None], follow(face, lower, moved), 0), np.float32)


def follow(face: Float32, edge: Float32, moved: Float32) -> Float32:
    """The displacement (468, 3) of a mesh's points when ``edge`` (n, 3), points of the lips, are ``moved`` (n, 3).

    Inverse distance weighting (Shepard, "A two-dimensional interpolation function for irregularly-spaced data", ACM
    National Conference 1968), attenuated with the distance from the lips.
    """
    distance = np.linalg.norm(face[:, None, :2] - edge[None, :, :2], axis=-1)
    share = 1 / (1 + (distance.min(1) / HALF_FOLLOW_DISTANCE) ** 2)
    closeness = 1 / (distance + 1e-3) ** 2
    return np.asarray(share[:, None] * (closeness @ moved) / closeness.sum(1, keepdims=True), np.float32)
