"""What is in a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import (
    FileEmpty,
    FileMissing,
    FileUnreadable,
    MediaTruncated,
    NoAudioStream,
    NoFrames,
    NotAFile,
    NotMedia,
    NoVideoStream,
    PictureTooSmall,
)
from lipsync.types import AudioInfo, Clip, Colour, VideoInfo

SMALLEST = 32  # pixels a side
LARGEST_PHOTO = 3840
STILL_FORMATS = ("image2", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "jpegxl_pipe", "avif")


def open_media(path: Path) -> InputContainer:
    """The file opened for reading, or the one error that tells what is wrong with it."""
    if not path.exists():
        raise FileMissing(f"{path}: no such file")
    if not path.is_file():
        raise NotAFile(f"{path}: not a file")
    if path.stat().st_size == 0:
        raise FileEmpty(f"{path}: the file is empty")
    try:
        return av.open(str(path))
    except PermissionError as exc:
        raise FileUnreadable(f"{path}: reading it is not allowed") from exc
    except (av.error.FFmpegError, ValueError) as exc:
        with path.open("rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                raise MediaTruncated(f"{path}: the file is cut off, its index is missing") from exc
        raise NotMedia(f"{path}: not a video, picture or sound that can be read") from exc


def probe(path: Path, *, photo_rate: Fraction = Fraction(25)) -> Clip:
    """Look into a file.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, NotMedia, MediaTruncated, NoFrames, PictureTooSmall.
    """
    with open_media(path) as container:
        still = container.format.name in STILL_FORMATS
        stream = picture_stream(container)
        audio = _audio(container) if not still else None
        video = _video(path, container, stream, photo_rate if still else None) if stream is not None else None
        return Clip(path, container.format.name, video, audio, still)


def video_of(clip: Clip) -> VideoInfo:
    """The clip's picture; NoVideoStream if it has none."""
    if clip.video is None:
        raise NoVideoStream(f"{clip.path}: there is no picture in it")
    return clip.video


def audio_of(clip: Clip) -> AudioInfo:
    """The clip's sound; NoAudioStream if it has none."""
    if clip.audio is None:
        raise NoAudioStream(f"{clip.path}: there is no sound in it")
    return clip.audio


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    return None


def _audio(container: InputContainer) -> AudioInfo | None:
    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    duration = Fraction(0)
    if stream.duration is not None and stream.time_base is not None:
        duration = stream.duration * stream.time_base
    start = (stream.start_time or 0) * (stream.time_base or Fraction(1))
    picture = picture_stream(container)
    if picture is not None:
        start -= (picture.start_time or 0) * (picture.time_base or Fraction(1))
    context = stream.codec_context
    return AudioInfo(context.name, context.sample_rate, context.channels, context.layout.name, duration, start)


def _video(path: Path, container: InputContainer, stream: VideoStream, photo_rate: Fraction | None) -> VideoInfo:
    context = stream.codec_context
    try:
        first: VideoFrame | None = next(container.decode(stream), None)
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{path}: the first picture cannot be decoded") from exc
    if first is None:
        raise NoFrames(f"{path}: there is not a single picture in it")
    rotation = round(first.rotation) % 360
    width, height = first.width, first.height
    if rotation in (90, 270):
        width, height = height, width
    if min(width, height) < SMALLEST:
        raise PictureTooSmall(f"{path}: {width}x{height} is too small to find a mouth in")
    if photo_rate is not None and max(width, height) > LARGEST_PHOTO:
        shrink = Fraction(LARGEST_PHOTO, max(width, height))
        width, height = round(width * shrink), round(height * shrink)
    rate = photo_rate or stream.average_rate or stream.guessed_rate or Fraction(25)
    frames = 1 if photo_rate is not None else stream.frames
    duration = (stream.duration or 0) * (stream.time_base or Fraction(1))
    if not frames:
        seconds = duration or Fraction(container.duration or 0, av.time_base)
        frames = max(1, round(seconds * rate))
    colour = Colour(
        int(first.colorspace), int(first.color_primaries), int(first.color_trc), int(first.color_range) == 2
    )
    return VideoInfo(
        context.name,
        width,
        height,
        rate,
        frames,
        duration or frames / rate,
        first.format.name,
        max(component.bits for component in first.format.components),
        rotation,
        False,
        stream.sample_aspect_ratio or Fraction(1),
        colour,
    )
