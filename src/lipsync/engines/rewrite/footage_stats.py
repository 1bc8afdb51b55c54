"""What the engine remembers of the footage: a fair sample of the speaker's faces, and pictures of the mouth."""

from __future__ import annotations

from collections import deque

import numpy as np

from lipsync.engines.reservoir import Reservoir
from lipsync.engines.rewrite.donors import DonorPictures
from lipsync.engines.rewrite.shape import closed_mouth
from lipsync.faces.geometry import MESH, fit_pose
from lipsync.types import Face, Float32, Frame

SAMPLE = 500
GLANCE = 8  # frames between two looks at the skin
CHEEKS = (50, 101, 205, 280, 330, 425)


class FootageStats:
    """Fed with every frame of the first pass; its memory does not grow with the footage's length."""

    def __init__(self, rest: Float32) -> None:
        self._rest = rest
        self._faces: Reservoir[Float32] = Reservoir(SAMPLE)
        self.shelf = DonorPictures()
        self._skins: deque[Float32] = deque(maxlen=SAMPLE)
        self.depth = 8

    def observe(self, picture: Frame, face: Face) -> None:
        points = face.landmarks[:MESH]
        pose = fit_pose(points[None], self._rest)
        shape = pose.to_face(points[None])[0]
        self._faces.offer(lambda: shape)
        if self._faces.seen % GLANCE == 1:
            self._skins.append(skin_colour(picture, points))
        self.depth = picture.depth
        self.shelf.offer(picture, points[:, :2], shape, pose)

    def closed(self) -> Float32:
        """The speaker's closed mouth, (468, 3) in the face frame."""
        return closed_mouth(np.stack(self._faces.items))

    def skin(self) -> Float32:
        """The mean colour of the cheeks, (3,) Y'CbCr in code values."""
        return np.asarray(np.mean(self._skins, axis=0), np.float32)


def skin_colour(picture: Frame, points: Float32) -> Float32:
    """Y'CbCr (3,) under the cheek points of a mesh (>= 468, >= 2) in pixels."""
    height, width = picture.y.shape
    x = np.clip(points[list(CHEEKS), 0], 0, width - 1).astype(int)
    y = np.clip(points[list(CHEEKS), 1], 0, height - 1).astype(int)
    half = y // 2, x // 2
    return np.asarray([picture.y[y, x].mean(), picture.u[half].mean(), picture.v[half].mean()], np.float32)
