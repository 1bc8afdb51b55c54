"""Probe media files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.format import VideoFormat
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
from lipsync.media.audio_probe import AudioProbe
from lipsync.media.decoding import FrameDecoder, first_video_stream
from lipsync.media.file_url import READ_OPTIONS, file_url
from lipsync.media.limits import FRAMES_IN_MEMORY, MediaLimits
from lipsync.media.signatures import picture_formats
from lipsync.media.stated_length import stated_length
from lipsync.media.timing import PacketTimes, Timing, check_complete, check_length, read_packets, timing_of
from lipsync.media.transparency import is_planar, is_transparent, may_be_transparent
from lipsync.media.video_frames import is_mirrored
from lipsync.types import AudioInfo, Clip, Colour, VideoClip, VideoInfo

MAX_MISSING = Fraction(1, 4)  # seconds by which an audio file may be shorter than it states
MIN_SIDE = 32  # pixels
MAX_PHOTO_SIDE = 3840  # larger photos are downscaled
STILL_FORMATS = ("image2", "avif")
PAGE_BYTES = 1024  # of a file's beginning, where a web page says what it is
PAGE_TAGS = (b"<!doctype html", b"<html")
NO_LIMITS = MediaLimits(None, *[1 << 62] * 3)
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


def probe(
    path: Path,
    *,
    photo_rate: Fraction = Fraction(25),
    limits: MediaLimits = NO_LIMITS,
    allow_truncated: bool = False,
) -> Clip:
    """Read a file's streams, frame count, frame rate and start time, in one pass over its packets.

    A file with a video stream gives a VideoClip. A single image is a photo (``still``) at ``photo_rate`` frames/s.

    ``limits``: checked against what the file states before anything is decoded, and against what is found after that.
    ``allow_truncated``: accept audio files that end before their stated length.

    Raises FileMissing, NotAFile, FileUnreadable, FileEmpty, NotMedia, MediaTruncated, NoFrames, FrameTooSmall,
    InputTooLarge.
    """
    formats = _formats(path)
    picture = _probe_picture(path, formats, photo_rate, limits) if formats else None
    return _probe_media(path, photo_rate, limits, allow_truncated) if picture is None else picture


def _probe_picture(path: Path, formats: Sequence[str], photo_rate: Fraction, limits: MediaLimits) -> VideoClip | None:
    """Probe a photo or an animation; None if Pillow cannot open it."""
    from lipsync.media.picture import open_picture

    with open_picture(path, formats) as picture:
        if picture is None:
            return None
        limits.check_picture(path, picture.size, picture.pixel_bytes)
        size = _read_size(path, picture.size, still=not picture.animated)
        transparent = picture.is_transparent()
        timing = picture.timing(limits) if picture.animated else Timing(photo_rate, 1, Fraction(0), variable=False)
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
            transparent=transparent,
        )
        return VideoClip(path, video.codec, video, None, still=not picture.animated, picture=True)


def _probe_media(path: Path, photo_rate: Fraction, limits: MediaLimits, allow_truncated: bool) -> Clip:
    with open_media(path) as container:
        if not container.streams.video and not container.streams.audio:
            raise _not_media(path)
        name = container.format.name
        limits.check_seconds(path, Fraction(container.duration or 0, av.time_base))
        if container.streams.video or not allow_truncated:
            check_complete(path, container)
        sound = AudioProbe(path, container) if container.streams.audio else None
        stream = first_video_stream(container)
        if stream is None:
            return _without_video(path, container, sound, allow_truncated)
        limits.check_picture(path, *_stated_frame(stream))
        codec, sample_aspect = stream.codec_context.name, stream.sample_aspect_ratio or Fraction(1)
        packets, first = _read(path, container, stream, sound)
        timing = timing_of(path, packets, stream)
        audio = None if sound is None else sound.info(timing.start)
    still = audio is None and (timing.frame_count == 1 or name in STILL_FORMATS or name.endswith("_pipe"))
    if still:
        timing = Timing(photo_rate, 1, timing.start, variable=False)
    limits.check_picture(path, (first.width, first.height), _pixel_bytes(first.format), FRAMES_IN_MEMORY)
    limits.check_seconds(path, Fraction(0) if still else timing.frame_count / timing.rate)
    info = _video_info(path, first, timing, codec, sample_aspect, still)
    return VideoClip(path, name, info, audio, still, joints=packets.joints)


def probe_video(path: Path, *, photo_rate: Fraction = Fraction(25), limits: MediaLimits = NO_LIMITS) -> VideoClip:
    """Probe a video or photo. Raises NoVideoStream, and what ``probe`` raises."""
    clip = probe(path, photo_rate=photo_rate, limits=limits)
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
    stream = first_video_stream(container)
    if stream is None:
        raise _no_video(path)
    return stream


def _without_video(path: Path, container: InputContainer, sound: AudioProbe | None, allow_truncated: bool) -> Clip:
    name = container.format.name
    if sound is None:  # cover art alone
        return Clip(path, name, None, None)
    packets = read_packets(path, container, container.streams.audio[0], sound.add)
    audio, stated = sound.info(None), stated_length(path, container)
    if stated is not None and stated - packets.end > MAX_MISSING and not packets.joints:
        if not allow_truncated:
            raise MediaTruncated(
                f"{path}: the file is truncated after {float(packets.end):.1f} of {float(stated):.1f} s. "
                "Use --allow-truncated to process what is there"
            )
        audio = replace(audio, duration=packets.end, stated=stated)
    return Clip(path, name, None, audio, joints=packets.joints)


def _stated_frame(stream: VideoStream) -> tuple[tuple[int, int], float, int]:
    """Width and height of the stream's frames, the bytes of a pixel, and how many are held at once, as stated."""
    context = stream.codec_context
    pixel_bytes = 1.5 if context.format is None else _pixel_bytes(context.format)
    return (context.width, context.height), pixel_bytes, FRAMES_IN_MEMORY


def _pixel_bytes(form: VideoFormat) -> float:
    return form.padded_bits_per_pixel / 8


def _not_media(path: Path) -> NotMedia:
    with path.open("rb") as file:
        beginning = file.read(PAGE_BYTES).lower()
    if any(tag in beginning for tag in PAGE_TAGS):
        return NotMedia(f"{path}: a web page, not a media file; use the link of the file itself, without a login")
    return NotMedia(f"{path}: not a video, image or audio file of a supported format")


def _no_video(path: Path) -> NoVideoStream:
    return NoVideoStream(f"{path}: the file contains no video stream")


def _read(
    path: Path, container: InputContainer, stream: VideoStream, sound: AudioProbe | None
) -> tuple[PacketTimes, VideoFrame]:
    """Read all packets; return the times of those of ``stream``, and its first decoded frame."""
    decoder = FrameDecoder(path, stream, VideoFrame)
    first_frames: list[VideoFrame] = []

    def on_packet(packet: Packet[Stream]) -> None:
        if packet.stream_index == stream.index and not first_frames:
            first_frames.extend(decoder.decode(packet))
        elif sound is not None:
            sound.add(packet)

    packets = read_packets(path, container, stream, on_packet)
    check_length(path, container, packets.end)
    if packets.count:
        decoder.check()
    if not first_frames:
        problem = "no frame of the video can be decoded" if packets.count else "the video contains no frames"
        raise NoFrames(f"{path}: {problem}")
    return packets, first_frames[0]


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
        colour=_colour(first),
        transparent=may_be_transparent(first),
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


def _colour(first: VideoFrame) -> Colour:
    """The colour tags of the reader's frames; it converts RGB, and grey with transparency, to BT.709."""
    in_rgb = is_transparent(first.format) and not is_planar(first.format)
    if first.format.is_rgb or first.format.has_palette or in_rgb:
        return BT709
    full = int(first.color_range) == 2 or first.format.name.startswith("yuvj")
    matrix = int(first.colorspace) or BT709.matrix  # grey images carry the RGB matrix, which is not valid for Y'CbCr
    return Colour(matrix, int(first.color_primaries), int(first.color_trc), full)
