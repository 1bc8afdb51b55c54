"""Read a clip's frames in order, ping-pong or looped."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from lipsync.errors import MediaTruncated
from lipsync.frames.planes import contiguous_copy, writable_copy
from lipsync.media.decoding import decoded
from lipsync.media.probe import open_media, video_stream
from lipsync.media.transform import apply_transform
from lipsync.media.transparency import BLACK, flattened, is_planar, is_transparent, scaled_alpha
from lipsync.media.video_frames import planes_of
from lipsync.types import Frame, FrameTransform, VideoClip, VideoInfo

BUFFER_BYTES = 96 << 20  # of frames held in memory while a clip plays backwards
SURVEYED = 12  # times of which key frames are read
MIN_BUFFER_FRAMES, MAX_BUFFER_FRAMES = 12, 16  # held at least and at most, whatever their size


def read(
    clip: VideoClip, *, start: int = 0, stop: int | None = None, read_only: bool = False
) -> Generator[Frame, None, None]:
    """Yield the frames ``start`` to ``stop``, excluded: upright, 4:2:0 of 8 or 10 bits, at the clip's constant rate.

    Where the file's own frame times are uneven, frames are repeated or dropped. The same number always gives the same
    frame, wherever reading starts. The clip's ``transform`` is applied. ``read_only``: frames that must not be changed,
    which saves copies.

    Raises MediaTruncated, and what ``open_media`` raises.
    """
    current: tuple[int, VideoFrame] | None = None
    with closing(_numbered(clip, start)) as frames:
        for number, frame in frames:
            if current is None:
                current = (min(number, start), frame)
                continue
            for index in range(max(current[0], start), number if stop is None else min(number, stop)):
                yield _converted(index, current[1], clip, read_only)
            if stop is not None and number >= stop:
                return
            current = (max(number, current[0]), frame)
    if current is None:
        return
    end = max(clip.video.frame_count if clip.video.variable else 0, current[0] + 1)
    for index in range(max(current[0], start), end if stop is None else min(end, stop)):
        yield _converted(index, current[1], clip, read_only)


def key_frames(clip: VideoClip, stop: int, count: int = SURVEYED) -> Generator[Frame, None, None]:
    """Yield the last key frames before ``count`` times that are spread over the first ``stop`` frames.

    A frame comes again for each such time until the next key frame, read-only, and numbered from 0. There are none in
    photos, in clips that cannot be searched, and where a frame cannot be decoded. Raises what ``open_media`` raises.
    """
    if clip.still or clip.joints or stop < 2:
        return
    with open_media(clip.path) as container:
        stream = video_stream(clip.path, container)
        latest: tuple[int | None, Frame] | None = None
        for number in range(count):
            if number > 0 and not _seek(container, stream, clip, stop * number // count):
                return
            packet = next((packet for packet in container.demux(stream) if packet.is_keyframe), None)
            if packet is None:
                continue
            if latest is None or packet.pts != latest[0]:
                frame = _alone(packet, stream)
                if frame is None:
                    continue
                latest = packet.pts, _converted(number, frame, clip, True)
            yield latest[1]


def _alone(packet: Packet[VideoStream], stream: VideoStream) -> VideoFrame | None:
    """Decode one packet without those after it."""
    decoder = stream.codec_context
    try:
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.error.FFmpegError:
        return None
    finally:
        decoder.flush_buffers()
    return frames[0] if frames else None


def ping_pong(
    clip: VideoClip, count: int, length: int, buffer_bytes: int = BUFFER_BYTES
) -> Generator[Frame, None, None]:
    """Yield ``count`` frames of a clip of ``length`` frames, played forwards, backwards, forwards …

    Backwards, the clip is read in sections of up to ``buffer_bytes`` and MAX_BUFFER_FRAMES. Longer ones would save
    decoding only between distant key frames.
    """
    if length == 1:
        yield from _repeated(clip, count)
        return
    with closing(_forwards_and_backwards(clip, length, buffer_bytes)) as frames:
        for _ in range(count):
            yield next(frames)


def loop(clip: VideoClip, count: int, length: int) -> Generator[Frame, None, None]:
    """Yield ``count`` frames of a clip of ``length`` frames, restarting at its end."""
    if length == 1:
        yield from _repeated(clip, count)
        return
    for start in range(0, count, length):
        yield from read(clip, stop=min(length, count - start))


def _repeated(clip: VideoClip, count: int) -> Iterator[Frame]:
    (frame,) = read(clip, stop=1)
    for _ in range(count):
        yield writable_copy(frame)


def _forwards_and_backwards(clip: VideoClip, length: int, buffer_bytes: int) -> Generator[Frame, None, None]:
    yield from read(clip, stop=length)
    while True:
        yield from _backwards(clip, length - 1, buffer_bytes)
        yield from read(clip, start=1, stop=length)


def _backwards(clip: VideoClip, stop: int, buffer_bytes: int) -> Iterator[Frame]:
    video = clip.video
    frame_bytes = video.width * video.height * (3 if video.depth > 8 else 2)
    size = min(max(MIN_BUFFER_FRAMES, buffer_bytes // frame_bytes), MAX_BUFFER_FRAMES)
    while stop > 0:
        start = max(0, stop - size)
        frames = list(read(clip, start=start, stop=stop))
        while frames:
            yield frames.pop()
        stop = start


def _numbered(clip: VideoClip, start: int) -> Generator[tuple[int, VideoFrame], None, None]:
    """Yield decoded frames with their numbers, beginning at or before ``start``."""
    if clip.picture:
        yield from _pictures(clip)
        return
    if start > 0 and not clip.joints:
        with open_media(clip.path) as container:
            stream = _threaded_stream(container, clip)
            frames = decoded(clip.path, container, stream, VideoFrame, clip.joints)
            if _seek(container, stream, clip, start):
                first = next(frames, None)
                number = None if first is None else _number(first, clip)
                if first is not None and number is not None and number <= start:
                    yield number, first
                    yield from _counted(frames, clip, number + 1)
                    return
    with open_media(clip.path) as container:
        frames = decoded(clip.path, container, _threaded_stream(container, clip), VideoFrame, clip.joints)
        yield from _counted(frames, clip, 0)


def _pictures(clip: VideoClip) -> Iterator[tuple[int, VideoFrame]]:
    """The pictures of a photo or an animation; the last one again where its delay ends."""
    from lipsync.media.picture import open_picture

    video = clip.video
    with open_picture(clip.path, (clip.container.upper(),)) as picture:
        if picture is None:
            raise MediaTruncated(f"{clip.path}: the picture is truncated or damaged")
        size = (video.width, video.height) if clip.transform is None else clip.transform.source_size
        frame = None
        for frame in picture.frames(size, transparent=video.transparent):
            yield _number(frame, clip) or 0, frame
        if frame is not None and video.frame_count > 1:
            yield video.frame_count - 1, frame


def _threaded_stream(container: InputContainer, clip: VideoClip) -> VideoStream:
    """The video stream, decoded by half of the cores: the rest of the job needs the others."""
    stream = video_stream(clip.path, container)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = max(1, (os.cpu_count() or 1) // 2)
    return stream


def _seek(container: InputContainer, stream: VideoStream, clip: VideoClip, start: int) -> bool:
    """Seek to the last key frame before frame ``start``; return False if the file does not support it."""
    video = clip.video
    if stream.time_base is None:
        return False
    try:
        container.seek(int((video.start + start / video.rate) / stream.time_base), stream=stream)
    except av.error.FFmpegError:
        return False
    return True


def _counted(frames: Iterator[VideoFrame], clip: VideoClip, number: int) -> Iterator[tuple[int, VideoFrame]]:
    """Number frames by their times, else by counting from ``number``."""
    for frame in frames:
        timed = _number(frame, clip)
        number = number if timed is None else timed
        yield number, frame
        number += 1


def _number(frame: VideoFrame, clip: VideoClip) -> int | None:
    """The frame's number at the clip's constant rate; None if the file has no frame times."""
    video = clip.video
    if clip.still:
        return 0
    if frame.pts is None or frame.time_base is None:
        return None
    return round((frame.pts * frame.time_base - video.start) * video.rate)


def _converted(index: int, frame: VideoFrame, clip: VideoClip, read_only: bool) -> Frame:
    video = clip.video
    depth, alpha = 8 if video.depth == 8 else 10, None
    if is_transparent(frame.format) or frame.format.has_palette:
        max_value = (1 << frame.format.components[0].bits) - 1 if is_planar(frame.format) else 255
        background = None if clip.keeps_transparency else clip.background or BLACK
        frame, alpha = flattened(frame, video.colour, background)
    quarter_turns = video.rotation // 90
    planar = _planar(frame, video, clip.transform)
    planes = planes_of(planar)
    if alpha is not None:
        planes.append(scaled_alpha(alpha, (planar.width, planar.height), max_value, (1 << depth) - 1))
    if video.mirrored:
        planes = [plane[::-1] for plane in planes]
    if quarter_turns:
        planes = [np.rot90(plane, quarter_turns) for plane in planes]
    if clip.transform is not None:
        planes = apply_transform(planes, clip.transform)
    if not read_only or video.mirrored or quarter_turns:
        planes = contiguous_copy(planes)
    if read_only:
        for plane in planes:
            plane.flags.writeable = False
    y, u, v, *rest = planes
    return Frame(index, y, u, v, depth, video.colour, rest[0] if rest else None)


def _planar(frame: VideoFrame, video: VideoInfo, transform: FrameTransform | None) -> VideoFrame:
    """Convert to 4:2:0 of 8 or 10 bits at the size before ``transform``; matrix and range stay, RGB becomes BT.709."""
    name = "yuv420p" if video.depth == 8 else "yuv420p10le"
    width, height = (video.width, video.height) if transform is None else transform.source_size
    size = (height, width) if video.rotation % 180 else (width, height)
    if frame.format.name in (name, name.replace("yuv", "yuvj")) and size == (frame.width, frame.height):
        return frame
    if frame.format.is_rgb or frame.format.has_palette:
        return frame.reformat(*size, name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    colour_range = ColorRange.JPEG if video.colour.full_range else ColorRange.MPEG
    return frame.reformat(*size, name, src_color_range=colour_range, dst_color_range=colour_range)
