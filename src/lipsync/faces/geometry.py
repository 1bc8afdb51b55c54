"""Which landmark is what, and how a face is brought into one pose.

The mesh is MediaPipe's: 468 skin points, then 10 of the irises. The face frame is the rest mesh's own: x to the
picture's right, y down, z away from the viewer, the unit the distance between the outer corners of the eyes (IOD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """Where a head is: ``point_in_picture = scale * rotation @ point_in_face + shift``, one row of each per frame."""

    scale: Float32  # (n,) pixels per IOD
    rotation: Float32  # (n, 3, 3)
    shift: Float32  # (n, 3) pixels

    def to_face(self, points: Float32) -> Float32:
        """Picture points (n, k, 3) in pixels to the face frame, in IOD."""
        return np.asarray(((points - self.shift[:, None]) @ self.rotation) / self.scale[:, None, None], np.float32)

    def to_picture(self, points: Float32) -> Float32:
        """Face points (n, k, 3) or (k, 3) in IOD to the picture, in pixels."""
        turned = points @ np.swapaxes(self.rotation, 1, 2)
        return np.asarray(turned * self.scale[:, None, None] + self.shift[:, None], np.float32)


def eye_distance(landmarks: Float32) -> float:
    """Distance between the outer corners of the eyes, in the unit of the points: (>= 468, 2), or with depth (., 3)."""
    return float(np.linalg.norm(landmarks[LEFT_EYE] - landmarks[RIGHT_EYE]))


def fit_pose(points: Float32, rest: Float32, using: tuple[int, ...] = STABLE) -> Pose:
    """The similarity that carries the rest mesh (>= 468, 3) onto each face of ``points`` (n, >= 468, 3), least squares.

    Closed form of Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, for all frames at once.
    """
    chosen = list(using)
    target, source = points[:, chosen].astype(np.float64), rest[chosen].astype(np.float64)
    target_mean, source_mean = target.mean(1, keepdims=True), source.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (a**2).sum()
    shift = target_mean[:, 0] - scale[:, None] * (rotation @ source_mean)
    return Pose(scale.astype(np.float32), rotation.astype(np.float32), shift.astype(np.float32))


def opening(face_points: Float32) -> Float32:
    """Distance of the inner lips, (n, >= 468, 3) -> (n,), in the unit of the points."""
    gap = face_points[:, INNER_TOP] - face_points[:, INNER_BOTTOM]
    return np.asarray(np.linalg.norm(gap, axis=-1), np.float32)


def mouth_width(face_points: Float32) -> Float32:
    """Distance of the outer mouth corners, (n, >= 468, 3) -> (n,), in the unit of the points."""
    across = face_points[:, RIGHT_CORNER] - face_points[:, LEFT_CORNER]
    return np.asarray(np.linalg.norm(across, axis=-1), np.float32)
