"""Select one of several faces, and recognise the selected person again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.errors import OptionInvalid
from lipsync.faces.geometry import LEFT_EYE, LIPS, MESH, RIGHT_EYE, eye_distance, fit_pose
from lipsync.faces.region import Region, region_of
from lipsync.frames.rgb import warp_rgb
from lipsync.types import Face, Float32, Frame

FACE_SELECTIONS = ("largest", "left", "right", "centre")
BYSTANDER_SIZE = 0.4  # faces below this share of the largest are ignored, except by "largest"
APPEARANCE_SIDE = 32  # pixels of the aligned view of a face
APPEARANCE_SCALE = 2.2  # side of that view, in eye distances
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# One unit of distance in shape (RMS in eye distances), appearance (1 - correlation) and colour (RGB, 0..1). No cue
# counts more than MAX_CUE, because light, angle and expression can each spoil one.
UNITS = (0.03, 0.35, 0.03)
MAX_CUE = 2.5
SAME_PERSON = 4.0  # distance below which two faces are one person
STRANGER = 6.0  # the same for a face at the expected position, which needs stronger evidence to be another person
MAX_SHIFT_PENALTY = 1.5  # in units of distance; a shift by one side of the face's square adds 1
MAX_VIEWS, MIN_VIEW_DISTANCE = 8, 1.5  # remembered views of a person, and how far a new one is from the others


@dataclass(frozen=True, slots=True)
class Signature:
    """Features that distinguish people across a cut.

    ``shape`` (468, 3): the mesh in eye distances. ``appearance`` (32, 32): the aligned face in grey, zero mean, unit
    norm. ``colour`` (2,): mean red and blue minus grey, RGB 0..1.
    """

    shape: Float32
    appearance: Float32
    colour: Float32


def check_selection(select: str) -> None:
    """Raise OptionInvalid unless ``select`` is one of FACE_SELECTIONS."""
    if select not in FACE_SELECTIONS:
        raise OptionInvalid(f"invalid face_select {select!r}: expected {', '.join(FACE_SELECTIONS)}")


def choose(faces: Sequence[Face], select: str, width: int, height: int) -> Face:
    """Choose one of ``faces``, at least one, in a frame of ``width`` x ``height`` pixels.

    ``select``: the largest, the leftmost or rightmost in the frame, or the one nearest to its centre. All but the first
    ignore much smaller faces in the background. Raises OptionInvalid.
    """
    check_selection(select)
    regions = [region_of(face.landmarks) for face in faces]
    largest = max(region.side for region in regions)
    if select == "largest":
        return faces[[region.side for region in regions].index(largest)]
    ranks = [_rank(region, select, width, height) for region in regions]
    foreground = [i for i, region in enumerate(regions) if region.side >= BYSTANDER_SIZE * largest]
    return faces[min(foreground, key=lambda i: ranks[i])]


class Person:
    """The tracked person: unknown at first, then recognised by several remembered views."""

    def __init__(self, select: str) -> None:
        check_selection(select)
        self._select = select
        self._views: list[Signature] = []

    def match(
        self, faces: Sequence[Face], frame: Frame, last: Region | None = None, limit: float = SAME_PERSON
    ) -> Face | None:
        """Return the person's face: the nearest one, if its distance is below ``limit``; else None.

        Among similar faces, the one nearer to ``last``, the person's last position, wins. The first call with any faces
        chooses the person.
        """
        if not faces:
            return None
        if not self._views:
            height, width = frame.y.shape
            face = choose(faces, self._select, width, height)
            self._views.append(signature(frame, face))
            return face
        distances = np.array([self.distance(frame, face) for face in faces])
        shifts = np.array([0.0 if last is None else _shift(region_of(face.landmarks), last) for face in faces])
        best = int(np.argmin(distances + np.minimum(shifts, MAX_SHIFT_PENALTY)))
        return faces[best] if distances[best] < limit else None

    def distance(self, frame: Frame, face: Face) -> float:
        """Return the distance from the most similar remembered view; see ``distances``."""
        return self._distance(signature(frame, face))

    def learn(self, frame: Frame, face: Face) -> None:
        """Remember how the person looks here, if that is new. Only for faces that were tracked to this frame."""
        if len(self._views) >= MAX_VIEWS:
            return
        view = signature(frame, face)
        if MIN_VIEW_DISTANCE < self._distance(view) < SAME_PERSON:
            self._views.append(view)

    def _distance(self, view: Signature) -> float:
        return float(distances(self._views, view).min()) if self._views else 0.0


def signature(frame: Frame, face: Face) -> Signature:
    """Measure what a face looks like, apart from its position and pose."""
    points = face.landmarks
    eyes = (points[LEFT_EYE, :2] + points[RIGHT_EYE, :2]) / 2
    region = region_of(points)
    unit = eye_distance(points)
    down = 0.1 * unit
    square = Region(
        float(eyes[0] - np.sin(region.angle) * down),
        float(eyes[1] + np.cos(region.angle) * down),
        APPEARANCE_SCALE * unit,
        region.angle,
    )
    rgb = warp_rgb(frame, square.matrix(APPEARANCE_SIDE), (APPEARANCE_SIDE, APPEARANCE_SIDE))
    grey = rgb @ GREY
    colour = np.array([(rgb[..., 0] - grey).mean(), (rgb[..., 2] - grey).mean()], np.float32)
    smooth = np.asarray(cv2.blur(grey, (3, 3)), np.float32)
    return Signature(_normalised_shape(points[:MESH]), _normalised_view(smooth), colour)


def distances(views: Sequence[Signature], other: Signature) -> Float32:
    """Return the distance of ``other`` from each view, (n,).

    0 is an identical face, about 1 one person within a shot, SAME_PERSON and more two people.
    """
    shapes = np.stack([view.shape for view in views])
    residual = fit_pose(shapes, other.shape).to_face(shapes) - other.shape
    residual[:, list(LIPS)] = 0
    appearance = 1 - np.stack([view.appearance.ravel() for view in views]) @ other.appearance.ravel()
    colour = np.linalg.norm(np.stack([view.colour for view in views]) - other.colour, axis=1)
    cues = np.stack([np.sqrt((residual**2).sum(2).mean(1)), appearance, colour])
    return np.asarray(np.minimum(cues / np.array(UNITS)[:, None], MAX_CUE).sum(0), np.float32)


def _shift(one: Region, other: Region) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y) / other.side)


def _rank(region: Region, select: str, width: int, height: int) -> float:
    if select == "left":
        return region.x
    if select == "right":
        return -region.x
    return float(np.hypot(region.x - width / 2, region.y - height / 2))


def _normalised_shape(points: Float32) -> Float32:
    return np.asarray((points - points.mean(0)) / eye_distance(points), np.float32)


def _normalised_view(view: Float32) -> Float32:
    centred = view - view.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)
