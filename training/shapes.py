"""Fit the motion basis to tracked faces: remove pose and closed mouth, then principal components.

Modelling a face's shape as a mean plus principal components follows Cootes, Taylor, Cooper and Graham, "Active Shape
Models", Computer Vision and Image Understanding 61(1), 1995.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import Delaunay

from lipsync.faces import geometry
from lipsync.speech.motion import Basis
from lipsync.types import Float32

COMPONENTS = 12
CHIN = (152, 148, 377, 176, 400, 149, 378)
POINTS = geometry.LIPS + CHIN
MEASURED = (geometry.INNER_TOP, geometry.INNER_BOTTOM, geometry.RIGHT_CORNER, geometry.LEFT_CORNER)
FLIP = np.array([-1, 1, 1], np.float32)


@dataclass(frozen=True, slots=True)
class Frontal:
    """The average face (468, 3), symmetric, facing the viewer, eyes level. Point i is the mirror image of mirror[i]."""

    mesh: Float32
    mirror: NDArray[np.int64]


def frontal_face(clips: Sequence[Float32]) -> Frontal:
    """The average face of all clips, each given as landmarks (n, >= 468, 3) in pixels."""
    mesh: Float32 = _unit(np.mean([_unit(clip[:, : geometry.MESH].mean(0)) for clip in clips], 0))
    for _ in range(3):
        aligned = [geometry.fit_pose(clip, mesh).to_face(clip[:, : geometry.MESH]).mean(0) for clip in clips]
        mesh = _unit(np.mean(aligned, 0))
    across = mesh[geometry.LEFT_EYE] - mesh[geometry.RIGHT_EYE]
    x = across / np.linalg.norm(across)
    z = np.cross(x, [0.0, 1.0, 0.0])
    z /= np.linalg.norm(z)
    mesh = np.asarray(mesh @ np.stack([x, np.cross(z, x), z]).T, np.float32)
    distance = np.linalg.norm(mesh[:, None] - (mesh * FLIP)[None], axis=-1)
    mirror = linear_sum_assignment(distance**2)[1]
    return Frontal(_unit((mesh + mesh[mirror] * FLIP) / 2), mirror)


def _unit(mesh: NDArray[np.floating]) -> Float32:
    eyes = mesh[[geometry.RIGHT_EYE, geometry.LEFT_EYE]]
    return np.asarray((mesh - eyes.mean(0)) / np.linalg.norm(eyes[1] - eyes[0]), np.float32)


def face_motion(clip: Float32, frontal: Frontal) -> tuple[Float32, Float32]:
    """One clip's displacement (n, 468, 3) from its closed mouth, and that mouth (468, 3).

    Each face is averaged with its mirror image, which removes one person's asymmetries. The closed mouth is the mean of
    the least open fifth of the frames.
    """
    mesh = geometry.fit_pose(clip, frontal.mesh).to_face(clip[:, : geometry.MESH])
    mesh = np.asarray((mesh + mesh[:, frontal.mirror] * FLIP) / 2, np.float32)
    closed = mesh[np.argsort(geometry.opening(mesh))[: max(5, len(mesh) // 5)]].mean(0)
    return mesh - closed, closed


def fit_basis(motion: Sequence[Float32], closed: Sequence[Float32]) -> Basis:
    """Principal components of the lips and chin over all clips, with the whole mesh regressed on them."""
    displaced = np.concatenate(list(motion))
    weight = np.ones((len(POINTS), 1), np.float32)
    weight[[POINTS.index(point) for point in MEASURED]] = 2.0
    chosen = (displaced[:, list(POINTS)] * weight).reshape(len(displaced), -1)
    centre = chosen.mean(0)
    axes = np.linalg.svd((chosen - centre)[:: max(1, len(chosen) // 20_000)], full_matrices=False)[2][:COMPONENTS]
    scores = (chosen - centre) @ axes.T
    sd = scores.std(0)
    design = np.c_[np.ones(len(scores)), scores / sd]
    fitted = np.linalg.lstsq(design, displaced.reshape(len(displaced), -1), rcond=None)[0]
    fitted = fitted.reshape(-1, geometry.MESH, 3).astype(np.float32)
    mean, components = fitted[0], fitted[1:]
    at_lips = components[:, list(POINTS)].reshape(len(components), -1)
    neutral = -np.linalg.lstsq(at_lips.T, mean[list(POINTS)].ravel(), rcond=None)[0]
    opened = np.concatenate(list(motion)) + mean_face(closed)
    gap = geometry.opening(opened)
    triangles = triangulate(opened[gap >= np.percentile(gap, 97)].mean(0))
    return Basis(mean, components, sd.astype(np.float32), neutral.astype(np.float32), triangles)


def mean_face(closed: Sequence[Float32]) -> Float32:
    """Average closed mouths (468, 3) in the face frame: the canonical face of a training set."""
    return np.asarray(np.mean(list(closed), 0), np.float32)


def coefficients(motion: Float32, basis: Basis) -> Float32:
    """The coefficients (n, K) that fit ``motion`` (n, 468, 3) best at the lips and chin (least squares)."""
    weight = np.ones((len(POINTS), 1), np.float32)
    weight[[POINTS.index(point) for point in MEASURED]] = 2.0
    shapes = (basis.components[:, list(POINTS)] * weight).reshape(len(basis.components), -1)
    target = ((motion - basis.mean)[:, list(POINTS)] * weight).reshape(len(motion), -1)
    return np.asarray(np.linalg.lstsq(shapes.T, target.T, rcond=None)[0].T, np.float32)


def triangulate(opened: Float32) -> NDArray[np.int32]:
    """Delaunay triangles (n, 3) of an open-mouthed mesh (468, 3) in front view, none of them across the mouth."""
    flat = opened[:, :2].astype(np.float64)
    ring = geometry.LIPS_INNER
    upper, lower = set(ring[1:10]), set(ring[11:])
    kept = []
    for triangle in Delaunay(flat).simplices:
        corners = set(triangle.tolist())
        across = bool(corners & upper) and bool(corners & lower)
        if not (across or corners <= set(ring) or _inside(flat[triangle].mean(0), flat[list(ring)])):
            kept.append(triangle)
    return np.asarray(kept, np.int32)


def _inside(point: NDArray[np.float64], polygon: NDArray[np.float64]) -> bool:
    """Whether the point is inside the polygon: a ray from it crosses the edges an odd number of times."""
    a, b = polygon, np.roll(polygon, 1, 0)
    spans = (a[:, 1] > point[1]) != (b[:, 1] > point[1])
    a, b = a[spans], b[spans]
    crossing = a[:, 0] + (b[:, 0] - a[:, 0]) * (point[1] - a[:, 1]) / (b[:, 1] - a[:, 1])
    return bool((crossing > point[0]).sum() % 2)
