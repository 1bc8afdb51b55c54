"""Pictures out of a file, in order or bouncing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from lipsync.errors import NoVideoStream
from lipsync.frames.planes import contiguous_copy, writable_copy
from lipsync.media.decoding import decoded
from lipsync.media.probe import open_media, picture_stream
from lipsync.media.transform import apply_transform
from lipsync.media.video_frames import planes_of
from lipsync.types import Frame, FrameTransform, VideoClip, VideoInfo

HELD = 96 << 20  # bytes of pictures held at once when footage runs backwards
FEWEST = 12  # of them, however large they are


def read(
    clip: VideoClip, *, start: int = 0, stop: int | None = None, read_only: bool = False
) -> Generator[Frame, None, None]:
    """The clip's pictures from frame ``start`` up to ``stop``, upright, in 4:2:0 of 8 or 10 bits, at its constant rate.

    Where the file's own times are uneven, frames are shown again or left out. The same number gives the same picture
    wherever reading starts. A clip's ``transform`` is applied. ``read_only``: the pictures are only to be looked at,
    which spares copies.

    Raises MediaTruncated, and what ``open_media`` raises.
    """
    shown: tuple[int, VideoFrame] | None = None
    with closing(_numbered(clip, start)) as frames:
        for number, frame in frames:
            if shown is None:
                shown = (min(number, start), frame)
                continue
            for index in range(max(shown[0], start), number if stop is None else min(number, stop)):
                yield _picture(index, shown[1], clip, read_only)
            if stop is not None and number >= stop:
                return
            shown = (max(number, shown[0]), frame)
    if shown is not None and shown[0] >= start:
        yield _picture(shown[0], shown[1], clip, read_only)


def ping_pong(clip: VideoClip, count: int, length: int, held: int = HELD) -> Generator[Frame, None, None]:
    """``count`` pictures of footage of ``length`` frames: forwards, backwards, forwards …

    Backwards it is read in runs of so many pictures as take ``held`` bytes.
    """
    if length == 1:
        yield from _again_and_again(clip, count)
        return
    with closing(_back_and_forth(clip, length, held)) as pictures:
        for _ in range(count):
            yield next(pictures)


def loop(clip: VideoClip, count: int, length: int) -> Generator[Frame, None, None]:
    """``count`` pictures of footage of ``length`` frames: forwards, and again from the start."""
    if length == 1:
        yield from _again_and_again(clip, count)
        return
    for start in range(0, count, length):
        yield from read(clip, stop=min(length, count - start))


def _again_and_again(clip: VideoClip, count: int) -> Iterator[Frame]:
    (only,) = read(clip, stop=1)
    for _ in range(count):
        yield writable_copy(only)


def _back_and_forth(clip: VideoClip, length: int, held: int) -> Generator[Frame, None, None]:
    yield from read(clip, stop=length)
    while True:
        yield from _backwards(clip, length - 1, held)
        yield from read(clip, start=1, stop=length)


def _backwards(clip: VideoClip, stop: int, held: int) -> Iterator[Frame]:
    video = clip.video
    size = max(FEWEST, held // (video.width * video.height * (3 if video.depth > 8 else 2)))
    while stop > 0:
        start = max(0, stop - size)
        pictures = list(read(clip, start=start, stop=stop))
        while pictures:
            yield pictures.pop()
        stop = start


def _numbered(clip: VideoClip, start: int) -> Generator[tuple[int, VideoFrame], None, None]:
    """Decoded frames with their numbers, from one at or before ``start`` on."""
    if start > 0:
        with open_media(clip.path) as container:
            stream = _stream(container, clip)
            frames = decoded(clip.path, container, stream, VideoFrame)
            if _sought(container, stream, clip, start):
                first = next(frames, None)
                number = None if first is None else _number(first, clip)
                if first is not None and number is not None and number <= start:
                    yield number, first
                    yield from _counted(frames, clip, number + 1)
                    return
    with open_media(clip.path) as container:
        frames = decoded(clip.path, container, _stream(container, clip), VideoFrame)
        yield from _counted(frames, clip, 0)


def _stream(container: InputContainer, clip: VideoClip) -> VideoStream:
    stream = picture_stream(container)
    if stream is None:
        raise NoVideoStream(f"{clip.path}: there is no picture in it")
    stream.thread_type = "AUTO"
    return stream


def _sought(container: InputContainer, stream: VideoStream, clip: VideoClip, start: int) -> bool:
    """Go to the last key frame before frame ``start``; False if the file does not allow it."""
    video = clip.video
    if stream.time_base is None:
        return False
    try:
        container.seek(int((video.start + start / video.rate) / stream.time_base), stream=stream)
    except av.error.FFmpegError:
        return False
    return True


def _counted(frames: Iterator[VideoFrame], clip: VideoClip, number: int) -> Iterator[tuple[int, VideoFrame]]:
    for frame in frames:
        told = _number(frame, clip)
        number = number if told is None else told
        yield number, frame
        number += 1


def _number(frame: VideoFrame, clip: VideoClip) -> int | None:
    """The frame's place at the clip's constant rate; None if the file does not tell times."""
    video = clip.video
    if clip.still:
        return 0
    if frame.pts is None or frame.time_base is None:
        return None
    return round((frame.pts * frame.time_base - video.start) * video.rate)


def _picture(index: int, frame: VideoFrame, clip: VideoClip, read_only: bool) -> Frame:
    video = clip.video
    if clip.still:
        frame = _opaque(frame)
    turns = video.rotation // 90
    planes = planes_of(_planar(frame, video, clip.transform))
    if turns:
        planes = [np.rot90(plane, turns) for plane in planes]
    if clip.transform is not None:
        planes = apply_transform(planes, clip.transform)
    if not read_only or turns:
        planes = contiguous_copy(planes)
    if read_only:
        for plane in planes:
            plane.flags.writeable = False
    y, u, v = planes
    return Frame(index, y, u, v, 8 if video.depth == 8 else 10, video.colour)


def _planar(frame: VideoFrame, video: VideoInfo, transform: FrameTransform | None) -> VideoFrame:
    """The coded frame in 4:2:0 of 8 or 10 bits, at the clip's size, its colours meaning what they meant."""
    name = "yuv420p" if video.depth == 8 else "yuv420p10le"
    width, height = (video.width, video.height) if transform is None else transform.source_size
    size = (height, width) if video.rotation % 180 else (width, height)
    if frame.format.name in (name, name.replace("yuv", "yuvj")) and size == (frame.width, frame.height):
        return frame
    if frame.format.is_rgb or frame.format.has_palette:
        return frame.reformat(*size, name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    span = ColorRange.JPEG if video.colour.full_range else ColorRange.MPEG
    return frame.reformat(*size, name, src_color_range=span, dst_color_range=span)


def _opaque(frame: VideoFrame) -> VideoFrame:
    """A photo with transparent parts on black."""
    if not frame.format.has_palette and not any(component.is_alpha for component in frame.format.components):
        return frame
    rgba = frame.to_ndarray(format="rgba").astype(np.uint16)
    return VideoFrame.from_ndarray((rgba[..., :3] * rgba[..., 3:] // 255).astype(np.uint8), format="rgb24")
