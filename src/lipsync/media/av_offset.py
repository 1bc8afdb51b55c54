"""Write copies of a finished file with shifted audio; the video is copied without encoding it again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from lipsync.errors import OptionInvalid
from lipsync.media.audio_writer import AudioEncoder
from lipsync.media.carry_over import CarriedOver
from lipsync.media.decoding import ALPHA_PRESENT, ALPHA_TAG, has_alpha_layer
from lipsync.media.encoders import MATROSKA
from lipsync.media.encoding import Encoding
from lipsync.media.file_url import file_url
from lipsync.media.output import check_suffix, encode_errors, partial_path
from lipsync.media.probe import open_media, video_stream
from lipsync.media.timing import check_complete
from lipsync.types import Clip

MAX_OFFSET_MS = 120  # beyond this, viewers no longer perceive audio and video as one
HVC1 = "hvc1"


def check_offset(offset: Fraction) -> None:
    """Raise OptionInvalid unless ``offset``, in seconds, is 1 to 120 whole milliseconds in either direction."""
    if (offset * 1000).denominator != 1 or not 0 < abs(offset * 1000) <= MAX_OFFSET_MS:
        raise OptionInvalid(
            f"invalid audio offset {float(offset * 1000):g} ms: "
            f"expected 1 to {MAX_OFFSET_MS} whole milliseconds, positive or negative"
        )


def av_offset_path(output: Path, offset: Fraction) -> Path:
    """Return the path of a copy: ``talk.mp4`` becomes ``talk-audio-80ms-earlier.mp4``, later if ``offset`` < 0."""
    return output.with_stem(f"{output.stem}-{av_offset_name(offset)}")


def av_offset_paths(outputs: Iterable[Path], offsets: Iterable[Fraction]) -> list[Path]:
    """Return ``av_offset_path`` of each output with each offset."""
    offsets = list(offsets)
    return [av_offset_path(output, offset) for output in outputs for offset in offsets]


def av_offset_name(offset: Fraction) -> str:
    """Return the name of a copy with the audio shifted by ``offset`` seconds: ``audio-80ms-earlier`` or ``-later``."""
    return f"audio-{abs(round(offset * 1000))}ms-{'earlier' if offset > 0 else 'later'}"


def write_av_offset_copy(finished: Path, output: Path, *, audio: Clip, offset: Fraction, encoding: Encoding) -> None:
    """Write the video of ``finished`` with the audio of ``audio``, ``offset`` seconds earlier (later if negative).

    Both files have the same suffix. ``encoding``: how the audio is encoded. ``output`` is written to a temporary file
    first and renamed.

    Raises OptionInvalid, OutputUnwritable, DiskFull, OutOfMemory, EncodeFailed, MediaTruncated and what ``open_media``
    raises; no temporary file remains then.
    """
    check_offset(offset)
    if output.suffix.lower() != finished.suffix.lower():
        raise OptionInvalid(f"{output}: expected a name ending in {finished.suffix}, like {finished.name}")
    check_suffix(output, encoding)
    partial = partial_path(output)
    try:
        with open_media(finished) as source, encode_errors(output):
            check_complete(finished, source)
            options = {} if partial.suffix in MATROSKA else {"movflags": "+faststart"}
            with av.open(file_url(partial), "w", options=options) as out:
                video = video_stream(finished, source)
                copy, sound = _add_copy(video, out), AudioEncoder(out, audio, encoding, offset)
                length = Fraction(source.duration or 0, av.time_base)
                with closing(CarriedOver(out, copy, finished, Fraction(0), length)) as rest:
                    _merge(video, copy, sound, rest, out)
            os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


def _add_copy(video: VideoStream, out: OutputContainer) -> VideoStream:
    """Add the same stream to the output."""
    stream = out.add_stream_from_template(video, opaque=True)
    stream.time_base = video.time_base
    context = stream.codec_context
    context.sample_aspect_ratio = video.sample_aspect_ratio or Fraction(1)
    context.framerate = video.average_rate or context.framerate  # else Matroska stores rounded times but no rate
    if video.codec_context.codec_tag == HVC1:
        context.codec_tag = HVC1  # the muxer's default is hev1
    if has_alpha_layer(video):
        stream.metadata[ALPHA_TAG] = ALPHA_PRESENT  # the muxer knows only the format of the colours
    return stream


def _merge(video: VideoStream, copy: VideoStream, audio: AudioEncoder, rest: CarriedOver, out: OutputContainer) -> None:
    with closing(audio):
        for packet in cast(InputContainer, video.container).demux(video):
            if not packet.size:  # the demuxer's end marker
                continue
            timestamp = packet.pts if packet.dts is None else packet.dts
            time = (timestamp or 0) * packet.time_base
            packet.stream = copy
            out.mux(packet)
            audio.encode_until(time)
            rest.copy_until(time)
        audio.finish()
        rest.finish()
