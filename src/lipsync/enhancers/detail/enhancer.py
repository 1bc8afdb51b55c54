"""Transfer the source frame's texture and grain to a mouth that a small generator left soft; needs no weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.transfer import TemporalState, transfer_detail
from lipsync.enhancers.detail.warp import unit_of
from lipsync.faces.landmarker import Landmarker, PendingFace
from lipsync.faces.region import region_of
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.smoothing import local_fit
from lipsync.models.session import RunInfo
from lipsync.types import Float32

RADIUS, ORDER = 2, 2  # frames on each side in a local fit of the mesh, and the degree of the polynomial
NOISE = 0.008  # eye distances by which landmarks differ between a soft and a sharp image of one face


@dataclass(frozen=True, slots=True)
class _PendingFrame:
    """A frame whose landmarks are being computed.

    ``source_mesh`` (468, 2): of the source frame; None if there is nothing to do. ``run``: frames of one run follow
    each other without a cut.
    """

    edit: EditedFrame
    source_mesh: Float32 | None
    face: PendingFace | None
    run: int

    def displacement(self) -> Float32 | None:
        """Return how the generator moved the mesh, (468, 2); None if no face was found."""
        face = None if self.face is None else self.face.result()
        if face is None or self.source_mesh is None:
            return None
        return face.landmarks[: len(self.source_mesh), :2] - self.source_mesh


class DetailTransfer:
    """Transfer high frequencies of the source frame to the generated face, warped to its landmarks."""

    def __init__(self, landmarker: Landmarker, strength: float = 1.0) -> None:
        self._landmarker, self._strength = landmarker, strength

    @property
    def run_info(self) -> RunInfo | None:
        return None

    def enhance(self, frames: Iterable[EditedFrame], faces: SmoothedFaces) -> Generator[EditedFrame, None, None]:
        if self._strength <= 0:
            yield from frames
            return
        window: deque[_PendingFrame] = deque()  # finished frames, the current one, and those ahead
        run, position = _RunState(), 0
        for pending in self._find_landmarks(frames, faces):
            window.append(pending)
            if len(window) - position > RADIUS:
                yield self._finish(window, position, run)
                position += 1
            if position > RADIUS:
                window.popleft()
                position -= 1
        for remaining in range(position, len(window)):
            yield self._finish(window, remaining, run)

    def _find_landmarks(
        self, frames: Iterable[EditedFrame], faces: SmoothedFaces
    ) -> Generator[_PendingFrame, None, None]:
        """Start the landmarker on every frame."""
        track = faces.track
        run, previous = 0, (0, -1)
        for edit in frames:
            index = edit.after.index
            current = index, track.shot_number(index)
            run += current[1] != previous[1] or abs(current[0] - previous[0]) > 1
            previous = current
            face = faces.at(index) if edit.edited and track.present[index] else None
            mesh = None if face is None else face.points
            pending = None if mesh is None else self._landmarker.landmarks_later(edit.after, region_of(mesh))
            yield _PendingFrame(edit, mesh, pending, run)

    def _finish(self, window: deque[_PendingFrame], position: int, run: _RunState) -> EditedFrame:
        pending = window[position]
        displacement = _smooth_displacement(window, position)
        if pending.run != run.number or displacement is None:
            run.number, run.state = pending.run, TemporalState()
        if pending.source_mesh is not None and displacement is not None:
            strength = self._strength * displacement.confidence
            after_mesh = pending.source_mesh + displacement.mesh
            transfer_detail(pending.edit, pending.source_mesh, after_mesh, strength, run.state)
        return pending.edit


class _RunState:
    """The number of the current run of frames, and its state."""

    def __init__(self) -> None:
        self.number, self.state = 0, TemporalState()


@dataclass(frozen=True, slots=True)
class _Displacement:
    """``mesh``: displacement (468, 2) in pixels. ``confidence``: share of the frames around with a detected face."""

    mesh: Float32
    confidence: float


def _smooth_displacement(window: deque[_PendingFrame], position: int) -> _Displacement | None:
    """Fit a polynomial over the frames of the run, which also fills in a frame whose face was not detected."""
    current = window[position]
    if current.source_mesh is None:
        return None
    indices = range(max(0, position - RADIUS), min(len(window), position + RADIUS + 1))
    near = [k for k in indices if window[k].run == current.run]
    known = [(k, displacement) for k in near if (displacement := window[k].displacement()) is not None]
    if not known:
        return None
    rows = np.stack([displacement for _, displacement in known]).reshape(len(known), -1)
    fitted = local_fit(rows, RADIUS, ORDER)
    nearest = min(range(len(known)), key=lambda n: abs(known[n][0] - position))
    mesh = _shrink(fitted[nearest].reshape(-1, 2), NOISE * unit_of(current.source_mesh))
    return _Displacement(mesh, len(known) / len(near))


def _shrink(displacement: Float32, noise: float) -> Float32:
    """Remove displacements that are mere noise (James and Stein, "Estimation with quadratic loss", 1961).

    Where the generator moved nothing, the source's grain is then not resampled, which would smooth it.
    """
    squared = np.square(displacement).sum(1, keepdims=True)
    return np.asarray(displacement * np.clip(1 - noise**2 / np.maximum(squared, 1e-9), 0, 1), np.float32)
