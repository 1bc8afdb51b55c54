"""Find faces in a frame and their 478 landmarks.

The networks are those of Google's Face Landmarker (BlazeFace short range; the mesh network of Grishchenko et al.,
"Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020), bundled as published, run without MediaPipe.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Final, TypedDict

import numpy as np

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.faces.detector import SIDE, Detection, anchors, blend, decode, in_frame
from lipsync.faces.region import Region, region_of
from lipsync.frames.rgb import letterbox_rgb, warp_rgb
from lipsync.models.session import Array, Running, Session, start
from lipsync.models.session_cache import SessionCache
from lipsync.types import Box, Face, Float32, Frame, Landmarks

MESH_SIDE: Final = 256  # pixels of the landmark network's input
MIN_SCORE: Final = 0.5  # of the landmark network, from which its output is a face
PARALLEL_FRAMES: Final = 2
TILE_COUNTS: Final = (2, 4)  # tiles along the frame's shorter side, coarse scale first
FINE_TILE_COUNTS: Final = (8, 16)  # of a search for a tiny face in a large picture
MIN_FINE_TILE_SIDE: Final = 128  # pixels
SURE_SCORE: Final = 0.999  # of a face found by fine tiles or upside down, where patterns are taken for faces more often
TILE_STEP: Final = 0.5  # from one tile to the next, in tile sides
MIN_TILE_SIDE: Final = 64  # pixels; smaller tiles show no further faces
MAX_OFFSET: Final = 0.15  # of a face from its square, above which its landmarks are computed again

HALF_TURN: Final = np.array([[-1, 0, SIDE - 1], [0, -1, SIDE - 1], [0, 0, 1]], np.float32)  # of the detector's view


class Landmarker:
    """The detector and landmark networks, ready to run. Open it with ``Landmarker.open`` in a ``with`` block."""

    def __init__(self, detector: Session, mesh: Session) -> None:
        self._detector, self._mesh = detector, mesh
        self._anchors = anchors()
        self._pending: set[PendingFace] = set()
        self._closed = False

    @staticmethod
    def prepare(sessions: SessionCache, threads: int | None = None) -> None:
        """Begin to open the networks in threads of their own, for which ``open`` then waits.

        Loading them takes one core a quarter of a second. Raises ModelMissing, ModelCorrupt.
        """
        for model, options in _networks(threads):
            sessions.open_later(model, **options)

    @classmethod
    @contextmanager
    def open(cls, sessions: SessionCache, threads: int | None = None, kept: bool = True) -> Iterator[Landmarker]:
        """Open the bundled networks. ``threads``: of both together; None uses every core.

        ``kept``: whether they stay in ``sessions``, in 50 MB of memory, when the landmarker is closed.

        Raises ModelMissing, ModelCorrupt.
        """
        cls.prepare(sessions, threads)
        detector, mesh = (sessions.open(model, **options) for model, options in _networks(threads))
        landmarker = cls(detector, mesh)
        try:
            yield landmarker
        finally:
            landmarker._close()
            if not kept:
                sessions.forget(landmarker._detector, landmarker._mesh)

    def detect(self, frame: Frame, box: Box | None = None, *, turned: bool = False) -> list[Detection]:
        """Detect faces in the frame or in a box of it, best first. ``turned``: those that are upside down.

        Finds faces of about a tenth of the longer side or more. The landmark network decides whether it is a face.
        """
        view, matrix = letterbox_rgb(frame, SIDE, box)
        if turned:
            view, matrix = np.ascontiguousarray(view[::-1, ::-1]), matrix @ HALF_TURN
        values, logits = self._detector.run([view[None] * 2 - 1])
        found, scores = decode(values[0], logits[0, :, 0], self._anchors)
        return [in_frame(detection, score, matrix) for detection, score in blend(found, scores)]

    def landmarks(self, frame: Frame, region: Region) -> Face | None:
        """Return the face in a square of the frame, with landmarks in frame pixels; None without one."""
        matrix = region.matrix(MESH_SIDE)
        return _in_frame(self.in_view(warp_rgb(frame, matrix, (MESH_SIDE, MESH_SIDE))), matrix)

    def in_view(self, view: Float32) -> Face | None:
        """Return the face in an RGB view (256, 256, 3), 0..1, with landmarks in its pixels; None if there is none."""
        return _face_of(self._mesh.run([view[None]]))

    def landmarks_later(self, frame: Frame, region: Region) -> PendingFace:
        """Begin ``landmarks`` in the background; two frames at a time keep two cores busy.

        The network's own threads compute it, so that no thread of the interpreter waits for its lock.
        """
        if self._closed:
            raise RuntimeError("the landmarker is closed")
        matrix = region.matrix(MESH_SIDE)
        view = warp_rgb(frame, matrix, (MESH_SIDE, MESH_SIDE))
        pending = PendingFace(start(self._mesh, [view[None]]), matrix, self._pending.discard)
        self._pending.add(pending)
        return pending

    def _close(self) -> None:
        """Wait for the runs in the background."""
        self._closed = True
        for pending in tuple(self._pending):
            pending.discard()

    def find(self, frame: Frame, thorough: bool = True, tiny: bool = False) -> list[Face]:
        """Find all faces of the frame, largest first.

        ``thorough``: also search overlapping tiles for faces too small for the whole frame, and finer tiles while no
        face is found; then for faces upside down. ``tiny``: if there is none of those either, search much finer tiles,
        which takes seconds in a large picture.
        """
        faces = self._verified(frame, self.detect(frame), [])
        for count in TILE_COUNTS if thorough else ():
            faces += self._in_tiles(frame, count, faces)
            if faces:
                return _largest_first(faces)
        if thorough and not faces:
            faces = _sure(self._verified(frame, self.detect(frame, turned=True), []))
        for count in FINE_TILE_COUNTS if tiny else ():
            if not faces and min(frame.y.shape) // count >= MIN_FINE_TILE_SIDE:
                faces = _sure(self._in_tiles(frame, count, []))
        return _largest_first(faces)

    def _in_tiles(self, frame: Frame, count: int, known: list[Face]) -> list[Face]:
        """The faces in tiles of the frame that are not ``known``."""
        found: list[Face] = []
        for box in tile_boxes(frame.y.shape[1], frame.y.shape[0], count):
            found += self._verified(frame, self.detect(frame, box), known + found)
        return found

    def find_near(self, frame: Frame, region: Region) -> list[Face]:
        """Find the faces around a square of the frame, such as a face's last position; largest first."""
        height, width = frame.y.shape
        reach = max(region.side, MIN_TILE_SIDE / 2)
        box = Box(
            int(np.clip(region.x - reach, 0, width - 2)),
            int(np.clip(region.y - reach, 0, height - 2)),
            int(np.clip(region.x + reach, 2, width)),
            int(np.clip(region.y + reach, 2, height)),
        )
        if box.width < 2 or box.height < 2:
            return []
        return _largest_first(self._verified(frame, self.detect(frame, box), []))

    def _verified(self, frame: Frame, detections: list[Detection], known: list[Face]) -> list[Face]:
        """Return the landmarks of those detections that are faces and not yet known."""
        squares = [region_of(face.landmarks) for face in known]
        new: list[Face] = []
        for detection in detections:
            region = detection.region()
            if any(_same(region, square) for square in squares):
                continue
            face = self.landmarks(frame, region)
            if face is not None and region_of(face.landmarks).offset(region) > MAX_OFFSET:
                face = self.landmarks(frame, region_of(face.landmarks))
            if face is None or any(_same(region_of(face.landmarks), square) for square in squares):
                continue
            squares.append(region_of(face.landmarks))
            new.append(face)
        return new


class PendingFace:
    """A face whose landmarks are being computed. ``on_end``: called when the computation is over."""

    def __init__(self, running: Running, matrix: Float32, on_end: Callable[[PendingFace], None]) -> None:
        self._running, self._matrix, self._on_end = running, matrix, on_end
        self._face: Face | None = None
        self._done = False

    def result(self) -> Face | None:
        """Wait for what ``landmarks`` returns. Raises InferenceFailed, OutOfMemory."""
        if not self._done:
            self._end()
            self._face = _in_frame(_face_of(self._running.result()), self._matrix)
        return self._face

    def discard(self) -> None:
        """Wait for the end of the computation and drop its result."""
        if not self._done:
            self._end()
            self._running.discard()

    def _end(self) -> None:
        self._done = True
        self._on_end(self)


def tile_boxes(width: int, height: int, count: int) -> list[Box]:
    """Return overlapping square tiles that cover a frame; none if they would be too small.

    ``count``: how many of them fit along the shorter side without overlap.
    """
    side = min(width, height) // count
    if side < MIN_TILE_SIDE:
        return []
    return [Box(x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)]


def bundled_checksum() -> str:
    """Return the SHA-256 of the bundled networks, in hexadecimal. Raises ModelMissing."""
    return hashlib.sha256(_bundle()).hexdigest()


def _sure(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.score >= SURE_SCORE]


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -region_of(face.landmarks).side)


def _starts(length: int, side: int) -> list[int]:
    count = int(np.ceil((length - side) / (side * TILE_STEP))) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def _same(one: Region, other: Region) -> bool:
    """Return whether two squares show one face: their centres are closer than those of two faces can be."""
    return bool(np.hypot(one.x - other.x, one.y - other.y) < 0.25 * max(one.side, other.side))


def _face_of(outputs: Sequence[Array]) -> Face | None:
    """The face that the landmark network found, in pixels of its view."""
    points, presence = outputs[:2]
    score = float(1 / (1 + np.exp(-np.clip(presence.ravel()[0], -80, 80))))
    return None if score < MIN_SCORE else Face(points.reshape(-1, 3), score)


def _in_frame(face: Face | None, matrix: Float32) -> Face | None:
    return None if face is None else Face(_to_frame(face.landmarks, matrix), face.score)


def _to_frame(points: Landmarks, matrix: Float32) -> Landmarks:
    """Map points (478, 3) from the network's view to the frame; depth takes the same scale."""
    result = np.empty_like(points)
    result[:, :2] = (points[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    result[:, 2] = points[:, 2] * np.hypot(matrix[0, 0], matrix[1, 0])
    return result


class _Options(TypedDict):
    shapes: tuple[int, ...]
    threads: int | None
    streams: int


def _networks(threads: int | None) -> list[tuple[bytes, _Options]]:
    """The detector and the landmark network, and the options with which they are opened."""
    detector, mesh = _bundled("face_detector.tflite", "face_landmarks_detector.tflite")
    return [
        (detector, _Options(shapes=(1, SIDE, SIDE, 3), threads=threads, streams=1)),
        (mesh, _Options(shapes=(1, MESH_SIDE, MESH_SIDE, 3), threads=threads, streams=PARALLEL_FRAMES)),
    ]


def _bundle() -> bytes:
    try:
        return resources.files("lipsync.faces").joinpath("data/face_landmarker.task").read_bytes()
    except FileNotFoundError as exc:
        raise ModelMissing("the bundled face networks are missing; reinstall the package") from exc


def _bundled(*names: str) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(_bundle())) as archive:
            return [archive.read(name) for name in names]
    except (zipfile.BadZipFile, KeyError) as exc:
        raise ModelCorrupt("the bundled face networks are damaged; reinstall the package") from exc
