"""Random access to the tracked face of every frame, smoothed and posed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import MESH, Pose, canonical_face, fit_pose
from lipsync.faces.track import Track
from lipsync.types import Float32

RUN_FRAMES, CACHE_RUNS = 64, 8
FADE_FRAMES = 4  # frames over which an edit fades out towards frames without the face


@dataclass(frozen=True, slots=True)
class FrameFace:
    """The face of one frame: ``points`` (468, 2) in pixels, ``mesh`` (468, 3) in the face frame, and its pose.

    ``strength``: 0..1, how much of an edit to show; below 1 next to frames of the same shot without the face.
    """

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
    """The faces of a track, computed in runs of frames; the most recently used runs are cached.

    One object serves all consumers of a job, from any thread.
    """

    def __init__(self, track: Track) -> None:
        self.track, self._canonical = track, canonical_face()
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def length(self) -> int:
        return len(self.track)

    def at(self, index: int) -> FrameFace | None:
        """Return the face in source frame ``index``, or None if it is out of view."""
        run, k = self._run(index), index % RUN_FRAMES
        if not run.present[k]:
            return None
        pose = Pose(run.pose.scale[k : k + 1], run.pose.rotation[k : k + 1], run.pose.shift[k : k + 1])
        return FrameFace(run.points[k, :, :2], run.meshes[k], pose, float(run.strength[k]))

    def poses(self, indices: Sequence[int]) -> Pose:
        """Return the head poses of source frames; frames without the face take the nearest known one."""
        poses = [(self._run(index).pose, index % RUN_FRAMES) for index in indices]
        return Pose(
            *(np.stack([getattr(pose, part)[k] for pose, k in poses]) for part in ("scale", "rotation", "shift"))
        )

    def _run(self, index: int) -> _Run:
        number = index // RUN_FRAMES
        with self._lock:
            if number not in self._runs:
                self._runs[number] = self._load(number * RUN_FRAMES)
                if len(self._runs) > CACHE_RUNS:
                    self._runs.popitem(last=False)
            self._runs.move_to_end(number)
            return self._runs[number]

    def _load(self, start: int) -> _Run:
        stop = min(start + RUN_FRAMES, len(self.track))
        points = self.track.landmarks(start, stop)[:, :MESH]
        pose = fit_pose(points, self._canonical)
        present = self.track.present[start:stop]
        return _Run(points, pose.to_face(points), pose, present, self._strengths(start, stop))

    def _strengths(self, start: int, stop: int) -> Float32:
        """Fade towards frames of the same shot without the face; a cut needs no fade."""
        low, high = max(start - FADE_FRAMES, 0), min(stop + FADE_FRAMES, len(self.track))
        absent = np.flatnonzero(~self.track.present[low:high]) + low
        if not len(absent):
            return np.ones(stop - start, np.float32)
        frames = np.arange(start, stop)
        distance = np.abs(frames[:, None] - absent[None])
        same_shot = self.track.shot_numbers(frames)[:, None] == self.track.shot_numbers(absent)[None]
        nearest = np.where(same_shot, distance, FADE_FRAMES + 1).min(1)
        return np.asarray(np.clip(nearest / (FADE_FRAMES + 1), 0, 1), np.float32)
