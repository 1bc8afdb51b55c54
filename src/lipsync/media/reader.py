"""Pictures out of a file, in order or bouncing."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.video.frame import VideoFrame

from lipsync.errors import MediaTruncated
from lipsync.media.probe import open_media, picture_stream, video_of
from lipsync.types import Clip, Picture, Plane

CHUNK = 96 << 20  # bytes of pictures held at once when footage runs backwards


def bounced(i: int, n: int) -> int:
    """Frame of ``n`` frames of footage that output frame ``i`` shows: 0 1 … n-1 n-2 … 1 0 1 …"""
    if n == 1:
        return 0
    place = i % (2 * n - 2)
    return place if place < n else 2 * n - 2 - place


def read(clip: Clip, *, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
    """The clip's pictures from frame ``start`` up to ``stop``, upright, in planar 4:2:0."""
    video = video_of(clip)
    target = "yuv420p" if video.depth == 8 else "yuv420p10le"
    with open_media(clip.path) as container:
        stream = picture_stream(container)
        assert stream is not None
        stream.thread_type = "AUTO"
        try:
            for index, frame in enumerate(container.decode(stream)):
                if stop is not None and index >= stop:
                    return
                if index >= start:
                    yield _picture(index, frame, target, clip)
        except av.error.FFmpegError as exc:
            raise MediaTruncated(f"{clip.path}: decoding failed") from exc


def bounce(clip: Clip, count: int, length: int) -> Iterator[Picture]:
    """``count`` pictures of footage of ``length`` frames: forwards, backwards, forwards …"""
    if length == 1:
        only = next(iter(read(clip, stop=1)))
        for _ in range(count):
            yield _copy(only)
        return
    done = 0
    while done < count:
        for picture in read(clip, stop=min(length, count - done) if done == 0 else length):
            if done and picture.index == 0:
                continue
            yield picture
            done += 1
            if done == count:
                return
        for picture in _backwards(clip, length - 1):
            yield picture
            done += 1
            if done == count:
                return


def _backwards(clip: Clip, stop: int) -> Iterator[Picture]:
    video = video_of(clip)
    size = max(1, CHUNK // (video.width * video.height * 3 // 2))
    while stop > 0:
        start = max(0, stop - size)
        yield from reversed(list(read(clip, start=start, stop=stop)))
        stop = start


def _copy(p: Picture) -> Picture:
    return Picture(p.index, p.y.copy(), p.u.copy(), p.v.copy(), p.depth, p.colour)


def _picture(index: int, frame: VideoFrame, target: str, clip: Clip) -> Picture:
    video = video_of(clip)
    same = frame.format.name == target or (frame.format.name == "yuvj420p" and target == "yuv420p")
    if not same or clip.still:
        width, height = (video.height, video.width) if video.rotation in (90, 270) else (video.width, video.height)
        frame = frame.reformat(width, height, format=target)
    turns = video.rotation // 90
    planes = [np.rot90(_plane(frame, k), turns) if turns else _plane(frame, k) for k in range(3)]
    y, u, v = (np.ascontiguousarray(p) if turns else p.copy() for p in planes)
    return Picture(index, y, u, v, video.depth if video.depth == 8 else 10, video.colour)


def _plane(frame: VideoFrame, k: int) -> Plane:
    plane = frame.planes[k]
    wide = 2 if "10" in frame.format.name else 1
    data = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width * wide]
    return data.view(np.uint16) if wide == 2 else data
