"""One person's face through a stream of pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from lipsync.faces.cuts import change, is_flat, maybe_cut, pattern
from lipsync.faces.geometry import eye_distance
from lipsync.faces.landmarker import AT_ONCE, Landmarker
from lipsync.faces.region import Region, region_of
from lipsync.faces.selection import SAME_PERSON, STRANGER, Person, check_choice
from lipsync.frames.rgb import luma_thumbnail
from lipsync.types import Face, Float32, Frame

AHEAD = 4  # pictures held back, to tell a cut from a flash
PAST = 6  # patterns kept for the same
STALE = 0.1  # offset of a square from the face found in it above which the face is looked at again
SETTLED = 0.03  # the same, once there was reason to look again
SURE = 0.9998  # score of a face that lies in the middle of its square; less, and it may be somewhere beside
LOOKS = 4  # the most that a face is looked at again
ASTRAY = 0.3  # offset of a guessed square from the expected one above which nothing is to be learned from it
JUMP, CUT_JUMP = 0.4, 0.6  # eye distances off its prediction: where a face is doubted, and where a cut is believed
STRONG = 0.3  # change of the picture that is a cut even where there is no face to ask
GLANCE = 8  # frames between two looks at who it is
NEAR_TRIES = 5  # frames after a loss in which only the last place is searched
QUICK, THOROUGH = 3, 12  # frames between two searches of the whole picture; between two with tiles


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A picture, the followed face in it (None: not to be seen), and whether a new shot begins with it."""

    frame: Frame
    face: Face | None
    cut: bool


def follow(pictures: Iterable[Frame], landmarker: Landmarker, select: str) -> Generator[TrackedFrame, None, None]:
    """Follow one person, chosen by ``select`` (see ``selection.choose``) in the first picture that shows a face.

    One Sighting for each picture, in order, up to AHEAD pictures behind what was read. Raises OptionInvalid.
    """
    check_choice(select)
    follower = _Follower(landmarker, select)
    try:
        for picture in pictures:
            follower.take(picture)
            if follower.full:
                yield follower.next()
        while follower.waiting:
            yield follower.next()
    finally:
        follower.drop()


@dataclass(slots=True)
class _Waiting:
    """A picture on its way. ``answer``: the face in ``region``, in the making since before the region was certain."""

    frame: Frame
    pattern: Float32
    region: Region | None = None
    answer: Future[Face | None] | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    face: Face
    region: Region


class _Follower:
    """The state of one pass."""

    def __init__(self, landmarker: Landmarker, select: str) -> None:
        self._landmarker = landmarker
        self._person = Person(select)
        self._queue: deque[_Waiting] = deque()
        self._past: deque[Float32] = deque(maxlen=PAST)
        self._last: Region | None = None
        self._before: Region | None = None
        self._place: Region | None = None
        self._sure = False
        self._tracked = 0
        self._missing = 0

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    @property
    def full(self) -> bool:
        return len(self._queue) > AHEAD

    def take(self, picture: Frame) -> None:
        self._queue.append(_Waiting(picture, pattern(luma_thumbnail(picture))))
        self._look_ahead()

    def drop(self) -> None:
        for waiting in self._queue:
            if waiting.answer is not None:
                waiting.answer.cancel()
        self._queue.clear()

    def next(self) -> TrackedFrame:
        """Settle the oldest picture."""
        waiting = self._queue.popleft()
        picture = waiting.frame
        maybe = maybe_cut(list(self._past), waiting.pattern, [later.pattern for later in self._queue])
        had_face = self._last is not None
        placed = self._tracked_face(waiting)
        cut = maybe and (self._lost_at_once(waiting) if placed is None else self._is_new_shot(picture, placed))
        if cut:
            self._forget()
            placed = _placed(self._person.among(self._landmarker.find(picture), picture))
        elif placed is None:
            placed = _placed(self._searched(picture, just_lost=had_face))
        self._remember(picture, placed)
        if not is_flat(waiting.pattern):
            self._past.append(waiting.pattern)
        self._look_ahead()
        return TrackedFrame(picture, placed.face if placed is not None else None, cut)

    def _look_ahead(self) -> None:
        """Start on the oldest pictures with a guess of where the face will be."""
        if self._last is None:
            return
        for steps, waiting in enumerate(list(self._queue)[: AT_ONCE + 1], start=1):
            if waiting.answer is None:
                waiting.region = self._expected(steps)
                waiting.answer = self._landmarker.landmarks_later(waiting.frame, waiting.region)

    def _expected(self, steps: int = 1) -> Region:
        assert self._last is not None
        return self._last if self._before is None else self._last.moved(self._before, steps)

    def _tracked_face(self, waiting: _Waiting) -> _Placed | None:
        """The face where the last one leads to; None if it isn't there, or if it can't be the same."""
        if self._last is None:
            return None
        region = self._expected()
        face: Face | None = None
        if waiting.answer is not None and waiting.region is not None and region.offset(waiting.region) < ASTRAY:
            face = waiting.answer.result()
        if face is not None and waiting.region is not None:
            region = waiting.region
        else:
            face = self._landmarker.landmarks(waiting.frame, region)
        placed = self._settled(waiting.frame, _placed(face), region)
        if placed is None or not _inside(placed.face, waiting.frame):
            return None
        jumped = self._jump(placed) > JUMP
        if (jumped or self._tracked % GLANCE == 0) and self._person.unlike(waiting.frame, placed.face) > (
            SAME_PERSON if jumped else STRANGER
        ):
            return None
        return placed

    def _settled(self, picture: Frame, placed: _Placed | None, region: Region) -> _Placed | None:
        """Look again until the face is where the square was: off its middle, the network gives it too near to that."""
        if placed is None or (placed.face.score >= SURE and placed.region.offset(region) <= STALE):
            return placed
        for _ in range(LOOKS):
            if placed is None or placed.region.offset(region) <= SETTLED:
                break
            region = placed.region
            placed = _placed(self._landmarker.landmarks(picture, region))
        if placed is not None and placed.face.score < SURE and self._sure:
            near = [face for face in self._landmarker.find_near(picture, placed.region) if face.score >= SURE]
            return _placed(self._person.among(near, picture, placed.region, STRANGER)) or placed
        return placed

    def _lost_at_once(self, waiting: _Waiting) -> bool:
        """Whether a possible cut without a face is one: it took the face away, or the whole picture changed."""
        return self._last is not None or change(self._past[-1], waiting.pattern) > STRONG

    def _is_new_shot(self, picture: Frame, placed: _Placed) -> bool:
        return self._jump(placed) > CUT_JUMP or self._person.unlike(picture, placed.face) > SAME_PERSON

    def _jump(self, placed: _Placed) -> float:
        """How far the face moved from where it was, or would be at the same speed, in eye distances; the nearer one."""
        if self._last is None:
            return 0.0
        now = placed.region
        far = min(np.hypot(now.x - place.x, now.y - place.y) for place in (self._expected(), self._last))
        return float(far / eye_distance(placed.face.landmarks) + abs(np.log2(now.side / self._last.side)))

    def _searched(self, picture: Frame, just_lost: bool) -> Face | None:
        """Look for the lost or not yet found person, less and less often."""
        if just_lost:
            self._place, self._missing = self._last, 0
        self._missing += 1
        if self._place is not None and self._missing <= NEAR_TRIES:
            near = self._landmarker.find_near(picture, self._place)
            return self._person.among(near, picture, self._place, STRANGER)
        turn = self._missing - (NEAR_TRIES if self._place else 0) - 1
        if turn % QUICK:
            return None
        found = self._landmarker.find(picture, thorough=turn % THOROUGH == 0)
        return self._person.among(found, picture, self._place)

    def _remember(self, picture: Frame, placed: _Placed | None) -> None:
        if placed is None:
            self._last = self._before = None
            return
        self._before, self._last = self._last, placed.region
        self._sure = placed.face.score >= SURE
        self._missing = 0
        if self._tracked % GLANCE == 0:
            self._person.learn(picture, placed.face)
        self._tracked += 1

    def _forget(self) -> None:
        self._last = self._before = self._place = None
        self._missing = 0


def _placed(face: Face | None) -> _Placed | None:
    return None if face is None else _Placed(face, region_of(face.landmarks))


def _inside(face: Face, picture: Frame) -> bool:
    """Whether at least half of the face is in the picture."""
    height, width = picture.y.shape
    points = face.landmarks
    seen = (points[:, 0] > 0) & (points[:, 0] < width) & (points[:, 1] > 0) & (points[:, 1] < height)
    return bool(seen.mean() > 0.5)
