"""Measure the mouth of a face's mesh as motion coefficients."""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.faces.geometry import CHIN, INNER_BOTTOM, INNER_TOP, LEFT_CORNER, LIPS, RIGHT_CORNER
from lipsync.speech.agreement import MouthMeasures
from lipsync.speech.motion import Basis
from lipsync.types import Float32

POINTS: Final = (*LIPS, CHIN, 148, 377, 176, 400, 149, 378)  # lips and chin, from which the basis was computed
POINT_WEIGHTS: Final = {INNER_TOP: 8.0, INNER_BOTTOM: 8.0, RIGHT_CORNER: 4.0, LEFT_CORNER: 4.0}  # 1.0 for the others
NOISE: Final = 0.01  # eye distances: standard deviation of a point, from the network and from the basis


class MeshReader:
    """Fits motion coefficients to meshes. ``closed`` (468, 3): the speaker's closed mouth, the origin of the motion."""

    def __init__(self, basis: Basis, closed: Float32) -> None:
        points = list(POINTS)
        self._weights = np.array([POINT_WEIGHTS.get(point, 1.0) for point in POINTS])[:, None]
        self._origin = (closed + basis.mean)[points]
        shapes = (basis.components[:, points] * self._weights).reshape(len(basis.components), -1)
        # Regularised least squares: coefficients have a standard deviation of 1, points an error of NOISE.
        self._solve = np.linalg.solve(shapes @ shapes.T + NOISE**2 * np.eye(len(shapes)), shapes).T

    def measure(self, meshes: Float32) -> Float32:
        """The motion (n, K) of meshes (n, >= 468, 3) in the face frame."""
        displacement = (meshes[:, list(POINTS)] - self._origin) * self._weights
        return np.asarray(displacement.reshape(len(meshes), -1) @ self._solve, np.float32)


def measures_of(basis: Basis) -> MouthMeasures:
    """How each coefficient of a basis changes the opening and the width of the mouth."""
    gap = basis.components[:, INNER_BOTTOM, 1] - basis.components[:, INNER_TOP, 1]
    across = basis.components[:, LEFT_CORNER, 0] - basis.components[:, RIGHT_CORNER, 0]
    return MouthMeasures(np.stack([gap, across], 1).astype(np.float64), basis.neutral)
