"""Which shape the lower face takes: the speaker's closed mouth, plus the motion, on the frame's own head."""

from __future__ import annotations

import numpy as np

from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, MESH, opening
from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

NOSE_BASE, CHIN_TIP = 2, 152
NEAR, FAR = 0.10, 0.62  # eye distances from the lips: all motion up to the first, none from the second on
UPPER_SHARE = 0.3  # how much of a gap the upper lip closes
FOLLOWS = 0.15  # eye distances from the lip's edge at which the skin follows it half
UPPER_INNER, LOWER_INNER = LIPS_INNER[1:10], LIPS_INNER[:10:-1]


def influence(rest: Float32) -> Float32:
    """Per mesh point of the rest mesh (468, 3) how much of the motion it takes, (468,) in 0..1.

    One at lips and chin, fading to zero towards cheekbones and ears, zero from the nose up.
    """
    outline = rest[list(LIPS_OUTER), :2]
    distance = np.linalg.norm(rest[:MESH, None, :2] - outline[None], axis=-1).min(1)
    weight = smoothstep((FAR - distance) / (FAR - NEAR))
    lips_bottom, chin = outline[:, 1].max(), rest[CHIN_TIP, 1]
    along = np.abs(rest[:MESH, 0] - rest[CHIN_TIP, 0])
    jaw = smoothstep((0.55 - along) / 0.35) * smoothstep((rest[:MESH, 1] - lips_bottom) / 0.1)
    weight = np.maximum(weight, jaw * (rest[:MESH, 1] <= chin + 0.2))
    above = rest[NOSE_BASE, 1] - rest[:MESH, 1]
    weight = weight * smoothstep(1 - (above + 0.02) / 0.12)
    weight[list(LIPS_OUTER + LIPS_INNER)] = 1
    return np.asarray(weight, np.float32)


def closed_mouth(faces: Float32, share: float = 0.2) -> Float32:
    """The mean of the least open share of the pose-normalised faces (n, >= 468, 3), lips brought together: (468, 3)."""
    gaps = opening(faces)
    least = np.argsort(gaps)[: max(3, int(len(gaps) * share))]
    return close_lips(faces[least, :MESH].mean(0))


def close_lips(face: Float32, gap: float = 0.002) -> Float32:
    """Bring the inner lips of one mesh (468, 3) to within ``gap``: the lower lip comes up more than the upper down.

    What lies around follows, the less the further it is from the lips, so that nothing folds over.
    """
    upper, lower = face[list(UPPER_INNER)], face[list(LOWER_INNER)]
    across = lower - upper
    width = np.linalg.norm(across, axis=1, keepdims=True)
    excess = across * np.maximum(1 - gap / np.maximum(width, 1e-6), 0)
    middle = np.interp(face[:, 0], upper[:, 0], (upper[:, 1] + lower[:, 1]) / 2)
    above = face[:, 1] < middle
    above[list(UPPER_INNER)], above[list(LOWER_INNER)] = True, False
    down, up = _follow(face, upper, UPPER_SHARE * excess), _follow(face, lower, (UPPER_SHARE - 1) * excess)
    return np.asarray(face + np.where(above[:, None], down, up), np.float32)


def _follow(face: Float32, edge: Float32, moved: Float32) -> Float32:
    """How every mesh point follows the points of a lip's ``edge`` (9, 3) that are ``moved`` (9, 3)."""
    distance = np.linalg.norm(face[:, None, :2] - edge[None, :, :2], axis=-1)
    share = 1 / (1 + (distance.min(1) / FOLLOWS) ** 2)
    closeness = 1 / (distance + 1e-3) ** 2
    return np.asarray(share[:, None] * (closeness @ moved) / closeness.sum(1, keepdims=True), np.float32)


def opened(face: Float32, gap: float) -> Float32:
    """One mesh (468, 3) with the lower lip let down in an arch of depth ``gap``, for what needs a hole."""
    lower = face[list(LOWER_INNER)]
    place = np.linspace(-1, 1, len(lower) + 2)[1:-1]
    moved = np.zeros_like(lower)
    moved[:, 1] = gap * np.sqrt(1 - place**2)
    below = face[:, 1] > np.interp(face[:, 0], lower[:, 0], lower[:, 1]) - 1e-6
    below[list(UPPER_INNER)], below[list(LOWER_INNER)] = False, True
    return np.asarray(face + np.where(below[:, None], _follow(face, lower, moved), 0), np.float32)
