"""Restore the aligned face with a model and blend the result in only where an engine edited the frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.enhancers.base import EditedFrame, EnhancerContext, EnhancerOptions
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
from lipsync.models.finite import check_finite
from lipsync.models.session import RunInfo, Session
from lipsync.types import Box, Float32, Frame

STREAMS: Final = 2
MAX_PENDING: Final = STREAMS + 1  # frames waiting for their faces
FEATHER: Final = 0.08  # eye distances: softness of the edge of the blended region
STATIC_WEIGHT: Final = 0.6  # of the previous frame's detail where nothing moves
MOTION_SCALE: Final = 6 / 255  # change of the input at which that weight has mostly decayed
EDGE_FRACTION: Final = 1 / 16  # of the square's side over which detail fades out
MOTION_BLUR: Final = 2.0  # pixels: sigma that keeps noise from counting as motion


@dataclass(frozen=True, slots=True)
class Restorer:
    """A model that maps a face, RGB (1, 3, side, side) in -1..1, to a restored one."""

    session: Session
    signature: InputSignature


@dataclass(frozen=True, slots=True)
class _AlignedFace:
    """A frame's face in the model's square.

    ``rgb`` (side, side, 3), 0..1. ``matrix`` (2, 3) maps its pixels to the frame's. ``box``: the edited part of the
    frame. ``eye_distance``: pixels of the frame. ``strength`` 0..1.
    """

    rgb: Float32
    matrix: Float32
    box: Box
    eye_distance: float
    strength: float


class Restoration:
    """See ``enhancers.base.FaceEnhancer``.

    Only the detail added by the model is blended in, so that a face larger than the model's square keeps its sharpness.
    """

    def __init__(self, restorer: Restorer, options: EnhancerOptions) -> None:
        self._restorer, self._options = restorer, options

    @property
    def run_info(self) -> RunInfo | None:
        return RunInfo(self._restorer.session.device, self._restorer.session.precision, 1)

    def enhance(self, frames: Iterable[EditedFrame], faces: SmoothedFaces) -> Generator[EditedFrame, None, None]:
        smoother = _DetailSmoother(faces.track)
        pending: deque[tuple[EditedFrame, _AlignedFace | None, Future[Float32] | None]] = deque()
        pool = ThreadPoolExecutor(STREAMS, "restore")
        try:
            for frame in frames:
                face = self._align(frame, faces)
                pending.append((frame, face, None if face is None else pool.submit(self._restore, face.rgb)))
                while pending and (len(pending) > MAX_PENDING or pending[0][1] is None):
                    yield _finish(*pending.popleft(), smoother)
            while pending:
                yield _finish(*pending.popleft(), smoother)
        finally:
            pool.shutdown(cancel_futures=True)

    def _align(self, frame: EditedFrame, faces: SmoothedFaces) -> _AlignedFace | None:
        """Return None if there is nothing to restore."""
        face = faces.at(frame.after.index) if frame.edited and self._options.strength else None
        box = None if face is None else changed_box(frame.before, frame.after)
        if face is None or box is None:
            return None
        side = self._restorer.signature.side
        matrix = square_matrix(face.points, side)
        strength = self._options.strength * face.strength
        rgb = warp_rgb(frame.after, matrix, (side, side), fine=True)
        return _AlignedFace(rgb, matrix, box, eye_distance(face.points), strength)

    def _restore(self, rgb: Float32) -> Float32:
        """Return the detail that the model adds to a face (side, side, 3), RGB 0..1: the same shape, -1..1."""
        face = np.ascontiguousarray(rgb.transpose(2, 0, 1))[None] * 2 - 1
        signature = self._restorer.signature
        output = self._restorer.session.run(signature.arrays(face, self._options.fidelity))[0]
        if output.shape != face.shape:
            raise InferenceFailed(f"the restorer produced shape {output.shape} from {face.shape}")
        check_finite(output, InferenceFailed, "the restorer produced")
        detail = np.clip(output[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1) - rgb
        return np.asarray(detail * _edge_fade(signature.side), np.float32)


def open_restorer(name: str, context: EnhancerContext) -> Restoration:
    """Open a restorer from the models folder. Raises ModelError, OptionInvalid, OutOfMemory."""
    options, sessions = context.options, context.sessions
    runtime = sessions.runtime(options.device, options.precision)
    graph = context.resolve_weights(name, runtime.precision == "fp16")
    session = sessions.open(graph, device=runtime.device, precision=runtime.precision, streams=STREAMS)
    return Restoration(Restorer(session, input_signature(graph)), options)


def _edge_fade(side: int) -> Float32:
    """Return the weight of the detail, (side, side, 1): models are inaccurate at the edge of the input."""
    ramp = edge_ramp(side, side * EDGE_FRACTION)
    return np.minimum(ramp[:, None], ramp[None])[..., None]


class _DetailSmoother:
    """Smooth the detail over time where the face does not move, which removes flicker."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._previous: tuple[int, Float32, Float32] | None = None  # frame number, blurred input, detail

    def reset(self) -> None:
        self._previous = None

    def smooth(self, index: int, rgb: Float32, detail: Float32) -> Float32:
        """Return the smoothed detail of a frame; ``rgb``: the face that the detail belongs to."""
        blurred = np.asarray(cv2.GaussianBlur(rgb, (0, 0), MOTION_BLUR), np.float32)
        if self._previous is not None and self._is_next(self._previous[0], index):
            _, previous_blurred, previous_detail = self._previous
            motion = np.abs(blurred - previous_blurred).max(2, keepdims=True)
            weight = STATIC_WEIGHT * np.exp(-np.square(motion / np.float32(MOTION_SCALE)))
            detail = np.asarray(detail + weight * (previous_detail - detail), np.float32)
        self._previous = index, blurred, detail
        return detail

    def _is_next(self, previous: int, index: int) -> bool:
        """Return whether two consecutive frames of the output are neighbours in one shot of the video."""
        return abs(previous - index) <= 1 and self._track.shot_number(previous) == self._track.shot_number(index)


def _finish(
    frame: EditedFrame, face: _AlignedFace | None, detail: Future[Float32] | None, smoother: _DetailSmoother
) -> EditedFrame:
    if face is None or detail is None:
        smoother.reset()
        return frame
    _blend(frame, face, smoother.smooth(frame.after.index, face.rgb, detail.result()))
    return frame


def _blend(edited: EditedFrame, face: _AlignedFace, detail: Float32) -> None:
    """Add the detail to the edited part of the frame, in place."""
    frame, box = edited.after, face.box
    mask = changed_mask(edited.before, frame, box, max(1.0, FEATHER * face.eye_distance))
    before = read_patch(frame, box)
    original = np.asarray(before, np.float32)
    restored = original + _to_frame(detail, face.matrix, box, frame)
    restored = restored + colour_shift(original, restored, mask, frame.depth)
    weight = (mask * np.float32(face.strength))[..., None]
    write_patch(frame, box, before, quantise(original + (restored - original) * weight, frame.depth))


def _to_frame(detail: Float32, matrix: Float32, box: Box, frame: Frame) -> Float32:
    """Warp detail of the square, RGB, into the box: (h, w, 3), differences of Y'CbCr code values."""
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    inverse[:, 2] += inverse[:, :2] @ [box.left, box.top]
    step = float(np.hypot(inverse[0, 0], inverse[1, 0]))  # pixels of the square per pixel of the frame
    if step > 1:  # remove detail finer than the frame's pixels
        detail = np.asarray(cv2.GaussianBlur(detail, (0, 0), 0.5 * np.sqrt(step**2 - 1)), np.float32)
    size = (box.width, box.height)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(detail, inverse, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    to_rgb = rgb_matrix(frame.colour, frame.y.shape[0], frame.depth)
    return np.asarray(cv2.transform(warped, ycbcr_matrix(to_rgb)[:, :3]), np.float32)
