"""Let the engines learn about the person: from the video's own sound, and from a reference clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from math import ceil
from typing import Final

from lipsync.engines.base import Engine, OwnSound
from lipsync.errors import InputError
from lipsync.faces.smoothed_faces import SmoothedFaces
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
        self._face_select = job.face_select
        self._learners = [engine for engine in engines if engine.adapts and job.adapts]
        self._own = bool(self._learners) and _has_own_sound(video, job)

    def study(self, frames: int, sessions: SessionCache) -> None:
        """Study the reference clip, and the video itself if the ``frames`` of the output are few of its frames.

        Raises NoFaceFound, NoFrames, MediaTruncated, AudioTooShort and AudioInvalid for the reference clip, DiskFull,
        Cancelled, and what ``Engine.listen`` and ``Engine.study`` raise.
        """
        if self._learners and self._reference is not None:
            self._study(self._reference, min(self._reference.video.duration, MAX_SECONDS), sessions)
        if self._own and self._is_short(frames):
            with suppress(InputError):  # the own sound may be bad, and the first pass reports bad pictures
                self._study(self._video, min(self._video.video.duration, WORTHWHILE_SECONDS), sessions)

    @contextmanager
    def listening(self, frames: int) -> Iterator[None]:
        """Hear the video's first ``frames`` frames in a thread until the block ends, unless it was studied.

        Raises what ``Engine.listen`` raises.
        """
        seconds = min(self._video.video.duration, frames / self._video.video.rate, MAX_SECONDS)
        if not self._own or self._is_short(frames) or seconds < MIN_SECONDS:
            yield
            return
        with _in_thread(lambda stop: self._listen(self._video, seconds, stop, needed=False)):
            yield

    def _study(self, clip: VideoClip, seconds: Fraction, sessions: SessionCache) -> None:
        with ExitStack() as stack:
            with _in_thread(lambda stop: self._listen(clip, seconds, stop, needed=True)):
                limit = ceil(seconds * clip.video.rate)
                track = track_reference(clip, limit, self._face_select, sessions, self._monitor)
                faces = SmoothedFaces(stack.enter_context(track))
            for engine in self._learners:
                engine.study(faces)

    def _listen(self, clip: VideoClip, seconds: Fraction, stop: Monitor, *, needed: bool) -> None:
        try:
            with _own_sound(clip, seconds, stop) as sound:
                for engine in self._learners:
                    engine.listen(sound)
        except InputError:
            if needed:
                raise

    def _is_short(self, frames: int) -> bool:
        video = self._video.video
        return frames / video.rate < ENOUGH_SHARE * min(video.duration, WORTHWHILE_SECONDS)


def _has_own_sound(video: VideoClip, job: Job) -> bool:
    """Whether the video has a sound that its mouth may follow, and that does not drive it anyway."""
    return video.audio is not None and not video.still and job.video.resolve() != job.audio.resolve()


@contextmanager
def _own_sound(clip: VideoClip, seconds: Fraction, monitor: Monitor) -> Iterator[OwnSound]:
    delay = audio_of(clip).start - clip.video.start
    with decode_speech(clip, allow_clipped=True, seconds=max(seconds - delay, Fraction(1))) as speech:
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
