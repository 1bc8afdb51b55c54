"""Where the teeth of both jaws are in an image, and how they map to those of another image of the same head.

The upper teeth are fixed to the skull, so the head's pose places them (Garrido et al., "VDub: Modifying Face Video of
Actors for Plausible Visual Alignment to a Dubbed Audio Track", Computer Graphics Forum 34(2), 2015). The lower teeth
and the tongue follow the lower jaw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lipsync.faces.geometry import LIPS_INNER, Pose
from lipsync.types import Float32

TEETH_BEHIND_LIPS: Final = 0.05  # eye distances
UPPER_LIP: Final = (312, 13, 82, 311, 81)  # the middle of the upper lip's inner edge
LOWER_LIP: Final = (317, 14, 87, 402, 178)  # the middle of the lower lip's inner edge


@dataclass(frozen=True, slots=True)
class JawMaps:
    """Affine maps of a target's pixels, (x, y, 1).

    ``upper`` and ``lower`` (2, 3): to the donor's pixels, for the teeth of each jaw. ``below`` (3,): to how far a pixel
    is below the edge of the upper teeth, in eye distances. ``parted``: the donor shows that edge.
    """

    upper: Float32
    lower: Float32
    below: Float32
    parted: bool = False


@dataclass(frozen=True, slots=True)
class Jaws:
    """``skull`` (2, 3): from the plane of the upper teeth in the face frame, (x, y, 1) in eye distances, to pixels.

    ``lower`` (2,): the lower jaw in that plane. ``edge`` and ``top``: y of the edge of the upper teeth, NaN
    if unknown, and of the upper lip. ``parted``: the image shows that edge, with less light below it.
    """

    skull: Float32
    lower: Float32
    edge: float
    top: float
    parted: bool = False

    def maps_to(self, donor: Jaws) -> JawMaps:
        """The maps to the pixels of a ``donor``."""
        inverse = np.linalg.inv(self.skull[:, :2])
        turn = donor.skull[:, :2] @ inverse
        upper = np.column_stack([turn, donor.skull[:, 2] - turn @ self.skull[:, 2]]).astype(np.float32)
        lower = upper.copy()
        lower[:, 2] += donor.skull[:, :2] @ (donor.lower - self.lower)
        below = np.append(inverse[1], -inverse[1] @ self.skull[:, 2] - donor.edge)
        return JawMaps(upper, lower, below.astype(np.float32), donor.parted)

    def height(self, points: Float32) -> Float32:
        """y in the plane of the upper teeth of ``points`` (n, 2) in pixels, (n,)."""
        inverse = np.linalg.inv(self.skull[:, :2])
        return np.asarray((points - self.skull[:, 2]) @ inverse[1], np.float32)


def measure_jaws(pose: Pose, face: Float32, left: float = 0, top: float = 0) -> Jaws:
    """The jaws of a face-frame mesh (468, 3) on a head (of one frame), in pixels from ``left`` and ``top``.

    The edge of the teeth is unknown.
    """
    lips, lower = face[list(LIPS_INNER)], face[list(LOWER_LIP), :2].mean(0)
    rotation, scale = pose.rotation[0], pose.scale[0]
    behind = float(lips[:, 2].mean()) + TEETH_BEHIND_LIPS
    shift = pose.shift[0, :2] - np.array([left, top], np.float32) + scale * rotation[:2, 2] * np.float32(behind)
    skull = np.column_stack([scale * rotation[:2, :2], shift]).astype(np.float32)
    top = float(face[list(UPPER_LIP), 1].mean())
    return Jaws(skull, np.asarray(lower, np.float32), np.nan, top)
