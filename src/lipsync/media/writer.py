"""Encode frames and audio into files, completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from lipsync.errors import EncodeFailed, OptionInvalid
from lipsync.media.audio_writer import AudioEncoder
from lipsync.media.carry_over import CarriedOver
from lipsync.media.clean_aperture import write_clean_aperture
from lipsync.media.encoders import MATROSKA, encoder_options, family_of, pixel_format_of, quiet_encoder
from lipsync.media.encoding import Encoding
from lipsync.media.file_url import file_url
from lipsync.media.output import encode_errors, partial_path
from lipsync.media.video_frames import frame_of, planes_of
from lipsync.types import Clip, Colour, Frame, VideoClip, VideoInfo

LIMITED_RANGE_ONLY = ("prores",)  # carries no range flag, so decoders assume limited range
CARRY_SAMPLE_ASPECT = ("h264", "hevc")  # in their own headers; PyAV cannot write Matroska's


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file. ``width``, ``height``: as players show it. ``bytes``: its size.

    ``padding``: columns on the right and rows at the bottom that the encoder adds to reach even sizes. ``lost``: what
    the video's file holds and this one cannot, in words.
    """

    path: Path
    frame_count: int
    width: int
    height: int
    padding: tuple[int, int]
    bytes: int
    lost: tuple[str, ...] = ()


def write(
    frame_sets: Iterable[Sequence[Frame]],
    outputs: Sequence[Path],
    *,
    video: VideoClip,
    audio: Clip,
    frame_count: int,
    encoding: Encoding,
) -> list[Written]:
    """Encode ``frame_count`` sets of frames, one frame of each set per output, with the audio.

    ``video``: size, rate and colours of the frames. All files are written to temporary files first and renamed one
    after the other when all are complete.

    Raises OutputUnwritable, DiskFull, OutOfMemory, EncodeFailed, MediaTruncated, and what ``frame_sets`` raises; no
    temporary file remains then.
    """
    plan = _Plan(encoding, frame_count)
    with ExitStack() as stack:
        writers = [stack.enter_context(_open_writer(output, video, audio, plan)) for output in outputs]
        count = 0
        for frames in frame_sets:
            for writer, frame in zip(writers, frames, strict=True):
                writer.add(frame)
            count += 1
        if count != frame_count:
            raise EncodeFailed(f"{', '.join(map(str, outputs))}: got {count} frames, expected {frame_count}")
        written = [writer.finish() for writer in writers]
        for writer in writers:
            writer.publish()
    return written


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the outputs are encoded, and the number of their frames."""

    encoding: Encoding
    frame_count: int


class _Writer:
    """One output, written to a temporary file."""

    def __init__(
        self, output: Path, partial: Path, out: OutputContainer, clip: VideoClip, audio: Clip, plan: _Plan
    ) -> None:
        video, encoding = clip.video, plan.encoding
        self._output, self._partial, self._out, self._video = output, partial, out, video
        self._coded = _coded_size(video)
        self._colour = _output_colour(video, encoding.codec)
        self._stream = _add_video_stream(out, clip, encoding, self._coded, self._colour)
        self._audio = AudioEncoder(out, audio, encoding)
        self._rest: CarriedOver | None = None
        if not clip.still and not clip.picture and not clip.joints:
            self._rest = CarriedOver(out, self._stream, clip.path, video.start, plan.frame_count / video.rate)
        self._count = 0
        with quiet_encoder(encoding.codec):
            out.start_encoding()

    def add(self, frame: Frame) -> None:
        """Encode the next frame and the audio up to its end."""
        with encode_errors(self._output):
            encoded = _encoder_frame(frame, self._coded, self._stream.pix_fmt or "yuv420p", self._colour)
            encoded.pts, encoded.time_base = self._count, 1 / self._video.rate
            self._out.mux(self._stream.encode(encoded))
            self._count += 1
            time = self._count / self._video.rate
            self._audio.encode_until(time)
            if self._rest is not None:
                self._rest.copy_until(time)

    def finish(self) -> Written:
        """Flush the encoders and complete the temporary file."""
        with encode_errors(self._output):
            self._out.mux(self._stream.encode(None))
            self._audio.finish()
            if self._rest is not None:
                self._rest.finish()
            self._audio.close()
            self._out.close()
            visible = (self._video.width, self._video.height)
            if self._coded != visible and self._partial.suffix not in MATROSKA:
                write_clean_aperture(self._partial, self._coded, visible)
            size = self._partial.stat().st_size
            lost = () if self._rest is None else self._rest.missing(self._partial)
        padding = (self._coded[0] - visible[0], self._coded[1] - visible[1])
        self.close()
        return Written(self._output, self._count, *visible, padding, size, lost)

    def publish(self) -> None:
        """Rename the completed file to its final name."""
        with encode_errors(self._output):
            os.replace(self._partial, self._output)

    def close(self) -> None:
        """Close the output and the audio's source. Safe to call more than once."""
        self._audio.close()
        self._out.close()
        if self._rest is not None:
            self._rest.close()


@contextmanager
def _open_writer(output: Path, clip: VideoClip, audio: Clip, plan: _Plan) -> Iterator[_Writer]:
    """Open a writer; remove its temporary file on exit, unless it was published."""
    partial, video = partial_path(output), clip.video
    # A clean aperture is written to the index, which then has to stay at the file's end.
    faststart = _coded_size(video) == (video.width, video.height) and partial.suffix not in MATROSKA
    options = {"movflags": "+faststart"} if faststart else {}
    try:
        with ExitStack() as stack:
            with encode_errors(output):
                out = stack.enter_context(av.open(file_url(partial), "w", options=options))
                writer = _Writer(output, partial, out, clip, audio, plan)
            stack.callback(writer.close)
            yield writer
    finally:
        partial.unlink(missing_ok=True)


def _coded_size(video: VideoInfo) -> tuple[int, int]:
    """Width and height rounded up to even numbers, as 4:2:0 encoders need them."""
    return video.width + video.width % 2, video.height + video.height % 2


def _add_video_stream(
    out: OutputContainer, clip: VideoClip, encoding: Encoding, coded: tuple[int, int], colour: Colour
) -> VideoStream:
    video, transparent = clip.video, clip.keeps_transparency
    options = encoder_options(encoding, transparent)
    stream = cast(VideoStream, out.add_stream(encoding.codec, rate=video.rate, options=options))
    stream.width, stream.height = coded
    stream.pix_fmt = pixel_format_of(encoding, video.depth, transparent)
    stream.sample_aspect_ratio = video.sample_aspect
    context = stream.codec_context
    context.color_range, context.colorspace = _range(colour), colour.matrix
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.thread_type = "AUTO"
    family, matroska = family_of(encoding.codec), out.format.name in ("matroska", "webm")
    if matroska and family not in CARRY_SAMPLE_ASPECT and video.sample_aspect != 1:
        raise OptionInvalid(
            f"{encoding.codec} in .mkv cannot store that the video's pixels are not square; use another suffix"
        )
    if family == "hevc" and not matroska:
        context.codec_tag = "hvc1"  # the only tag that Apple's players accept
    return stream


def _output_colour(video: VideoInfo, codec: str) -> Colour:
    """The colour tags of the encoded video."""
    full_range = video.colour.full_range and family_of(codec) not in LIMITED_RANGE_ONLY
    return replace(video.colour, full_range=full_range)


def _range(colour: Colour) -> int:
    return int(ColorRange.JPEG if colour.full_range else ColorRange.MPEG)


def _encoder_frame(frame: Frame, coded: tuple[int, int], pixel_format: str, colour: Colour) -> VideoFrame:
    """Convert a frame for the encoder, padded to the coded size by repeating its last row and column."""
    encoded = frame_of(frame)
    if encoded is None:
        planes = (frame.y, frame.u, frame.v) if frame.alpha is None else (frame.y, frame.u, frame.v, frame.alpha)
        name = "yuv420p" if frame.alpha is None else "yuva420p"
        encoded = VideoFrame(*coded, name if frame.depth == 8 else f"{name}10le")
        for plane, target in zip(planes, planes_of(encoded), strict=True):
            height, width = plane.shape
            target[:height, :width] = plane
            target[height:, :width] = plane[-1]
            target[:, width:] = target[:, width - 1 : width]
    if encoded.format.name != pixel_format or frame.colour.full_range != colour.full_range:
        encoded = encoded.reformat(
            format=pixel_format, src_color_range=_range(frame.colour), dst_color_range=_range(colour)
        )
    encoded.color_range, encoded.colorspace = _range(colour), colour.matrix
    encoded.color_primaries, encoded.color_trc = colour.primaries, colour.transfer
    return encoded
