"""The first pass: read the video once, follow one face through it, and let the engines observe each frame."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from lipsync.engines.base import Engine
from lipsync.errors import InputError, NoFrames
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.selection import most_seen
from lipsync.faces.track import Track, TrackBuilder
from lipsync.faces.tracker import TrackedFrame, follow
from lipsync.files import SYSTEM_SCRATCH, Scratch
from lipsync.frames.prefetch import prefetch
from lipsync.media.reader import key_frames, read
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, watched
from lipsync.types import Frame, VideoClip


@contextmanager
def track_faces(
    video: VideoClip,
    limit: int,
    select: str,
    engines: Sequence[Engine],
    sessions: SessionCache,
    monitor: Monitor,
    scratch: Scratch = SYSTEM_SCRATCH,
    *,
    studied: int = 0,
) -> Iterator[Track]:
    """Follow the selected face through the first ``limit`` frames; the length of the track is the number of frames.

    ``studied``: frames of the track if these are more than ``limit``. The engines do not observe the rest, and it ends
    early where it cannot be read. ``scratch``: for the file of landmarks.

    Raises NoFaceFound (unless no engine needs a face), MediaTruncated, NoFrames, Cancelled.
    """
    info, last = video.video, max(limit, studied)
    needs_faces = any(engine.needs_faces for engine in engines)
    with ExitStack() as stack:
        frames = stack.enter_context(prefetch(read(video, stop=last, read_only=True)))
        builder = stack.enter_context(TrackBuilder(scratch.open()))
        found = _tracked(frames, key_frames(video, limit) if needs_faces else None, select, sessions)
        tracked = stack.enter_context(prefetch(found))  # the engines study one frame while the next ones are tracked
        try:
            for item in watched(tracked, monitor, "track", min(last, info.frame_count)):
                for engine in engines if len(builder) < limit else ():
                    engine.observe(item.frame, item.face if engine.needs_faces else None)
                builder.add(item.face, item.cut)
        except InputError:
            if len(builder) < limit:
                raise
        track = stack.enter_context(builder.finish(info.rate, faceless=not needs_faces))
        if not len(track):
            raise NoFrames(f"{video.path}: the video contains no frames")
        yield track


@contextmanager
def track_reference(
    video: VideoClip,
    limit: int,
    select: str,
    sessions: SessionCache,
    monitor: Monitor,
    scratch: Scratch = SYSTEM_SCRATCH,
) -> Iterator[Track]:
    """Follow the selected face through the first ``limit`` frames of a reference clip. Raises as ``track_faces``."""
    with ExitStack() as stack:
        frames = stack.enter_context(prefetch(read(video, stop=limit, read_only=True)))
        builder = stack.enter_context(TrackBuilder(scratch.open()))
        tracked = stack.enter_context(closing(_tracked(frames, key_frames(video, limit), select, sessions)))
        for item in watched(tracked, monitor, "study", min(limit, video.video.frame_count)):
            builder.add(item.face, item.cut)
        yield stack.enter_context(builder.finish(video.video.rate))


def _tracked(
    frames: Iterator[Frame], survey: Generator[Frame, None, None] | None, select: str, sessions: SessionCache
) -> Generator[TrackedFrame, None, None]:
    """Track the person whom ``select`` chooses in most frames of ``survey``; without one, no face."""
    if survey is None:
        yield from (TrackedFrame(frame, None, False) for frame in frames)
        return
    # The second pass needs the memory.
    with Landmarker.open(sessions, kept=False) as landmarker, Recogniser.open(sessions) as recogniser:
        with closing(survey):
            person = most_seen(survey, landmarker, recogniser, select)
        yield from follow(frames, landmarker, person)
