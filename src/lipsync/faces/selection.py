"""Select one of several faces, and recognise the selected person again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.errors import OptionInvalid
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser, aligned
from lipsync.faces.region import Region, region_of
from lipsync.types import Face, Float32, Frame

FACE_SELECTIONS: Final = ("largest", "left", "right", "centre")
BYSTANDER_SIZE: Final = 0.4  # faces below this share of the largest are ignored, except by "largest"
# Distances of embeddings: below the first, two faces are one person; the second is for a face at the expected
# position, which needs stronger evidence to be another person.
SAME_PERSON, STRANGER = 0.46, 0.6
NEAREST_VIEWS: Final = 3  # whose mean distance counts
SHIFT_COST, MAX_SHIFT_COST = 0.12, 0.18  # distance that a shift by one side of the face's square adds; the most
MAX_VIEWS: Final = 8  # remembered of a person
THUMBNAIL_SIDE: Final = 32  # pixels of the grey view of a face
ALIKE: Final = 0.65  # correlation of grey views above which the face in a shot is still the same
KNOWN_VIEW: Final = 0.85  # the same for a view that is not worth remembering
EQUAL: Final = 0.98  # correlation of views that show the same picture


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


@dataclass(frozen=True, slots=True)
class View:
    """A remembered view of a person: the ``image`` (150, 150, 3) of ``aligned``, and its ``thumbnail`` (1024,)."""

    image: Float32
    thumbnail: Float32

    def correlation(self, other: View) -> float:
        return float(self.thumbnail @ other.thumbnail)


class Person:
    """The tracked person: unknown at first, then recognised by several remembered views.

    Methods that compare embeddings raise ModelMissing, ModelCorrupt, InferenceFailed.
    """

    def __init__(self, select: str, recogniser: Recogniser) -> None:
        check_selection(select)
        self._select, self._recogniser = select, recogniser
        self._views: list[View] = []
        self._embeddings = np.zeros((0, 0), np.float32)  # of the first views

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
            self._views.append(_view(frame, face))
            return face
        distances = np.array([self.distance(frame, face) for face in faces])
        shifts = np.array([0.0 if last is None else _shift(region_of(face.landmarks), last) for face in faces])
        best = int(np.argmin(distances + np.minimum(SHIFT_COST * shifts, MAX_SHIFT_COST)))
        if distances[best] >= limit:
            return None
        if distances[best] < SAME_PERSON:
            self.learn(frame, faces[best])
        return faces[best]

    def distance(self, frame: Frame, face: Face) -> float:
        """Return the mean distance of the embedding from those of the most similar remembered views."""
        view = _view(frame, face)
        if view.correlation(self._views[0]) > EQUAL:
            return 0.0
        known = self._known()
        distances = np.linalg.norm(known - self._recogniser.embed([view.image]), axis=1)
        return float(np.sort(distances)[:NEAREST_VIEWS].mean())

    def is_familiar(self, frame: Frame, face: Face, limit: float = SAME_PERSON) -> bool:
        """Whether a face in the same place looks like the person; if not, whether its distance is below ``limit``."""
        view = _view(frame, face)
        if any(view.correlation(known) > ALIKE for known in self._views):
            return True
        return self.distance(frame, face) < limit

    def learn(self, frame: Frame, face: Face) -> None:
        """Remember how the person looks here, if that is new."""
        if len(self._views) < MAX_VIEWS:
            view = _view(frame, face)
            if all(view.correlation(known) < KNOWN_VIEW for known in self._views):
                self._views.append(view)

    def _known(self) -> Float32:
        """The embeddings (n, 128) of the remembered views; those of a stranger, tracked by mistake, are dropped."""
        new = self._views[len(self._embeddings) :]
        if new:
            rows = self._recogniser.embed([view.image for view in new])
            first = (self._embeddings if len(self._embeddings) else rows)[0]
            same = np.linalg.norm(rows - first, axis=1) < STRANGER
            self._views = self._views[: len(self._embeddings)] + [
                view for view, ok in zip(new, same, strict=True) if ok
            ]
            self._embeddings = np.concatenate([self._embeddings.reshape(-1, rows.shape[1]), rows[same]])
        return self._embeddings


def most_seen(frames: Iterable[Frame], landmarker: Landmarker, recogniser: Recogniser, select: str) -> Person:
    """The person whom ``select`` chooses in most of ``frames``; one who is still unknown if they show no face.

    Raises OptionInvalid.
    """
    nobody = Person(select, recogniser)
    chosen: list[Person] = []
    latest: Frame | None = None
    in_latest: list[Person] = []
    for frame in frames:
        if frame is not latest:  # one frame may stand for several times
            latest, in_latest = frame, []
            if faces := landmarker.find(frame, thorough=False):
                height, width = frame.y.shape
                face = choose(faces, select, width, height)
                person = next((one for one in dict.fromkeys(chosen) if one.match([face], frame)), None)
                if person is None:
                    person = Person(select, recogniser)
                    person.match([face], frame)
                in_latest = [person]
        chosen += in_latest
    return max(chosen, key=chosen.count, default=nobody)


def _view(frame: Frame, face: Face) -> View:
    image = aligned(frame, face)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    centred = (small - small.mean()).ravel()
    return View(image, np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32))


def _shift(one: Region, other: Region) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y) / other.side)


def _rank(region: Region, select: str, width: int, height: int) -> float:
    if select == "left":
        return region.x
    if select == "right":
        return -region.x
    return float(np.hypot(region.x - width / 2, region.y - height / 2))
