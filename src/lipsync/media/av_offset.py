"""Copies of a finished file whose sound comes a little earlier or later: the picture is copied, not encoded again."""

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

from lipsync.errors import NoVideoStream, OptionInvalid
from lipsync.media.audio_writer import AudioEncoder
from lipsync.media.encoding import Encoding
from lipsync.media.probe import open_media, picture_stream
from lipsync.media.timing import check_whole
from lipsync.media.writer import check_suffix, encode_errors, part_of
from lipsync.types import Clip

LARGEST = 120  # milliseconds; beyond it nobody takes picture and sound for one
OWN = ("major_brand", "minor_version", "compatible_brands", "encoder")  # told by each file about itself
HVC1 = "hvc1"


def check_offset(offset: Fraction) -> None:
    """OptionInvalid unless ``offset``, in seconds, is whole milliseconds, few enough, and not none at all."""
    if (offset * 1000).denominator != 1 or not 0 < abs(offset * 1000) <= LARGEST:
        told = f"{float(offset * 1000):g} ms"
        raise OptionInvalid(f"{told}: the sound is shifted by 1 to {LARGEST} whole milliseconds, either way")


def av_offset_path(output: Path, offset: Fraction) -> Path:
    """``talk.mp4`` becomes ``talk-sound-80ms-earlier.mp4``, or later if ``offset`` is negative."""
    return output.with_stem(f"{output.stem}-{av_offset_name(offset)}")


def av_offset_paths(outputs: Iterable[Path], offsets: Iterable[Fraction]) -> list[Path]:
    """``av_offset_path`` of each output with each offset."""
    wanted = list(offsets)
    return [av_offset_path(output, offset) for output in outputs for offset in wanted]


def av_offset_name(offset: Fraction) -> str:
    """``sound-80ms-earlier``, or later if ``offset`` is negative."""
    return f"sound-{abs(round(offset * 1000))}ms-{'earlier' if offset > 0 else 'later'}"


def write_av_offset_copy(finished: Path, output: Path, *, sound: Clip, offset: Fraction, encoding: Encoding) -> None:
    """Write the picture of ``finished`` with the sound of ``sound`` so that the mouth is ``offset`` seconds later than
    the sound: its beginning is cut off, silence is at its end; the other way round if ``offset`` is negative.

    Both files are of one kind. ``encoding`` tells how the sound is encoded. ``output`` is written aside and renamed.

    Raises OptionInvalid, OutputUnwritable, DiskFull, OutOfMemory, EncodeFailed, MediaTruncated and what ``open_media``
    raises; then nothing is left aside.
    """
    check_offset(offset)
    if output.suffix.lower() != finished.suffix.lower():
        raise OptionInvalid(f"{output}: must end in {finished.suffix}, as {finished.name} does")
    check_suffix(output, encoding)
    part = part_of(output)
    try:
        with open_media(finished) as source, encode_errors(output):
            check_whole(finished, source)
            options = {} if part.suffix == ".mkv" else {"movflags": "+faststart"}
            with av.open(str(part), "w", options=options) as out:
                picture = _picture(finished, source)
                _merge(picture, _copied(picture, out), AudioEncoder(out, sound, encoding, offset), out)
            os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


def _picture(finished: Path, source: InputContainer) -> VideoStream:
    stream = picture_stream(source)
    if stream is None:
        raise NoVideoStream(f"{finished}: there is no picture in it")
    return stream


def _copied(picture: VideoStream, out: OutputContainer) -> VideoStream:
    """The same stream in the new file, with what the container tells about the picture."""
    out.metadata.update({key: value for key, value in picture.container.metadata.items() if key not in OWN})
    stream = out.add_stream_from_template(picture, opaque=True)
    stream.time_base = picture.time_base
    context = stream.codec_context
    context.sample_aspect_ratio = picture.sample_aspect_ratio or Fraction(1)
    context.framerate = picture.average_rate or context.framerate  # else Matroska has no rate, only rounded times
    if picture.codec_context.codec_tag == HVC1:
        context.codec_tag = HVC1  # the muxer would choose another
    return stream


def _merge(picture: VideoStream, copy: VideoStream, voice: AudioEncoder, out: OutputContainer) -> None:
    with closing(voice):
        for packet in cast(InputContainer, picture.container).demux(picture):
            if not packet.size:  # the last one only says that it was the last
                continue
            stamp = packet.pts if packet.dts is None else packet.dts
            time = (stamp or 0) * packet.time_base
            packet.stream = copy
            out.mux(packet)
            voice.until(time)
        voice.finish()
