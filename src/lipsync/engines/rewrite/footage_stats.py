"""Statistics of the video from the first pass: the speaker's closed mouth, skin colour and donors."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from lipsync.engines.reservoir import Reservoir
from lipsync.engines.rewrite.closing import closed_mouth
from lipsync.engines.rewrite.donors import DonorCollection
from lipsync.engines.rewrite.light import LightTrack, measure_light
from lipsync.faces.geometry import MESH, fit_pose
from lipsync.speech.motion import Basis
from lipsync.types import Face, Float32, Frame

SAMPLE_SIZE: Final = 500  # faces
SKIN_INTERVAL: Final = 8  # frames between two measurements of the skin
CHEEKS: Final = (50, 101, 205, 280, 330, 425)


class FootageStats:
    """Collects every frame of the first pass. Of the memory, only the light's 6 bytes a frame grow with the video."""

    def __init__(self, canonical: Float32, basis: Basis) -> None:
        self._canonical, self._basis = canonical, basis
        self._faces: Reservoir[Float32] = Reservoir(SAMPLE_SIZE)
        self._skin_colours: deque[Float32] = deque(maxlen=SAMPLE_SIZE)
        self.donors, self.lights = DonorCollection(), LightTrack()
        self.depth = 8

    def observe(self, frame: Frame, face: Face) -> None:
        points = face.landmarks[:MESH]
        pose = fit_pose(points[None], self._canonical)
        mesh = pose.to_face(points[None])[0]
        if self._faces.count % SKIN_INTERVAL == 0:
            self._skin_colours.append(cheek_colour(frame, points))
        self._faces.offer(lambda: mesh)
        self.depth = frame.depth
        light = measure_light(frame, points)
        self.lights.add(frame.index, light.rgb)
        self.donors.offer(frame, points[:, :2], mesh, pose, light)

    def closed_mouth(self) -> Float32:
        """The speaker's closed mouth, (468, 3) in the face frame."""
        return closed_mouth(np.stack(self._faces.items), self._basis)

    def skin_colour(self) -> Float32:
        """The mean colour of the cheeks, (3,) Y'CbCr code values."""
        return np.asarray(np.mean(self._skin_colours, axis=0), np.float32)


def cheek_colour(frame: Frame, points: Float32) -> Float32:
    """Y'CbCr (3,) at the cheek points of a mesh (>= 468, >= 2) in pixels."""
    height, width = frame.y.shape
    x = np.clip(points[list(CHEEKS), 0], 0, width - 1).astype(int)
    y = np.clip(points[list(CHEEKS), 1], 0, height - 1).astype(int)
    half = y // 2, x // 2
    return np.asarray([frame.y[y, x].mean(), frame.u[half].mean(), frame.v[half].mean()], np.float32)
