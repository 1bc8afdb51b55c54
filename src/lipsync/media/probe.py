"""Probe media files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import (
    FileEmpty,
    FileMissing,
    FileUnreadable,
    FrameTooSmall,
    MediaTruncated,
    NoAudioStream,
    NoFrames,
    NotAFile,
    NotMedia,
    NoVideoStream,
)
from lipsync.media.decoding import FrameDecoder
from lipsync.media.file_url import READ_OPTIONS, file_url
from lipsync.media.signatures import picture_formats
from lipsync.media.timing import Timing, check_complete, measure
from lipsync.media.video_frames import is_mirrored
from lipsync.types import AudioInfo, Clip, Colour, VideoClip, VideoInfo

MIN_SIDE = 32  # pixels
MAX_PHOTO_SIDE = 3840  # larger photos are downscaled
STILL_FORMATS = ("image2", "avif")
PAGE_BYTES = 1024  # of a file's beginning, where a web page says what it is
PAGE_TAGS = (b"<!doctype html", b"<html")
BT709 = Colour(1, 1, 1, False)  # the reader converts RGB to it


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, MediaTruncated, NotMedia.
    """
    _check_file(path)
    try:
        return av.open(file_url(path), options=dict(READ_OPTIONS))
    except PermissionError as exc:
        raise _unreadable(path) from exc
    except (av.error.FFmpegError, ValueError) as exc:
        with path.open("rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                raise MediaTruncated(f"{path}: the file is truncated; its index is missing") from exc
        raise _not_media(path) from exc


def _check_file(path: Path) -> None:
    if not path.exists():
        raise FileMissing(f"{path}: no such file")
    if not path.is_file():
        raise NotAFile(f"{path}: not a regular file")
    if path.stat().st_size == 0:
        raise FileEmpty(f"{path}: the file is empty")


def _unreadable(path: Path) -> FileUnreadable:
    return FileUnreadable(f"{path}: permission denied")


def _formats(path: Path) -> tuple[str, ...]:
    _check_file(path)
    try:
        return picture_formats(path)
    except PermissionError as exc:
        raise _unreadable(path) from exc


def probe(path: Path, *, photo_rate: Fraction = Fraction(25)) -> Clip:
    """Read a file's streams, frame count, frame rate and start time, in one pass over its packets.

    A file with a video stream gives a VideoClip. A single image is a photo (``still``) at ``photo_rate`` frames/s.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, NotMedia, MediaTruncated, NoFrames, FrameTooSmall.
    """
    formats = _formats(path)
    picture = _probe_picture(path, formats, photo_rate) if formats else None
    return _probe_media(path, photo_rate) if picture is None else picture


def _probe_picture(path: Path, formats: Sequence[str], photo_rate: Fraction) -> VideoClip | None:
    """Probe a photo or an animation; None if Pillow cannot open it."""
    from lipsync.media.picture import open_picture

    with open_picture(path, formats) as picture:
        if picture is None:
            return None
        size = _read_size(path, picture.size, still=not picture.animated)
        transparent = picture.is_transparent()
        timing = picture.timing() if picture.animated else Timing(photo_rate, 1, Fraction(0), variable=False)
        video = VideoInfo(
            codec=picture.format.lower(),
            width=size[0],
            height=size[1],
            rate=timing.rate,
            frame_count=timing.frame_count,
            duration=timing.frame_count / timing.rate,
            start=timing.start,
            pixel_format="rgba" if transparent else "rgb24",
            depth=8,
            mirrored=False,
            rotation=0,
            variable=timing.variable,
            sample_aspect=Fraction(1),
            colour=BT709,
        )
        return VideoClip(path, video.codec, video, None, still=not picture.animated, picture=True)


def _probe_media(path: Path, photo_rate: Fraction) -> Clip:
    with open_media(path) as container:
        if not container.streams.video and not container.streams.audio:
            raise _not_media(path)
        name = container.format.name
        check_complete(path, container)
        audio = _audio(container)
        stream = _first_video_stream(container)
        if stream is None:
            return Clip(path, name, None, audio)
        codec, sample_aspect = stream.codec_context.name, stream.sample_aspect_ratio or Fraction(1)
        timing, first = _measure(path, container, stream)
    still = audio is None and (timing.frame_count == 1 or name in STILL_FORMATS or name.endswith("_pipe"))
    if still:
        timing = Timing(photo_rate, 1, timing.start, variable=False)
    return VideoClip(path, name, _video_info(path, first, timing, codec, sample_aspect, still), audio, still)


def probe_video(path: Path, *, photo_rate: Fraction = Fraction(25)) -> VideoClip:
    """Probe a video or photo. Raises NoVideoStream, and what ``probe`` raises."""
    clip = probe(path, photo_rate=photo_rate)
    if not isinstance(clip, VideoClip):
        raise _no_video(path)
    return clip


def audio_of(clip: Clip) -> AudioInfo:
    """Return the clip's audio stream. Raises NoAudioStream."""
    if clip.audio is None:
        raise NoAudioStream(f"{clip.path}: the file contains no audio stream")
    return clip.audio


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the first video stream that is not cover art. Raises NoVideoStream."""
    stream = _first_video_stream(container)
    if stream is None:
        raise _no_video(path)
    return stream


def _not_media(path: Path) -> NotMedia:
    with path.open("rb") as file:
        beginning = file.read(PAGE_BYTES).lower()
    if any(tag in beginning for tag in PAGE_TAGS):
        return NotMedia(f"{path}: a web page, not a media file; use the link of the file itself, without a login")
    return NotMedia(f"{path}: not a video, image or audio file of a supported format")


def _no_video(path: Path) -> NoVideoStream:
    return NoVideoStream(f"{path}: the file contains no video stream")


def _first_video_stream(container: InputContainer) -> VideoStream | None:
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    moving = [stream for stream in streams if stream.frames != 1]  # an animated AVIF begins with a still picture
    return next(iter(moving or streams), None)


def _audio(container: InputContainer) -> AudioInfo | None:
    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    unit = stream.time_base or Fraction(1)
    duration = stream.duration * unit if stream.duration else Fraction(container.duration or 0, av.time_base)
    context = stream.codec_context
    return AudioInfo(context.name, context.sample_rate, context.channels, context.layout.name, duration)


def _measure(path: Path, container: InputContainer, stream: VideoStream) -> tuple[Timing, VideoFrame]:
    """Read all packets; return their timing and the first decoded frame."""
    decoder = FrameDecoder(path, stream, VideoFrame)
    first_frames: list[VideoFrame] = []

    def decode_first(packet: Packet[Stream]) -> None:
        if not first_frames:
            first_frames.extend(decoder.decode(packet))

    timing = measure(path, container, stream, decode_first)
    decoder.check()
    if not first_frames:
        raise NoFrames(f"{path}: no frame of the video can be decoded")
    return timing, first_frames[0]


def _video_info(
    path: Path, first: VideoFrame, timing: Timing, codec: str, sample_aspect: Fraction, still: bool
) -> VideoInfo:
    width, height = _upright_size(path, first, still)
    return VideoInfo(
        codec=codec,
        width=width,
        height=height,
        rate=timing.rate,
        frame_count=timing.frame_count,
        duration=timing.frame_count / timing.rate,
        start=timing.start,
        pixel_format=first.format.name,
        depth=8 if still else max(component.bits for component in first.format.components),
        mirrored=is_mirrored(first),
        rotation=round(first.rotation) % 360,
        variable=timing.variable,
        sample_aspect=sample_aspect,
        colour=_colour(first, still),
    )


def _upright_size(path: Path, first: VideoFrame, still: bool) -> tuple[int, int]:
    width, height = first.width, first.height
    return _read_size(path, (height, width) if round(first.rotation) % 180 else (width, height), still)


def _read_size(path: Path, size: tuple[int, int], still: bool) -> tuple[int, int]:
    """The size at which frames of this upright size are read."""
    width, height = size
    if min(size) < MIN_SIDE:
        raise FrameTooSmall(
            f"{path}: frames of {width}x{height} are too small; at least {MIN_SIDE}x{MIN_SIDE} is needed"
        )
    if still and max(size) > MAX_PHOTO_SIDE:
        scale = Fraction(MAX_PHOTO_SIDE, max(size))
        width, height = round(width * scale), round(height * scale)
    return width, height


def _colour(first: VideoFrame, still: bool) -> Colour:
    """The colour tags of the reader's frames; it converts RGB and photos with transparency to BT.709."""
    transparent = still and any(component.is_alpha for component in first.format.components)
    if first.format.is_rgb or first.format.has_palette or transparent:
        return BT709
    full = int(first.color_range) == 2 or first.format.name.startswith("yuvj")
    matrix = int(first.colorspace) or BT709.matrix  # grey images carry the RGB matrix, which is not valid for Y'CbCr
    return Colour(matrix, int(first.color_primaries), int(first.color_trc), full)
