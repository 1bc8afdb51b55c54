"""Track one person's face through a stream of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from lipsync.faces.cuts import change, is_blank, is_cut_candidate, normalise_thumbnail
from lipsync.faces.geometry import eye_distance
from lipsync.faces.landmarker import PARALLEL_FRAMES, Landmarker, PendingFace
from lipsync.faces.region import Region, region_of
from lipsync.faces.selection import SAME_PERSON, STRANGER, Person
from lipsync.frames.rgb import luma_thumbnail
from lipsync.types import Face, Float32, Frame

LOOK_AHEAD = 4  # frames held back to distinguish a cut from a flash
MAX_PAST = 6  # thumbnails kept for the same purpose
STALE_OFFSET = 0.1  # of a face from its square, above which its landmarks are computed again
SETTLED_OFFSET = 0.03  # offset at which that repetition ends
SURE_SCORE = 0.9998  # of a face in the middle of its square; with a lower score it may be beside it
MAX_REPEATS = 4
MAX_GUESS_OFFSET = 0.3  # of a square guessed ahead from the expected one, above which its result is discarded
DOUBT_JUMP, CUT_JUMP = 0.4, 0.6  # eye distances off its prediction, where a face is doubted or a cut accepted
STRONG_CHANGE = 0.3  # of the thumbnail; a cut even without a face to confirm it
IDENTITY_INTERVAL = 8  # frames between two checks of the person's identity
NEAR_SEARCHES = 5  # frames after a loss in which only the last position is searched
SEARCH_INTERVAL, THOROUGH_INTERVAL = 3, 12  # frames between two searches of the whole frame; of those with tiles


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame, the tracked face in it (None if out of view), and whether a new shot begins with it."""

    frame: Frame
    face: Face | None
    cut: bool


def follow(frames: Iterable[Frame], landmarker: Landmarker, person: Person) -> Generator[TrackedFrame, None, None]:
    """Track one person; if none is known yet, the first frame that shows a face decides.

    Yields one TrackedFrame per frame, in order, up to LOOK_AHEAD frames behind the source.
    """
    tracker = _Tracker(landmarker, person)
    try:
        for frame in frames:
            tracker.add(frame)
            if tracker.full:
                yield tracker.next()
        while tracker.pending:
            yield tracker.next()
    finally:
        tracker.cancel()


@dataclass(slots=True)
class _Pending:
    """A frame that waits for its result. ``result``: the face in ``region``, guessed ahead of time."""

    frame: Frame
    thumbnail: Float32
    region: Region | None = None
    result: PendingFace | None = None


@dataclass(frozen=True, slots=True)
class _Located:
    face: Face
    region: Region


class _Tracker:
    """The state of one pass."""

    def __init__(self, landmarker: Landmarker, person: Person) -> None:
        self._landmarker, self._person = landmarker, person
        self._queue: deque[_Pending] = deque()
        self._past: deque[Float32] = deque(maxlen=MAX_PAST)
        self._last: Region | None = None
        self._before_last: Region | None = None
        self._lost_at: Region | None = None
        self._sure = False
        self._tracked = 0
        self._missing = 0

    @property
    def pending(self) -> bool:
        return bool(self._queue)

    @property
    def full(self) -> bool:
        return len(self._queue) > LOOK_AHEAD

    def add(self, frame: Frame) -> None:
        self._queue.append(_Pending(frame, normalise_thumbnail(luma_thumbnail(frame))))
        self._start_ahead()

    def cancel(self) -> None:
        for pending in self._queue:
            if pending.result is not None:
                pending.result.discard()
        self._queue.clear()

    def next(self) -> TrackedFrame:
        """Decide on the oldest frame."""
        pending = self._queue.popleft()
        frame = pending.frame
        candidate = is_cut_candidate(list(self._past), pending.thumbnail, [later.thumbnail for later in self._queue])
        had_face = self._last is not None
        located = self._tracked_face(pending)
        cut = candidate and (self._lost_by_cut(pending) if located is None else self._is_new_shot(frame, located))
        if cut:
            self._forget_position()
            located = _located(self._person.match(self._landmarker.find(frame), frame))
        elif located is None:
            located = _located(self._search(frame, just_lost=had_face))
        self._remember(frame, located)
        if not is_blank(pending.thumbnail):
            self._past.append(pending.thumbnail)
        self._start_ahead()
        return TrackedFrame(frame, located.face if located is not None else None, cut)

    def _start_ahead(self) -> None:
        """Start on the oldest frames with a guess of the face's position."""
        if self._last is None:
            return
        for steps, pending in enumerate(list(self._queue)[: PARALLEL_FRAMES + 1], start=1):
            if pending.result is None:
                pending.region = self._expected(steps)
                pending.result = self._landmarker.landmarks_later(pending.frame, pending.region)

    def _expected(self, steps: int = 1) -> Region:
        assert self._last is not None
        return self._last if self._before_last is None else self._last.moved(self._before_last, steps)

    def _tracked_face(self, pending: _Pending) -> _Located | None:
        """Return the face at its expected position; None if it is not there, or cannot be the same person's."""
        if self._last is None:
            return None
        region = self._expected()
        face: Face | None = None
        if pending.result is not None and pending.region is not None:
            if region.offset(pending.region) < MAX_GUESS_OFFSET:
                face = pending.result.result()
            if face is not None:
                region = pending.region
        if face is None:
            face = self._landmarker.landmarks(pending.frame, region)
        located = self._settled(pending.frame, _located(face), region)
        if located is None or not _inside(located.face, pending.frame):
            return None
        if self._jump(located) > DOUBT_JUMP:
            return located if self._person.distance(pending.frame, located.face) < SAME_PERSON else None
        if self._tracked % IDENTITY_INTERVAL == 0 and not self._person.is_familiar(
            pending.frame, located.face, STRANGER
        ):
            return None
        return located

    def _settled(self, frame: Frame, located: _Located | None, region: Region) -> _Located | None:
        """Repeat until the face is in the middle of its square; the network pulls other faces towards the middle."""
        if located is None or (located.face.score >= SURE_SCORE and located.region.offset(region) <= STALE_OFFSET):
            return located
        for _ in range(MAX_REPEATS):
            if located is None or located.region.offset(region) <= SETTLED_OFFSET:
                break
            region = located.region
            located = _located(self._landmarker.landmarks(frame, region))
        if located is not None and located.face.score < SURE_SCORE and self._sure:
            near = [face for face in self._landmarker.find_near(frame, located.region) if face.score >= SURE_SCORE]
            return _located(self._person.match(near, frame, located.region, STRANGER)) or located
        return located

    def _lost_by_cut(self, pending: _Pending) -> bool:
        """Return whether a cut candidate without a face is a cut: the face vanished, or the whole frame changed."""
        return self._last is not None or change(self._past[-1], pending.thumbnail) > STRONG_CHANGE

    def _is_new_shot(self, frame: Frame, located: _Located) -> bool:
        return self._jump(located) > CUT_JUMP or not self._person.is_familiar(frame, located.face)

    def _jump(self, located: _Located) -> float:
        """Return the distance from the last or the expected position, whichever is nearer, in eye distances."""
        if self._last is None:
            return 0.0
        now = located.region
        distance = min(np.hypot(now.x - past.x, now.y - past.y) for past in (self._expected(), self._last))
        return float(distance / eye_distance(located.face.landmarks) + abs(np.log2(now.side / self._last.side)))

    def _search(self, frame: Frame, just_lost: bool) -> Face | None:
        """Search for the person, less and less often."""
        if just_lost:
            self._lost_at, self._missing = self._last, 0
        self._missing += 1
        if self._lost_at is not None and self._missing <= NEAR_SEARCHES:
            near = self._landmarker.find_near(frame, self._lost_at)
            return self._person.match(near, frame, self._lost_at, STRANGER)
        turn = self._missing - (NEAR_SEARCHES if self._lost_at else 0) - 1
        if turn % SEARCH_INTERVAL:
            return None
        tiny = self._tracked == 0 and turn == 0  # once, as it takes long: a photo, or the beginning of a video
        faces = self._landmarker.find(frame, thorough=turn % THOROUGH_INTERVAL == 0, tiny=tiny)
        return self._person.match(faces, frame, self._lost_at)

    def _remember(self, frame: Frame, located: _Located | None) -> None:
        if located is None:
            self._last = self._before_last = None
            return
        self._before_last, self._last = self._last, located.region
        self._sure = located.face.score >= SURE_SCORE
        self._missing = 0
        if self._tracked % IDENTITY_INTERVAL == 0:
            self._person.learn(frame, located.face)
        self._tracked += 1

    def _forget_position(self) -> None:
        self._last = self._before_last = self._lost_at = None
        self._missing = 0


def _located(face: Face | None) -> _Located | None:
    return None if face is None else _Located(face, region_of(face.landmarks))


def _inside(face: Face, frame: Frame) -> bool:
    """Return whether at least half of the face is inside the frame."""
    height, width = frame.y.shape
    points = face.landmarks
    visible = (points[:, 0] > 0) & (points[:, 0] < width) & (points[:, 1] > 0) & (points[:, 1] < height)
    return bool(visible.mean() > 0.5)
