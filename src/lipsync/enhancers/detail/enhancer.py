"""The footage's own grain and texture for a mouth that a small generator left soft; needs no weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.transfer import TemporalState, transfer
from lipsync.enhancers.detail.warp import unit_of
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.region import region_of
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.smoothing import local_fit
from lipsync.models.session import RunInfo
from lipsync.types import Face, Float32

AROUND, ORDER = 2, 2  # frames on each side that have a say in a mesh, and the degree of the curve through them

NOISE = 0.008  # eye distances by which landmarks of one place differ between a soft and a sharp picture


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame that is looked at; ``source`` (468, 2): the footage's mesh, None where there is nothing to do.

    ``run``: frames of one run follow each other without a cut.
    """

    edit: EditedFrame
    source: Float32 | None
    found: Future[Face | None] | None
    run: int

    def moved(self) -> Float32 | None:
        """How the generator moved the mesh, (468, 2); None if no face was found."""
        face = None if self.found is None else self.found.result()
        return None if face is None or self.source is None else face.landmarks[: len(self.source), :2] - self.source


class DetailTransfer:
    """High frequencies of the untouched frame, laid over the generated face as its landmarks lie."""

    def __init__(self, landmarker: Landmarker, strength: float = 1.0) -> None:
        self._landmarker, self._strength = landmarker, strength

    @property
    def run_info(self) -> RunInfo | None:
        return None

    def enhance(self, frames: Iterable[EditedFrame], faces: SmoothedFaces) -> Generator[EditedFrame, None, None]:
        if self._strength <= 0:
            yield from frames
            return
        window: deque[_Waiting] = deque()  # those done, the one at hand, and those ahead
        state, place = _State(), 0
        for waiting in self._looked_at(frames, faces):
            window.append(waiting)
            if len(window) - place > AROUND:
                yield self._finished(window, place, state)
                place += 1
            if place > AROUND:
                window.popleft()
                place -= 1
        for rest in range(place, len(window)):
            yield self._finished(window, rest, state)

    def _looked_at(self, frames: Iterable[EditedFrame], faces: SmoothedFaces) -> Generator[_Waiting, None, None]:
        """Every frame, its face being looked for."""
        track = faces.track
        run, last = 0, (0, -1)
        for edit in frames:
            index = edit.after.index
            at = index, track.shot_number(index)
            run += at[1] != last[1] or abs(at[0] - last[0]) > 1
            last = at
            face = faces.at(index) if edit.edited and track.present[index] else None
            source = None if face is None else face.points
            look = None if source is None else self._landmarker.landmarks_later(edit.after, region_of(source))
            yield _Waiting(edit, source, look, run)

    def _finished(self, window: deque[_Waiting], place: int, state: _State) -> EditedFrame:
        waiting = window[place]
        moved = _calm(window, place)
        if waiting.run != state.run or moved is None:
            state.run, state.memory = waiting.run, TemporalState()
        if waiting.source is not None and moved is not None:
            strength = self._strength * moved.share
            transfer(waiting.edit, waiting.source, waiting.source + moved.by, strength, state.memory)
        return waiting.edit


class _State:
    """What is remembered from one frame to the next of a run."""

    def __init__(self) -> None:
        self.run, self.memory = 0, TemporalState()


@dataclass(frozen=True, slots=True)
class _Moved:
    """How the mesh moved, (468, 2) pixels, and in what share of the frames around it was seen."""

    by: Float32
    share: float


def _calm(window: deque[_Waiting], place: int) -> _Moved | None:
    """A short local fit over the frames of the run; what is not seen in this frame lies on it all the same."""
    here = window[place]
    if here.source is None:
        return None
    near = [k for k in range(max(0, place - AROUND), min(len(window), place + AROUND + 1)) if window[k].run == here.run]
    known = [(k, moved) for k in near if (moved := window[k].moved()) is not None]
    if not known:
        return None
    rows = np.stack([moved for _, moved in known]).reshape(len(known), -1)
    cast_inputs = local_fit(rows, AROUND, ORDER)
    nearest = min(range(len(known)), key=lambda n: abs(known[n][0] - place))
    return _Moved(_kept(cast_inputs[nearest].reshape(-1, 2), NOISE * unit_of(here.source)), len(known) / len(near))


def _kept(moved: Float32, noise: float) -> Float32:
    """Without what is no more than noise (James and Stein, "Estimation with quadratic loss", 1961): where the generator
    kept a place, the footage's grain is not to be looked up between pixels, which would smooth it."""
    squared = np.square(moved).sum(1, keepdims=True)
    return np.asarray(moved * np.clip(1 - noise**2 / np.maximum(squared, 1e-9), 0, 1), np.float32)
