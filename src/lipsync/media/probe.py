"""What is in a file."""

from __future__ import annotations

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
from lipsync.media.timing import check_whole, measure
from lipsync.types import AudioInfo, Clip, Colour, VideoClip, VideoInfo

MIN_SIDE = 32  # pixels a side
MAX_PHOTO_SIDE = 3840
STILL_FORMATS = ("image2", "avif")
BT709 = Colour(1, 1, 1, False)  # what pictures in RGB become, for they have no colour tags that a video could carry


def open_media(path: Path) -> InputContainer:
    """The file opened for reading, or the one error that tells what is wrong with it.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, MediaTruncated, NotMedia.
    """
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
    """Read a file's streams, frame count, frame rate and start time, in one pass over its packets.

    A file with a video stream gives a VideoClip. A single picture is a photo (``still``) at ``photo_rate`` frames/s.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, NotMedia, MediaTruncated, NoFrames, FrameTooSmall.
    """
    with open_media(path) as container:
        if not container.streams.video and not container.streams.audio:
            raise NotMedia(f"{path}: there is neither picture nor sound in it")
        name = container.format.name
        check_whole(path, container)
        audio = _audio(container)
        stream = picture_stream(container)
        if stream is None:
            return Clip(path, name, None, audio)
        codec, sample_aspect = stream.codec_context.name, stream.sample_aspect_ratio or Fraction(1)
        decoder = FrameDecoder(path, stream, VideoFrame)
        first_frames: list[VideoFrame] = []

        def decode_first(packet: Packet[Stream]) -> None:
            if not first_frames:
                first_frames.extend(decoder.decode(packet))

        timing = measure(path, container, stream, decode_first)
        decoder.check()
    still = audio is None and (timing.frame_count == 1 or name in STILL_FORMATS or name.endswith("_pipe"))
    if not first_frames:
        raise NoFrames(f"{path}: no frame of the video can be decoded")
    first = first_frames[0]
    width, height = _upright_size(path, first, still)
    rate, frame_count = (photo_rate, 1) if still else (timing.rate, timing.frame_count)
    video = VideoInfo(
        codec=codec,
        width=width,
        height=height,
        rate=rate,
        frame_count=frame_count,
        duration=frame_count / rate,
        start=timing.start,
        pixel_format=first.format.name,
        depth=8 if still else max(component.bits for component in first.format.components),
        rotation=round(first.rotation) % 360,
        variable=timing.variable and not still,
        sample_aspect=sample_aspect,
        colour=_colour(first, still),
    )
    return VideoClip(path, name, video, audio, still)


def probe_video(path: Path, *, photo_rate: Fraction = Fraction(25)) -> VideoClip:
    """Probe a video or photo. Raises NoVideoStream, and what ``probe`` raises."""
    clip = probe(path, photo_rate=photo_rate)
    if not isinstance(clip, VideoClip):
        raise NoVideoStream(f"{path}: the file contains no video stream")
    return clip


def audio_of(clip: Clip) -> AudioInfo:
    """The clip's audio stream. Raises NoAudioStream."""
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
    unit = stream.time_base or Fraction(1)
    duration = stream.duration * unit if stream.duration else Fraction(container.duration or 0, av.time_base)
    context = stream.codec_context
    return AudioInfo(context.name, context.sample_rate, context.channels, context.layout.name, duration)


def _upright_size(path: Path, first: VideoFrame, still: bool) -> tuple[int, int]:
    width, height = first.width, first.height
    if round(first.rotation) % 180:
        width, height = height, width
    if min(width, height) < MIN_SIDE:
        raise FrameTooSmall(f"{path}: {width}x{height} is too small to find a mouth in")
    if still and max(width, height) > MAX_PHOTO_SIDE:
        shrink = Fraction(MAX_PHOTO_SIDE, max(width, height))
        width, height = round(width * shrink), round(height * shrink)
    return width, height


def _colour(first: VideoFrame, still: bool) -> Colour:
    """Of what the reader gives: photos with transparent parts go through RGB."""
    transparent = still and any(component.is_alpha for component in first.format.components)
    if first.format.is_rgb or first.format.has_palette or transparent:
        return BT709
    full = int(first.color_range) == 2 or first.format.name.startswith("yuvj")
    matrix = int(first.colorspace) or BT709.matrix  # grey pictures tell that of RGB, which no video of ours is
    return Colour(matrix, int(first.color_primaries), int(first.color_trc), full)
