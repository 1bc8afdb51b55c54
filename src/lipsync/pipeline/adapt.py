"""Let the engines learn about the person: from the video's own sound, and from a reference clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from math import ceil
from typing import Final

from lipsync.engines.base import Engine, OwnSound
from lipsync.errors import InputError
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track
from lipsync.files import Scratch
from lipsync.media.audio_reader import decode_speech
from lipsync.media.probe import audio_of
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job
from lipsync.pipeline.track import track_reference
from lipsync.types import VideoClip

MAX_SECONDS: Final = Fraction(180)  # of a reference clip or of the frames of the output; more teaches little
MIN_SECONDS: Final = Fraction(2)  # less teaches nothing
WORTHWHILE_SECONDS: Final = Fraction(60)  # of a video, which are studied even if the output is shorter
ENOUGH_SHARE: Final = Fraction(1, 2)  # of those: the frames of an output that long teach enough


class Lessons:
    """The footage from which the engines of one attempt learn. ``video``: with the job's frame transform."""

    def __init__(
        self, job: Job, video: VideoClip, reference: VideoClip | None, engines: Sequence[Engine], monitor: Monitor
    ) -> None:
        self._video, self._reference, self._monitor = video, reference, monitor
        self._face_select, self._scratch = job.face_select, job.scratch
        self._learners = [engine for engine in engines if engine.adapts and job.adapts]
        self._own = bool(self._learners) and _has_own_sound(video, job)

    def study(self, sessions: SessionCache) -> None:
        """Study the reference clip.

        Raises NoFaceFound, NoFrames, MediaTruncated, AudioTooShort, AudioInvalid, DiskFull, Cancelled, and what
        ``Engine.listen`` and ``Engine.study`` raise.
        """
        if self._learners and self._reference is not None:
            clip = self._reference
            seconds = min(clip.video.duration, MAX_SECONDS)
            with ExitStack() as stack:
                with _in_thread(lambda stop: self._listen(clip, seconds, stop, needed=True)):
                    limit = ceil(seconds * clip.video.rate)
                    track = track_reference(clip, limit, self._face_select, sessions, self._monitor, self._scratch)
                    faces = SmoothedFaces(stack.enter_context(track))
                for engine in self._learners:
                    engine.study(faces)

    def frames(self, shown: int) -> int:
        """The number of the video's frames to track if the output shows ``shown``: more, if these are few of them."""
        return max(shown, ceil(self._seconds(shown) * self._video.video.rate)) if self._studies(shown) else shown

    @contextmanager
    def listening(self, shown: int) -> Iterator[None]:
        """Hear these ``frames`` of the video in a thread until the block ends.

        Raises what ``Engine.listen`` raises.
        """
        seconds = self._seconds(shown)
        if not self._own or seconds < MIN_SECONDS:
            yield
            return
        with _in_thread(lambda stop: self._listen(self._video, seconds, stop, needed=False)):
            yield

    def finish(self, shown: int, track: Track) -> None:
        """See the ``frames`` that were heard and tracked, unless the output shows all that matters of them.

        Raises what ``Engine.study`` raises.
        """
        if self._studies(shown):
            faces = SmoothedFaces(track)
            for engine in self._learners:
                engine.study(faces)

    def _listen(self, clip: VideoClip, seconds: Fraction, stop: Monitor, *, needed: bool) -> None:
        try:
            with _own_sound(clip, seconds, stop, self._scratch) as sound:
                for engine in self._learners:
                    engine.listen(sound)
        except InputError:
            if needed:
                raise

    def _studies(self, shown: int) -> bool:
        """Whether the ``shown`` frames are too few to learn from."""
        video = self._video.video
        return self._own and shown / video.rate < ENOUGH_SHARE * min(video.duration, WORTHWHILE_SECONDS)

    def _seconds(self, shown: int) -> Fraction:
        """How much of the video to learn from."""
        video = self._video.video
        longest = WORTHWHILE_SECONDS if self._studies(shown) else min(shown / video.rate, MAX_SECONDS)
        return min(video.duration, longest)


def _has_own_sound(video: VideoClip, job: Job) -> bool:
    """Whether the video has a sound that its mouth may follow, and that does not drive it anyway."""
    return video.audio is not None and not video.still and job.video.resolve() != job.audio.resolve()


@contextmanager
def _own_sound(clip: VideoClip, seconds: Fraction, monitor: Monitor, scratch: Scratch) -> Iterator[OwnSound]:
    delay = audio_of(clip).start - clip.video.start
    heard = max(seconds - delay, Fraction(1))
    with decode_speech(clip, allow_clipped=True, seconds=heard, scratch=scratch) as speech:
        yield OwnSound(speech, delay, seconds, monitor)


@contextmanager
def _in_thread(work: Callable[[Monitor], None]) -> Iterator[None]:
    """Do ``work`` in a thread while the block runs; an error in the block cancels it. Raises what ``work`` raises."""
    stop = Monitor()
    with ThreadPoolExecutor(1, "listening") as pool:
        done = pool.submit(work, stop)
        try:
            yield
        except BaseException:
            stop.cancel()
            raise
        done.result()
