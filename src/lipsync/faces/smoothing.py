"""Smooth landmarks over time without lag and without damping the lips.

Local polynomial fits, centred on each frame (Savitzky and Golay, "Smoothing and Differentiation of Data by Simplified
Least Squares Procedures", Analytical Chemistry 36(8), 1964): the head's pose over a long window, the face's shape over
a short one. Residuals within the network's noise are dropped, larger ones are motion and kept (shrinkage after James
and Stein, "Estimation with quadratic loss", 1961), so that quick nods and lip movements keep their extent.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LIPS, STABLE, Pose, eye_distance, fit_pose
from lipsync.types import Float32

POSE_SECONDS, POSE_ORDER = 0.36, 2
SHAPE_SECONDS, SHAPE_ORDER = 0.28, 4
POSE_NOISE, SHAPE_NOISE = 0.005, 0.003  # residuals on a still face, in eye distances, with some reserve


def reach(rate: Fraction) -> int:
    """Return how many frames on each side influence a frame."""
    return max(_half_window(POSE_SECONDS, POSE_ORDER, rate), _half_window(SHAPE_SECONDS, SHAPE_ORDER, rate))


def smooth(points: Float32, reference: Float32, rate: Fraction) -> Float32:
    """Smooth the landmarks (n, 478, 3), in pixels, of one face in consecutive frames.

    ``reference`` (478, 3): any face of the same person, relative to which poses are measured. Fewer than three frames
    are returned unchanged.
    """
    if len(points) < 3:
        return points
    pose = fit_pose(points, (reference - reference.mean(0)) / eye_distance(reference))
    shapes = pose.to_face(points)
    half = _half_window(SHAPE_SECONDS, SHAPE_ORDER, rate)
    fitted = local_fit(shapes.reshape(len(points), -1), half, SHAPE_ORDER).reshape(points.shape)
    residual = shapes - fitted
    shape = fitted + shrinkage(residual[:, LIPS], SHAPE_NOISE) * residual
    steady = _smooth_pose(pose, _half_window(POSE_SECONDS, POSE_ORDER, rate))
    head = shape[:, STABLE]
    residual = (pose.to_frame(head) - steady.to_frame(head)) / steady.scale[:, None, None]
    share = shrinkage(residual, POSE_NOISE)
    return np.asarray((1 - share) * steady.to_frame(shape) + share * pose.to_frame(shape), np.float32)


def shrinkage(residual: Float32, noise: float) -> Float32:
    """Return the share of residuals (n, k, 3) that exceeds ``noise``, their standard deviation: (n, 1, 1), 0..1."""
    energy = (residual[..., :2] ** 2).sum(-1).mean(-1)
    padded = np.pad(energy, 1, mode="edge")
    local = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(np.clip(1 - noise**2 / np.maximum(local, 1e-12), 0, 1), np.float32)[:, None, None]


def local_fit(rows: NDArray[np.floating], half: int, order: int) -> Float32:
    """Replace each row of (n, k) by the value of a polynomial fitted to it and ``half`` rows on each side.

    Near the ends, the polynomial of the first or last full window is used.
    """
    count = len(rows)
    half = min(half, (count - 1) // 2)
    if 2 * half <= order:
        return np.asarray(rows, np.float32)
    window = np.arange(-half, half + 1)
    powers = np.vander(window, order + 1, increasing=True).astype(float)
    hat = powers @ np.linalg.pinv(powers)
    result = np.empty(rows.shape, np.float32)
    result[:half] = hat[:half] @ rows[: 2 * half + 1]
    result[count - half :] = hat[half + 1 :] @ rows[count - 2 * half - 1 :]
    middle = np.zeros((count - 2 * half, rows.shape[1]), np.float32)
    for offset, weight in enumerate(hat[half]):
        middle += np.float32(weight) * rows[offset : offset + len(middle)]
    result[half : count - half] = middle
    return result


def _smooth_pose(pose: Pose, half: int) -> Pose:
    count = len(pose.scale)
    numbers = np.column_stack([np.log(pose.scale), pose.shift, pose.rotation.reshape(count, 9)])
    fitted = local_fit(numbers, half, POSE_ORDER)
    u, _, vt = np.linalg.svd(fitted[:, 4:].reshape(count, 3, 3))
    return Pose(np.exp(fitted[:, 0]), np.asarray(u @ vt, np.float32), fitted[:, 1:4])


def _half_window(seconds: float, order: int, rate: Fraction) -> int:
    frames = round(seconds * float(rate))
    return max(frames // 2, order // 2 + 1)
