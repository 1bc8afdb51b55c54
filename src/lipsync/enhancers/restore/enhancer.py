"""The face as a restoring network sees it, shown where an engine changed it and nowhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from lipsync.enhancers.base import EditedFrame, EnhancerOptions
from lipsync.enhancers.restore.align import square_matrix
from lipsync.enhancers.restore.onnx_ports import InputSignature, input_signature
from lipsync.errors import InferenceFailed
from lipsync.faces.geometry import eye_distance
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track
from lipsync.frames.blend import colour_shift, edge_ramp
from lipsync.frames.difference import changed_box, changed_mask
from lipsync.frames.patch import quantise, read_patch, write_patch
from lipsync.frames.rgb import rgb_matrix, warp_rgb, ycbcr_matrix
from lipsync.models.session import RunInfo, Session
from lipsync.models.session_cache import SessionCache
from lipsync.types import Box, Float32, Frame

STREAMS: Final = 2
AHEAD: Final = STREAMS + 1  # frames that wait for their faces
FEATHER: Final = 0.08  # eye distances: how soft the edge of what is shown is
KEPT: Final = 0.6  # of the last frame's detail, where nothing moved
STILL: Final = 6 / 255  # differences of the input from which on something moved
RIM: Final = 16  # of the square's side: one part of so many, in which detail fades to its edge
CALM: Final = 2.0  # pixels over which motion is looked at, so that noise is none


@dataclass(frozen=True, slots=True)
class Restorer:
    """A network that restores faces: RGB (1, 3, side, side), -1..1, to the same."""

    session: Session
    signature: InputSignature


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame's face in the network's square. ``seen`` (side, side, 3) RGB 0..1; ``matrix`` (2, 3): from its pixels to
    the picture's; ``unit``: the eyes' distance in pixels; ``strength`` 0..1."""

    seen: Float32
    matrix: Float32
    box: Box
    unit: float
    strength: float


class Restoration:
    """See ``enhancers.base.FaceEnhancer``.

    What is put into the picture is the detail that the network added, and not its whole answer: a face that is larger
    than the network's square keeps its own sharpness.
    """

    def __init__(self, network: Restorer, options: EnhancerOptions) -> None:
        self._network, self._options = network, options

    @property
    def run_info(self) -> RunInfo | None:
        return RunInfo(self._network.session.device, self._network.session.precision, 1)

    def enhance(self, frames: Iterable[EditedFrame], track: Track) -> Generator[EditedFrame, None, None]:
        window, steady = SmoothedFaces(track), _Steady(track)
        waiting: deque[tuple[EditedFrame, _Look | None, Future[Float32] | None]] = deque()
        pool = ThreadPoolExecutor(STREAMS, "restoring")
        try:
            for frame in frames:
                look = self._look(frame, window)
                waiting.append((frame, look, None if look is None else pool.submit(self._restored, look.seen)))
                while waiting and (len(waiting) > AHEAD or waiting[0][1] is None):
                    yield _settled(*waiting.popleft(), steady)
            while waiting:
                yield _settled(*waiting.popleft(), steady)
        finally:
            pool.shutdown(cancel_futures=True)

    def _look(self, frame: EditedFrame, window: SmoothedFaces) -> _Look | None:
        """None where there is nothing to restore."""
        face = window.at(frame.after.index) if frame.edited and self._options.strength else None
        box = None if face is None else changed_box(frame.before, frame.after)
        if face is None or box is None:
            return None
        side = self._network.signature.side
        matrix = square_matrix(face.points, side)
        unit = eye_distance(face.points)
        strength = self._options.strength * face.strength
        return _Look(warp_rgb(frame.after, matrix, (side, side), fine=True), matrix, box, unit, strength)

    def _restored(self, seen: Float32) -> Float32:
        """The detail that the network adds to a face (side, side, 3), RGB 0..1: the same shape, -1..1."""
        face = np.ascontiguousarray(seen.transpose(2, 0, 1))[None] * 2 - 1
        made = self._network.session.run(self._network.signature.arrays(face, self._options.fidelity))[0]
        if made.shape != face.shape:
            raise InferenceFailed(f"the network made {made.shape} of {face.shape}")
        if not np.isfinite(made).all():
            raise InferenceFailed("the network gave values that are no numbers")
        detail = np.clip(made[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1) - seen
        return np.asarray(detail * _rim(self._network.signature.side), np.float32)


def open_restorer(find: Callable[[bool], Path], options: EnhancerOptions, sessions: SessionCache) -> Restoration:
    """With a network of the store. ``find``: its graph, in half precision or not.

    Raises ModelError, OptionInvalid, OutOfMemory.
    """
    runtime = sessions.runtime(options.device, options.precision)
    graph = find(runtime.precision == "fp16")
    session = sessions.open(graph, device=runtime.device, precision=runtime.precision, streams=STREAMS)
    return Restoration(Restorer(session, input_signature(graph)), options)


def _rim(side: int) -> Float32:
    """What is kept of the detail, (side, side, 1): networks err at the edge of what they see, so it fades there."""
    line = edge_ramp(side, side / RIM)
    return np.minimum(line[:, None], line[None])[..., None]


class _Steady:
    """Detail that doesn't flicker: where the face did not move, a share of the last frame's is kept."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._last: tuple[int, Float32, Float32] | None = None  # the frame's number, its look and its detail

    def forget(self) -> None:
        self._last = None

    def steadied(self, index: int, seen: Float32, detail: Float32) -> Float32:
        look = np.asarray(cv2.GaussianBlur(seen, (0, 0), CALM), np.float32)
        if self._last is not None and self._follows(self._last[0], index):
            _, last_look, last_detail = self._last
            moved = np.abs(look - last_look).max(2, keepdims=True)
            share = KEPT * np.exp(-np.square(moved / np.float32(STILL)))
            detail = np.asarray(detail + share * (last_detail - detail), np.float32)
        self._last = index, look, detail
        return detail

    def _follows(self, last: int, index: int) -> bool:
        """Whether two frames, shown one after the other, are neighbours in one shot of the footage."""
        return abs(last - index) <= 1 and self._track.shot_number(last) == self._track.shot_number(index)


def _settled(frame: EditedFrame, look: _Look | None, made: Future[Float32] | None, steady: _Steady) -> EditedFrame:
    if look is None or made is None:
        steady.forget()
        return frame
    _paste(frame, look, steady.steadied(frame.after.index, look.seen, made.result()))
    return frame


def _paste(frame: EditedFrame, look: _Look, detail: Float32) -> None:
    picture, box = frame.after, look.box
    mask = changed_mask(frame.before, picture, box, max(1.0, FEATHER * look.unit))
    before = read_patch(picture, box)
    around = np.asarray(before, np.float32)
    added = around + _in_picture(detail, look.matrix, box, picture)
    added = added + colour_shift(around, added, mask, picture.depth)
    after = quantise(around + (added - around) * (mask * np.float32(look.strength))[..., None], picture.depth)
    write_patch(picture, box, before, after)


def _in_picture(detail: Float32, matrix: Float32, box: Box, picture: Frame) -> Float32:
    """Detail of the square, RGB, as it is in the box: (h, w, 3), Y'CbCr code values."""
    where = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    where[:, 2] += where[:, :2] @ [box.left, box.top]
    step = float(np.hypot(where[0, 0], where[1, 0]))  # pixels of the square in one of the picture
    if step > 1:  # nothing finer than the picture can show
        detail = np.asarray(cv2.GaussianBlur(detail, (0, 0), 0.5 * np.sqrt(step**2 - 1)), np.float32)
    size = (box.width, box.height)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(detail, where, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    to_rgb = rgb_matrix(picture.colour, picture.y.shape[0], picture.depth)
    return np.asarray(cv2.transform(shown, ycbcr_matrix(to_rgb)[:, :3]), np.float32)
