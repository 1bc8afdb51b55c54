"""Faces in a picture, as 478 landmarks each.

The networks are those of Google's Face Landmarker (BlazeFace short range; the mesh network of Grishchenko et al.,
"Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020), bundled as published, run without MediaPipe.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from typing import Final

import numpy as np

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.faces.detector import SIDE, Detection, anchors, blend, decode, in_picture
from lipsync.faces.region import Region, region_of
from lipsync.frames.rgb import letterbox_rgb, warp_rgb
from lipsync.models.session import Session
from lipsync.models.session_cache import SessionCache
from lipsync.types import Box, Face, Float32, Frame, Landmarks

MESH_SIDE: Final = 256  # pixels of the landmark network's input
BELIEVED: Final = 0.5  # score from which the landmark network's answer is a face
AT_ONCE: Final = 2  # pictures that are looked at side by side
TILES: Final = (2, 4)  # tiles along the picture's shorter side, coarse scale first
STEP: Final = 0.5  # of a tile's side, from one tile to the next
SMALLEST: Final = 64  # pixels of a tile's side: less shows nothing more
REFINED: Final = 0.15  # looks again when the square was off by more than this


class Landmarker:
    """The two networks, ready. Open it with ``Landmarker.open`` in a ``with`` block."""

    def __init__(self, detector: Session, mesh: Session) -> None:
        self._detector, self._mesh = detector, mesh
        self._anchors = anchors()
        self._pool = ThreadPoolExecutor(AT_ONCE, "landmarks")

    @classmethod
    @contextmanager
    def open(cls, sessions: SessionCache, threads: int | None = None) -> Iterator[Landmarker]:
        """With the networks that the package brings. ``threads``: of both together, every core by default.

        Raises ModelMissing or ModelCorrupt if they are damaged.
        """
        bundled = _bundled("face_detector.tflite", "face_landmarks_detector.tflite")
        with ThreadPoolExecutor(1) as aside:  # setting a network up takes one core half a second
            detector = aside.submit(sessions.open, bundled[0], shapes=(1, SIDE, SIDE, 3), threads=threads)
            mesh = sessions.open(bundled[1], shapes=(1, MESH_SIDE, MESH_SIDE, 3), threads=threads, streams=AT_ONCE)
        landmarker = cls(detector.result(), mesh)
        try:
            yield landmarker
        finally:
            landmarker._pool.shutdown(cancel_futures=True)

    def detect(self, picture: Frame, region: Box | None = None) -> list[Detection]:
        """Faces in the picture or in a box of it, best first. Finds faces of about a tenth
        of the longer side or more; the landmark network has the last word on whether it is a face."""
        view, matrix = letterbox_rgb(picture, SIDE, region)
        values, logits = self._detector.run([view[None] * 2 - 1])
        found, scores = decode(values[0], logits[0, :, 0], self._anchors)
        return [in_picture(box, score, matrix) for box, score in blend(found, scores)]

    def landmarks(self, picture: Frame, region: Region) -> Face | None:
        """The face in a square of the picture, None if there is none."""
        matrix = region.matrix(MESH_SIDE)
        face = self.in_view(warp_rgb(picture, matrix, (MESH_SIDE, MESH_SIDE)))
        return None if face is None else Face(_to_picture(face.landmarks, matrix), face.score)

    def in_view(self, view: Float32) -> Face | None:
        """The face in what the landmark network is shown, (MESH_SIDE, MESH_SIDE, 3) RGB in 0..1, in pixels of that."""
        points, presence = self._mesh.run([view[None]])[:2]
        score = float(1 / (1 + np.exp(-np.clip(presence.ravel()[0], -80, 80))))
        return None if score < BELIEVED else Face(points.reshape(-1, 3), score)

    def landmarks_later(self, picture: Frame, region: Region) -> Future[Face | None]:
        """Like ``landmarks``, in the background: up to two run side by side, which uses two cores fully."""
        return self._pool.submit(self.landmarks, picture, region)

    def find(self, picture: Frame, thorough: bool = True) -> list[Face]:
        """All faces of the picture, largest first. ``thorough`` also looks through overlapping tiles, finer ones as
        long as nothing was found, for faces that are too small to be seen in the whole."""
        faces = self._verified(picture, self.detect(picture), [])
        for tiles in TILES if thorough else ():
            for box in tile_boxes(picture.y.shape[1], picture.y.shape[0], tiles):
                faces += self._verified(picture, self.detect(picture, box), faces)
            if faces:
                break
        return sorted(faces, key=lambda face: -region_of(face.landmarks).side)

    def find_near(self, picture: Frame, region: Region) -> list[Face]:
        """The faces around a square of the picture, where somebody was a moment ago; largest first."""
        height, width = picture.y.shape
        reach = max(region.side, SMALLEST / 2)
        box = Box(
            int(np.clip(region.x - reach, 0, width - 2)),
            int(np.clip(region.y - reach, 0, height - 2)),
            int(np.clip(region.x + reach, 2, width)),
            int(np.clip(region.y + reach, 2, height)),
        )
        if box.width < 2 or box.height < 2:
            return []
        faces = self._verified(picture, self.detect(picture, box), [])
        return sorted(faces, key=lambda face: -region_of(face.landmarks).side)

    def _verified(self, picture: Frame, detections: list[Detection], known: list[Face]) -> list[Face]:
        """The landmarks of those detections that are faces and not known yet."""
        squares = [region_of(face.landmarks) for face in known]
        new: list[Face] = []
        for detection in detections:
            region = detection.region()
            if any(_same(region, square) for square in squares):
                continue
            face = self.landmarks(picture, region)
            if face is not None and region_of(face.landmarks).offset(region) > REFINED:
                face = self.landmarks(picture, region_of(face.landmarks))
            if face is None or any(_same(region_of(face.landmarks), square) for square in squares):
                continue
            squares.append(region_of(face.landmarks))
            new.append(face)
        return new


def tile_boxes(width: int, height: int, tiles: int) -> list[Box]:
    """Overlapping square tiles, ``tiles`` of them along the shorter side if they did not overlap; none if too small."""
    side = min(width, height) // tiles
    if side < SMALLEST:
        return []
    return [Box(x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: int) -> list[int]:
    count = int(np.ceil((length - side) / (side * STEP))) + 1
    return [round(place) for place in np.linspace(0, length - side, count)]


def _same(one: Region, other: Region) -> bool:
    """Whether two squares are about one face: their centres are closer than faces can be."""
    return bool(np.hypot(one.x - other.x, one.y - other.y) < 0.25 * max(one.side, other.side))


def _to_picture(points: Landmarks, matrix: Landmarks) -> Landmarks:
    """Points (478, 3) in the network's view to the picture; depth takes the same scale."""
    result = np.empty_like(points)
    result[:, :2] = (points[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    result[:, 2] = points[:, 2] * np.hypot(matrix[0, 0], matrix[1, 0])
    return result


def bundled_checksum() -> str:
    """The SHA-256 of the networks that the package brings. Raises ModelMissing."""
    return hashlib.sha256(_bundle()).hexdigest()


def _bundle() -> bytes:
    try:
        return resources.files("lipsync.faces").joinpath("data/face_landmarker.task").read_bytes()
    except FileNotFoundError as exc:
        raise ModelMissing("the package's face networks are not there; install it again") from exc


def _bundled(*names: str) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(_bundle())) as archive:
            return [archive.read(name) for name in names]
    except (zipfile.BadZipFile, KeyError) as exc:
        raise ModelCorrupt("the package's face networks are damaged; install it again") from exc
