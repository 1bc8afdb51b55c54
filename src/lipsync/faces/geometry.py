"""Landmark indices, the face frame, and head poses.

The mesh is MediaPipe's: 468 skin points, then 10 of the irises. The face frame is that of the canonical face, which
faces the viewer with closed lips: x to the viewer's right, y down, z away from the viewer. Its unit is the distance
between the outer corners of the eyes (IOD).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib import resources

import numpy as np

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.types import Float32

MESH = 468
RIGHT_EYE, LEFT_EYE = 33, 263  # outer corners, the speaker's right and left
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = LIPS_OUTER + LIPS_INNER
INNER_TOP, INNER_BOTTOM, RIGHT_CORNER, LEFT_CORNER, CHIN = 13, 14, 61, 291, 152
# The jaw's outline from ear to ear, from the speaker's left to the right.
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
# Points that speech does not move: eye corners, nose bridge, forehead, temples.
STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 10, 151, 9, 8, 70, 300, 127, 356, 234, 454)


@dataclass(frozen=True, slots=True)
class Pose:
    """Head poses, one row per frame: ``point_in_frame = scale * rotation @ point_in_face + shift``."""

    scale: Float32  # (n,) pixels per IOD
    rotation: Float32  # (n, 3, 3)
    shift: Float32  # (n, 3) pixels

    def to_face(self, points: Float32) -> Float32:
        """Map points (n, k, 3) from frame pixels to the face frame, in IOD."""
        return np.asarray(((points - self.shift[:, None]) @ self.rotation) / self.scale[:, None, None], np.float32)

    def to_frame(self, points: Float32) -> Float32:
        """Map points (n, k, 3) or (k, 3) from the face frame, in IOD, to frame pixels: (n, k, 3)."""
        rotated = points @ np.swapaxes(self.rotation, 1, 2)
        return np.asarray(rotated * self.scale[:, None, None] + self.shift[:, None], np.float32)


def canonical_face() -> Float32:
    """Load the bundled canonical face: (468, 3) in the face frame. Raises ModelMissing, ModelCorrupt."""
    try:
        content = resources.files("lipsync.faces").joinpath("data/canonical_face.npy").read_bytes()
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float32)
    except FileNotFoundError as exc:
        raise ModelMissing("the bundled canonical face is missing; reinstall the package") from exc
    except (ValueError, EOFError) as exc:
        raise ModelCorrupt("the bundled canonical face is damaged; reinstall the package") from exc


def eye_distance(points: Float32) -> float:
    """Distance between the outer corners of the eyes of one face (>= 468, 2 or 3), in the unit of the points."""
    return float(np.linalg.norm(points[LEFT_EYE] - points[RIGHT_EYE]))


def fit_pose(points: Float32, mesh: Float32, using: tuple[int, ...] = STABLE) -> Pose:
    """Fit the similarity that maps ``mesh`` (>= 468, 3) onto each face of ``points`` (n, >= 468, 3), by least squares.

    ``using``: the landmarks that count. Closed form of Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns", IEEE PAMI 13(4), 1991, for all frames at once.
    """
    chosen = list(using)
    target, source = points[:, chosen].astype(np.float64), mesh[chosen].astype(np.float64)
    target_mean, source_mean = target.mean(1, keepdims=True), source.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (a**2).sum()
    shift = target_mean[:, 0] - scale[:, None] * (rotation @ source_mean)
    return Pose(scale.astype(np.float32), rotation.astype(np.float32), shift.astype(np.float32))


def fit_similarity(points: Float32, others: Float32) -> Float32:
    """The matrix (2, 3) that turns, scales and shifts ``points`` (n, 2) onto ``others`` (n, 2).

    It is the least-squares similarity transform (Umeyama, 1991), computed as a regression of complex numbers.
    """
    source, target = (np.asarray(some[:, 0] + 1j * some[:, 1], np.complex128) for some in (points, others))
    centred = source - source.mean()
    turn = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def opening(points: Float32) -> Float32:
    """Distance between the middle of the inner lips, (n, >= 468, 3) -> (n,), in the unit of the points."""
    gap = points[:, INNER_TOP] - points[:, INNER_BOTTOM]
    return np.asarray(np.linalg.norm(gap, axis=-1), np.float32)
