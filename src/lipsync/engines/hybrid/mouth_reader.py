"""What mouth a small generated face has, told by the landmark network as the motion that would make it."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.engines.wav2lip.crop import SIDE, Crop
from lipsync.faces.geometry import (
    CHIN,
    INNER_BOTTOM,
    INNER_TOP,
    LEFT_CORNER,
    LIPS,
    MESH,
    RIGHT_CORNER,
    canonical_face,
    fit_pose,
)
from lipsync.faces.landmarker import MESH_SIDE, Landmarker
from lipsync.faces.region import Region
from lipsync.frames.blend import edge_ramp
from lipsync.frames.rgb import warp_rgb
from lipsync.speech.motion import Basis
from lipsync.types import Float32, Frame

POINTS = (*LIPS, CHIN, 148, 377, 176, 400, 149, 378)  # lips and chin, which the basis was made of
# How much more what speech is read from counts than any other point: how far the mouth is open, and how wide it is.
COUNTS = {INNER_TOP: 8.0, INNER_BOTTOM: 8.0, RIGHT_CORNER: 4.0, LEFT_CORNER: 4.0}
NOISE = 0.01  # eye distances by which a point may be off: measured, or because no two mouths move alike
RIM, SEAM = 4, 8  # pixels of the generated face over which it fades: at its edge, and below the middle


def shown(picture: Frame, region: Region, crop: Crop, made: Float32) -> Float32:
    """The frame's face as the landmark network takes it, with the lower half that was ``made``, (3, 96, 96) BGR.

    The upper half, which the generator only hands on, stays as fine as the frame has it, and gives a steadier pose.
    """
    matrix = region.matrix(MESH_SIDE)
    size = (MESH_SIDE, MESH_SIDE)
    view = warp_rgb(picture, matrix, size)
    where = np.vstack([crop.matrix(), [0, 0, 1]])
    where = np.linalg.solve(where, np.vstack([matrix, [0, 0, 1]]))[:2]
    rgb = np.ascontiguousarray(made[::-1].transpose(1, 2, 0))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    look = cv2.warpAffine(rgb, where, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(_lower_half(), where, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(np.clip(view + (look - view) * share[..., None], 0, 1), np.float32)


def _lower_half() -> Float32:
    across = edge_ramp(SIDE, RIM)
    down = np.clip((np.arange(SIDE) - SIDE / 2) / SEAM, 0, 1)
    return np.asarray(np.minimum(down, across)[:, None] * across, np.float32)


class MouthMeasurement:
    """Turns faces into motion. ``closed`` (468, 3): the speaker's closed mouth, which motion is told from."""

    def __init__(self, landmarker: Landmarker, basis: Basis, closed: Float32) -> None:
        self._landmarker, self._rest = landmarker, canonical_face()
        points = list(POINTS)
        self._weight = np.array([COUNTS.get(point, 1.0) for point in POINTS])[:, None]
        self._still = (closed + basis.mean)[points]
        shapes = (basis.components[:, points] * self._weight).reshape(len(basis.components), -1)
        # Least squares where a coefficient's spread is 1 before anything was seen: those that noise drowns stay small.
        self._solve = np.linalg.solve(shapes @ shapes.T + NOISE**2 * np.eye(len(shapes)), shapes).T

    def seen(self, view: Float32) -> Float32 | None:
        """The motion (K,) of what ``shown`` gives; None if the network sees no face in it."""
        face = self._landmarker.in_view(view)
        return None if face is None else self.measured(face.landmarks[None])[0]

    def measured(self, faces: Float32) -> Float32:
        """The motion (n, K) of landmarks (n, >= 468, 3) in pixels."""
        meshes = fit_pose(faces, self._rest).to_face(faces[:, :MESH])
        moved = (meshes[:, list(POINTS)] - self._still) * self._weight
        return np.asarray(moved.reshape(len(faces), -1) @ self._solve, np.float32)
