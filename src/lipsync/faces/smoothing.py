"""Landmarks over time, calmed without lag and without flattening what the lips do.

Local polynomial fits, centred on each frame (Savitzky and Golay, "Smoothing and Differentiation of Data by Simplified
Least Squares Procedures", Analytical Chemistry 36(8), 1964): the head's pose over a long window, the face's shape over
a short one. What a fit leaves over is dropped where it is no larger than the network's noise and kept where it is
motion (shrinkage after James and Stein, "Estimation with quadratic loss", 1961), so that quick nods and lips keep their
place.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import LIPS, STABLE, Pose, eye_distance, fit_pose
from lipsync.types import Float32

POSE_SECONDS, POSE_ORDER = 0.36, 2
SHAPE_SECONDS, SHAPE_ORDER = 0.28, 4
POSE_NOISE, SHAPE_NOISE = 0.005, 0.003  # what a fit leaves over on a still face, in eye distances, with some reserve


def reach(rate: Fraction) -> int:
    """How many frames on each side of a frame have a say in it."""
    return max(_half(POSE_SECONDS, POSE_ORDER, rate), _half(SHAPE_SECONDS, SHAPE_ORDER, rate))


def smooth(points: Float32, rest: Float32, rate: Fraction) -> Float32:
    """A gapless run of one face's landmarks, (n, 478, 3) in pixels, smoothed. ``rest`` (478, 3): any face of that
    person, against which poses are measured. Fewer than three frames come back as they are."""
    if len(points) < 3:
        return points
    pose = fit_pose(points, (rest - rest.mean(0)) / eye_distance(rest))
    shapes = pose.to_face(points)
    flat = local_fit(shapes.reshape(len(points), -1), _half(SHAPE_SECONDS, SHAPE_ORDER, rate), SHAPE_ORDER)
    calm = flat.reshape(points.shape)
    steady = _smooth_pose(pose, _half(POSE_SECONDS, POSE_ORDER, rate))
    over = (shapes - calm)[:, LIPS]
    shape = calm + shrinkage(over, SHAPE_NOISE) * (shapes - calm)
    head = shape[:, STABLE]
    over = (pose.to_frame(head) - steady.to_frame(head)) / steady.scale[:, None, None]
    kept = shrinkage(over, POSE_NOISE)
    return np.asarray((1 - kept) * steady.to_frame(shape) + kept * pose.to_frame(shape), np.float32)


def shrinkage(over: Float32, noise: float) -> Float32:
    """The share of what is left over (n, k, 3) that is no noise, (n, 1, 1) in 0..1."""
    energy = (over[..., :2] ** 2).sum(-1).mean(-1)
    padded = np.pad(energy, 1, mode="edge")
    local = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(np.clip(1 - noise**2 / np.maximum(local, 1e-12), 0, 1), np.float32)[:, None, None]


def local_fit(rows: NDArray[np.floating], half: int, order: int) -> Float32:
    """Each row of (n, k) replaced by the value of a polynomial fitted to the ``half`` rows on either side and itself;
    near the ends to the first or last full window."""
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
    for place, weight in enumerate(hat[half]):
        middle += np.float32(weight) * rows[place : place + len(middle)]
    result[half : count - half] = middle
    return result


def _smooth_pose(pose: Pose, half: int) -> Pose:
    count = len(pose.scale)
    numbers = np.column_stack([np.log(pose.scale), pose.shift, pose.rotation.reshape(count, 9)])
    calm = local_fit(numbers, half, POSE_ORDER)
    u, _, vt = np.linalg.svd(calm[:, 4:].reshape(count, 3, 3))
    return Pose(np.exp(calm[:, 0]), np.asarray(u @ vt, np.float32), calm[:, 1:4])


def _half(seconds: float, order: int, rate: Fraction) -> int:
    frames = round(seconds * float(rate))
    return max(frames // 2, order // 2 + 1)
