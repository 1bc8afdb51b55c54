"""The first pass: how long the footage really is, and where the followed face is in it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from lipsync.engines.base import Engine
from lipsync.errors import NoFrames
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.track import Track, TrackBuilder
from lipsync.faces.tracker import TrackedFrame, follow
from lipsync.media.prefetch import prefetch
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, watched
from lipsync.types import Frame, VideoClip


@contextmanager
def track_faces(
    footage: VideoClip, limit: int, select: str, engines: Sequence[Engine], sessions: SessionCache, monitor: Monitor
) -> Iterator[Track]:
    """Follow one face through at most ``limit`` frames and let the engines look at each.

    Raises NoFaceFound (unless no engine needs a face), MediaTruncated, NoFrames, Cancelled.
    """
    video = footage.video
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(read(footage, stop=limit, read_only=True)))
        builder = stack.enter_context(TrackBuilder())
        needed = any(engine.needs_faces for engine in engines)
        seen = stack.enter_context(closing(_sightings(pictures, select if needed else None, sessions)))
        for sighting in watched(seen, monitor, "track", min(limit, video.frame_count)):
            for engine in engines:
                engine.observe(sighting.frame, sighting.face if engine.needs_faces else None)
            builder.add(sighting.face, sighting.cut)
        track = stack.enter_context(builder.finish(video.rate, faceless=not needed))
        if not len(track):
            raise NoFrames(f"{footage.path}: the video contains no frames")
        yield track


def _sightings(
    pictures: Iterator[Frame], select: str | None, sessions: SessionCache
) -> Generator[TrackedFrame, None, None]:
    if select is None:
        yield from (TrackedFrame(picture, None, False) for picture in pictures)
        return
    with Landmarker.open(sessions) as landmarker:
        yield from follow(pictures, landmarker, select)
