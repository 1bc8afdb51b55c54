"""The first pass: how long the footage really is, and where the followed face is in it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager

from lipsync.engines.base import Engine
from lipsync.errors import NoFrames
from lipsync.faces.landmarker import Landmarker
from lipsync.faces.track import Track, TrackBuilder
from lipsync.faces.tracker import Sighting, follow
from lipsync.media.prefetch import prefetch
from lipsync.media.probe import video_of
from lipsync.media.reader import read
from lipsync.monitor import Monitor, watched
from lipsync.types import Clip, Picture


@contextmanager
def track_faces(footage: Clip, limit: int, select: str, engine: Engine, monitor: Monitor) -> Iterator[Track]:
    """Follow one face through at most ``limit`` frames and let ``engine`` look at each.

    Raises NoFaceFound (unless the engine needs no face), MediaTruncated, NoFrames, Cancelled.
    """
    video = video_of(footage)
    with ExitStack() as stack:
        pictures = stack.enter_context(prefetch(read(footage, stop=limit, lent=True)))
        builder = stack.enter_context(TrackBuilder())
        seen = stack.enter_context(closing(_sightings(pictures, select, engine)))
        for sighting in watched(seen, monitor, "track", min(limit, video.frames)):
            engine.observe(sighting.picture, sighting.face)
            builder.add(sighting.face, sighting.cut)
        track = stack.enter_context(builder.finish(video.rate, faceless=not engine.needs_faces))
        if not len(track):
            raise NoFrames(f"{footage.path}: there is not a single picture in it")
        yield track


def _sightings(pictures: Iterator[Picture], select: str, engine: Engine) -> Generator[Sighting, None, None]:
    if not engine.needs_faces:
        yield from (Sighting(picture, None, False) for picture in pictures)
        return
    with Landmarker.open() as landmarker:
        yield from follow(pictures, landmarker, select)
