"""The followed face, frame by frame in any order, read from the track in runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import MESH, Pose, fit_pose
from lipsync.faces.track import Track
from lipsync.types import Float32

RUN, KEPT = 64, 8  # frames in a run; runs kept
FADE = 4  # frames over which the new mouth comes and goes where the face does


@dataclass(frozen=True, slots=True)
class FrameFace:
    """One frame's face: ``points`` (468, 2) pixels, ``mesh`` (468, 3) in the face frame, ``strength`` 0..1."""

    points: Float32
    mesh: Float32
    pose: Pose
    strength: float


@dataclass(frozen=True, slots=True)
class _Run:
    points: Float32
    meshes: Float32
    pose: Pose
    present: NDArray[np.bool_]
    strength: Float32


class SmoothedFaces:
    """Keeps the runs of frames that were asked for last."""

    def __init__(self, track: Track, rest: Float32) -> None:
        self._track, self._rest = track, rest
        self._runs: OrderedDict[int, _Run] = OrderedDict()

    @property
    def length(self) -> int:
        return len(self._track)

    def at(self, index: int) -> FrameFace | None:
        """The face in footage frame ``index``, None where it is not to be seen."""
        run, k = self._run(index), index % RUN
        if not run.present[k]:
            return None
        pose = Pose(run.pose.scale[k : k + 1], run.pose.rotation[k : k + 1], run.pose.shift[k : k + 1])
        return FrameFace(run.points[k, :, :2], run.meshes[k], pose, float(run.strength[k]))

    def rotations(self, indices: Sequence[int]) -> Float32:
        """How the head is turned in each of the frames, (n, 3, 3), the nearest known way where it is not seen."""
        return np.stack([self._run(index).pose.rotation[index % RUN] for index in indices])

    def _run(self, index: int) -> _Run:
        number = index // RUN
        if number not in self._runs:
            self._runs[number] = self._load(number * RUN)
            if len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        self._runs.move_to_end(number)
        return self._runs[number]

    def _load(self, start: int) -> _Run:
        stop = min(start + RUN, len(self._track))
        points = self._track.landmarks(start, stop)[:, :MESH]
        pose = fit_pose(points, self._rest)
        present = self._track.present[start:stop]
        return _Run(points, pose.to_face(points), pose, present, self._strengths(start, stop))

    def _strengths(self, start: int, stop: int) -> Float32:
        """One, but less within FADE frames of a frame of the same shot without the face; a cut hides its coming."""
        low, high = max(start - FADE, 0), min(stop + FADE, len(self._track))
        absent = np.flatnonzero(~self._track.present[low:high]) + low
        if not len(absent):
            return np.ones(stop - start, np.float32)
        frames, starts = np.arange(start, stop), [shot.start for shot in self._track.shots]
        away = np.abs(frames[:, None] - absent[None])
        shots = [np.searchsorted(starts, some, "right") for some in (frames, absent)]
        nearest = np.where(shots[0][:, None] == shots[1][None], away, FADE + 1).min(1)
        return np.asarray(np.clip(nearest / (FADE + 1), 0, 1), np.float32)
