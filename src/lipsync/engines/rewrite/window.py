"""The followed face, frame by frame in any order, read from the track in runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import MESH, Pose, fit_pose
from lipsync.faces.track import Track
from lipsync.types import Float32

RUN = 64
FADE = 4  # frames over which the new mouth comes and goes where the face does


@dataclass(frozen=True, slots=True)
class PlacedFace:
    """One frame's face: ``points`` (468, 2) pixels, ``mesh`` (468, 3) in the face frame, ``strength`` 0..1."""

    points: Float32
    mesh: Float32
    pose: Pose
    strength: float


class FaceWindow:
    """Keeps the run of frames that was asked for last."""

    def __init__(self, track: Track, rest: Float32) -> None:
        self._track, self._rest = track, rest
        self._start = -RUN
        self._present: NDArray[np.bool_] = np.zeros(0, bool)

    def at(self, index: int) -> PlacedFace | None:
        """The face in footage frame ``index``, None where it is not to be seen."""
        if not self._start <= index < self._start + RUN:
            self._load(index // RUN * RUN)
        k = index - self._start
        if not self._present[k]:
            return None
        pose = Pose(self._pose.scale[k : k + 1], self._pose.rotation[k : k + 1], self._pose.shift[k : k + 1])
        return PlacedFace(self._points[k, :, :2], self._meshes[k], pose, float(self._strength[k]))

    def _load(self, start: int) -> None:
        stop = min(start + RUN, len(self._track))
        self._start = start
        self._points = self._track.landmarks(start, stop)[:, :MESH]
        self._present = self._track.present[start:stop]
        self._strength = self._strengths(start, stop)
        self._pose = fit_pose(self._points, self._rest)
        self._meshes = self._pose.to_face(self._points)

    def _strengths(self, start: int, stop: int) -> Float32:
        """One, but less within FADE frames of a frame without the face in the same shot."""
        low, high = max(start - FADE, 0), min(stop + FADE, len(self._track))
        absent = np.flatnonzero(~self._track.present[low:high]) + low
        if not len(absent):
            return np.ones(stop - start, np.float32)
        nearest = np.abs(np.arange(start, stop)[:, None] - absent[None]).min(1)
        return np.asarray(np.clip(nearest / (FADE + 1), 0, 1), np.float32)
