"""Whose mouth: the choice among several faces, and how the chosen person is known again."""

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

CHOICES = ("largest", "left", "right", "centre")
BYSTANDER = 0.4  # faces smaller than this share of the largest are chosen by "largest" alone
LOOK_SIDE = 32  # pixels of the aligned view of a face
LOOK_ROOM = 2.2  # its side in eye distances
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# What one unit of unlikeness is in shape (eye distances, RMS), look (1 - correlation) and colour (RGB 0..1); no cue
# counts for more than MOST, because light, angle and expression can each spoil one.
UNITS = (0.03, 0.35, 0.03)
MOST = 2.5
SAME_PERSON = 4.0
STRANGER = 6.0
FARTHEST = 1.5  # most that a distance in the picture counts, in units of unlikeness; one is the face's square's side
VIEWS, NEW_VIEW = 8, 1.5  # how many views of a person are kept, and how unlike the others one must be


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells people apart across a cut. ``shape`` (468, 3): the mesh in eye distances; ``look`` (32, 32): the
    aligned face in grey, zero mean and unit norm; ``colour`` (2,): how red and how blue against the brightness."""

    shape: Float32
    look: Float32
    colour: Float32


def check_choice(how: str) -> None:
    """Raise OptionInvalid unless ``how`` is one of CHOICES."""
    if how not in CHOICES:
        raise OptionInvalid(f"no face can be selected by {how!r}; it is one of {', '.join(CHOICES)}")


def choose(faces: Sequence[Face], how: str, width: int, height: int) -> Face:
    """One of at least one ``faces`` in a picture of ``width`` x ``height``: the largest, the leftmost or rightmost in
    the picture, or the one nearest to its centre. All but the first pass over much smaller faces in the background.

    Raises OptionInvalid for any other word.
    """
    check_choice(how)
    regions = [region_of(face.landmarks) for face in faces]
    largest = max(region.side for region in regions)
    if how == "largest":
        return faces[[region.side for region in regions].index(largest)]
    ranks = [_rank(region, how, width, height) for region in regions]
    near = [i for i, region in enumerate(regions) if region.side >= BYSTANDER * largest]
    return faces[min(near, key=lambda i: ranks[i])]


class Person:
    """The one who is followed: nobody yet, then whoever was chosen, remembered from several sides."""

    def __init__(self, select: str) -> None:
        check_choice(select)
        self._select = select
        self._views: list[Signature] = []

    def among(
        self, faces: Sequence[Face], picture: Frame, place: Region | None = None, limit: float = SAME_PERSON
    ) -> Face | None:
        """The person's face, None if it's none of them: the most similar one, if its unlikeness is below ``limit``.

        Among look-alikes it is the one nearer to ``place``, where the person was last seen. The first call that is
        given faces chooses the person.
        """
        if not faces:
            return None
        if not self._views:
            height, width = picture.y.shape
            face = choose(faces, self._select, width, height)
            self._views.append(signature(picture, face))
            return face
        unlike = np.array([self.unlike(picture, face) for face in faces])
        away = np.array([0.0 if place is None else _distance(region_of(face.landmarks), place) for face in faces])
        best = int(np.argmin(unlike + np.minimum(away, FARTHEST)))
        return faces[best] if unlike[best] < limit else None

    def unlike(self, picture: Frame, face: Face) -> float:
        """How unlike the most similar view that is remembered; see ``distance``."""
        return self._unlike(signature(picture, face))

    def learn(self, picture: Frame, face: Face) -> None:
        """Remember how the person looks here, if that is new. Only for faces that were followed to this picture."""
        if len(self._views) >= VIEWS:
            return
        seen = signature(picture, face)
        if NEW_VIEW < self._unlike(seen) < SAME_PERSON:
            self._views.append(seen)

    def _unlike(self, seen: Signature) -> float:
        return float(distance(self._views, seen).min()) if self._views else 0.0


def signature(picture: Frame, face: Face) -> Signature:
    """What a face looks like, apart from its place and pose."""
    points = face.landmarks
    eyes = (points[LEFT_EYE, :2] + points[RIGHT_EYE, :2]) / 2
    region = region_of(points)
    across = eye_distance(points)
    down = 0.1 * across
    square = Region(
        float(eyes[0] - np.sin(region.angle) * down),
        float(eyes[1] + np.cos(region.angle) * down),
        LOOK_ROOM * across,
        region.angle,
    )
    view = warp_rgb(picture, square.matrix(LOOK_SIDE), (LOOK_SIDE, LOOK_SIDE))
    grey = view @ GREY
    colour = np.array([(view[..., 0] - grey).mean(), (view[..., 2] - grey).mean()], np.float32)
    smooth = np.asarray(cv2.blur(grey, (3, 3)), np.float32)
    return Signature(_upright(points[:MESH]), _unit(smooth), colour)


def distance(views: Sequence[Signature], seen: Signature) -> Float32:
    """How unlike ``seen`` is to each view, (n,): 0 for twins of a face, about 1 for one person in one shot, SAME_PERSON
    and more for two people."""
    shapes = np.stack([view.shape for view in views])
    away = fit_pose(shapes, seen.shape).to_face(shapes) - seen.shape
    away[:, list(LIPS)] = 0
    look = 1 - np.stack([view.look.ravel() for view in views]) @ seen.look.ravel()
    colour = np.linalg.norm(np.stack([view.colour for view in views]) - seen.colour, axis=1)
    cues = np.stack([np.sqrt((away**2).sum(2).mean(1)), look, colour])
    return np.asarray(np.minimum(cues / np.array(UNITS)[:, None], MOST).sum(0), np.float32)


def _distance(one: Region, other: Region) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y) / other.side)


def _rank(region: Region, how: str, width: int, height: int) -> float:
    if how == "left":
        return region.x
    if how == "right":
        return -region.x
    return float(np.hypot(region.x - width / 2, region.y - height / 2))


def _upright(points: Float32) -> Float32:
    return np.asarray((points - points.mean(0)) / eye_distance(points), np.float32)


def _unit(view: Float32) -> Float32:
    centred = view - view.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)
