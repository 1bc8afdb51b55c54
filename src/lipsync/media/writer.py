"""Pictures and sound into a file, whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import (
    DiskFull,
    EncodeFailed,
    LipsyncError,
    OptionInvalid,
    OutOfMemory,
    OutputIsInput,
    OutputUnwritable,
)
from lipsync.media.aperture import mark_aperture
from lipsync.media.encoding import Encoding
from lipsync.media.planes import frame_of, planes_of
from lipsync.media.probe import video_of
from lipsync.media.scratch import FULL
from lipsync.media.sound import SoundTrack
from lipsync.types import Clip, Picture, VideoInfo

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
WITH_PRESETS = ("libx264", "libx265", "libsvtav1")  # encoders that know crf and preset


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file: ``width`` and ``height`` as shown; ``crop``: columns and rows, right and below, of padding."""

    path: Path
    frames: int
    width: int
    height: int
    crop: tuple[int, int]
    bytes: int


def check_output(output: Path, inputs: Iterable[Path], encoding: Encoding) -> None:
    """Find out before any work whether the result can be written.

    Raises OptionInvalid, OutputIsInput, OutputUnwritable, DiskFull.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise OptionInvalid(f"{output}: the output's name must end in {', '.join(SUFFIXES)}")
    with _mapped(output):
        refuse_input(output, inputs)
    if output.is_dir():
        raise OutputUnwritable(f"{output}: is a directory")
    if not output.parent.is_dir():
        raise OutputUnwritable(f"{output}: there is no directory {output.parent}")
    part = _part(output)
    with _mapped(output):
        try:
            part.touch(exist_ok=False)
        finally:
            part.unlink(missing_ok=True)
    _try_encoder(encoding)


def refuse_input(output: Path, inputs: Iterable[Path]) -> None:
    """OutputIsInput if the output is one of the inputs, by whatever name."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise OutputIsInput(f"{output}: would overwrite what it is made from")


def write(
    rows: Iterable[Sequence[Picture]],
    outputs: Sequence[Path],
    *,
    footage: Clip,
    sound: Clip,
    frames: int,
    encoding: Encoding,
) -> list[Written]:
    """Encode ``frames`` rows of pictures, one of each row for each output, with the sound; all files are written aside
    and renamed into place, one after the other, when all are complete.

    Raises OutputUnwritable, DiskFull, OutOfMemory, EncodeFailed, MediaTruncated, and what ``rows`` raises; then
    nothing is left aside.
    """
    with ExitStack() as stack:
        writers = [stack.enter_context(_open_writer(output, footage, sound, encoding)) for output in outputs]
        count = 0
        for row in rows:
            for writer, picture in zip(writers, row, strict=True):
                writer.add(picture)
            count += 1
        if count != frames:
            raise EncodeFailed(f"{', '.join(map(str, outputs))}: {count} frames came instead of {frames}")
        written = [writer.finish() for writer in writers]
        for writer in writers:
            writer.publish()
    return written


class _Writer:
    """One result in the making, aside of its place."""

    def __init__(
        self, output: Path, part: Path, out: OutputContainer, footage: Clip, sound: Clip, encoding: Encoding
    ) -> None:
        self._output, self._part, self._out = output, part, out
        self._video = video_of(footage)
        self._coded = _coded(self._video)
        self._stream = _video_stream(out, self._video, encoding, self._coded)
        self._voice = SoundTrack(out, sound, encoding.audio_bitrate)
        self._count = 0

    def add(self, picture: Picture) -> None:
        """The next picture goes to the encoder, together with the sound up to its end."""
        with _mapped(self._output):
            frame = _frame(picture, self._coded, self._stream.pix_fmt or "yuv420p")
            frame.pts, frame.time_base = self._count, 1 / self._video.rate
            self._out.mux(self._stream.encode(frame))
            self._count += 1
            self._voice.until(self._count / self._video.rate)

    def finish(self) -> Written:
        """Complete the file, still aside."""
        with _mapped(self._output):
            self._out.mux(self._stream.encode(None))
            self._voice.finish()
            self.close()
            shown = (self._video.width, self._video.height)
            if self._coded != shown and self._part.suffix != ".mkv":
                mark_aperture(self._part, self._coded, shown)
            size = self._part.stat().st_size
        crop = (self._coded[0] - shown[0], self._coded[1] - shown[1])
        return Written(self._output, self._count, *shown, crop, size)

    def publish(self) -> None:
        """Give the completed file its name."""
        with _mapped(self._output):
            os.replace(self._part, self._output)

    def close(self) -> None:
        """Let go of the file and of the sound; it may be called again."""
        self._voice.close()
        self._out.close()


@contextmanager
def _open_writer(output: Path, footage: Clip, sound: Clip, encoding: Encoding) -> Iterator[_Writer]:
    """What was not published is gone afterwards."""
    part = _part(output)
    coded, shown = _coded(video_of(footage)), (video_of(footage).width, video_of(footage).height)
    fast = coded == shown and part.suffix != ".mkv"
    try:
        with ExitStack() as stack:
            with _mapped(output):
                out = stack.enter_context(av.open(str(part), "w", options={"movflags": "+faststart"} if fast else {}))
                writer = _Writer(output, part, out, footage, sound, encoding)
            stack.callback(writer.close)
            yield writer
    finally:
        part.unlink(missing_ok=True)


def _coded(video: VideoInfo) -> tuple[int, int]:
    """Width and height with what an encoder of 4:2:0 needs to make them even."""
    return video.width + video.width % 2, video.height + video.height % 2


def _video_stream(out: OutputContainer, video: VideoInfo, encoding: Encoding, coded: tuple[int, int]) -> VideoStream:
    stream = cast(VideoStream, out.add_stream(encoding.codec, rate=video.rate, options=_options(encoding)))
    stream.width, stream.height = coded
    stream.pix_fmt = encoding.pixel_format or _pixel_format(encoding.codec, video.depth)
    stream.sample_aspect_ratio = video.sample_aspect
    context = stream.codec_context
    context.color_range = 2 if video.colour.full_range else 1
    context.colorspace = video.colour.matrix
    context.color_primaries = video.colour.primaries
    context.color_trc = video.colour.transfer
    context.thread_type = "AUTO"
    return stream


def _pixel_format(codec: str, depth: int) -> str:
    """4:2:0 in the footage's depth if the encoder has it, else the first that it has."""
    known = [f.name for f in av.codec.Codec(codec, "w").video_formats or []]
    wished = ("yuv420p10le", "yuv420p") if depth > 8 else ("yuv420p",)
    return next((name for name in wished if name in known or not known), known[0] if known else "yuv420p")


def _options(encoding: Encoding) -> dict[str, str]:
    if encoding.codec not in WITH_PRESETS:
        return {}
    options = {"crf": str(encoding.crf), "preset": encoding.preset}
    if encoding.codec == "libsvtav1":
        options["preset"] = encoding.preset if encoding.preset.isdigit() else "8"
    if encoding.codec == "libx265":
        options["x265-params"] = "log-level=error"
    return options


def _try_encoder(encoding: Encoding) -> None:
    """OptionInvalid unless the encoder opens with these settings."""
    if encoding.audio_bitrate < 8_000:
        raise OptionInvalid(f"{encoding.audio_bitrate} bits/s of sound are too few")
    if not 0 <= encoding.crf <= 63:
        raise OptionInvalid(f"a CRF of {encoding.crf} is out of range")
    try:
        context = av.CodecContext.create(encoding.codec, "w")
        if not isinstance(context, VideoCodecContext):
            raise OptionInvalid(f"{encoding.codec} encodes no pictures")
        context.width, context.height, context.framerate = 320, 240, Fraction(25)
        context.pix_fmt = encoding.pixel_format or _pixel_format(encoding.codec, 8)
        context.options = _options(encoding)
        context.open()
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError, ValueError) as exc:
        wish = f"codec {encoding.codec}, preset {encoding.preset}, pixel format {encoding.pixel_format or 'default'}"
        raise OptionInvalid(f"the encoder does not take these settings: {wish}") from exc


def _frame(picture: Picture, coded: tuple[int, int], pixel_format: str) -> VideoFrame:
    """The picture as the encoder wants it, padded to the coded size by repeating its last row and column."""
    shared = frame_of(picture)
    if shared is not None and pixel_format == "yuv420p":
        return shared
    frame = VideoFrame(*coded, "yuv420p" if picture.depth == 8 else "yuv420p10le")
    for plane, target in zip((picture.y, picture.u, picture.v), planes_of(frame), strict=True):
        height, width = plane.shape
        target[:height, :width] = plane
        target[height:, :width] = plane[-1]
        target[:, width:] = target[:, width - 1 : width]
    if frame.format.name == pixel_format:
        return frame
    return frame.reformat(format=pixel_format)


def _part(output: Path) -> Path:
    return output.with_name(f".lipsync-{uuid.uuid4().hex[:12]}{output.suffix.lower()}")


@contextmanager
def _mapped(output: Path) -> Iterator[None]:
    """Failures of the file system and of the encoder as errors of ours."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as exc:
        raise _as_ours(exc, output) from exc


def _as_ours(exc: BaseException, output: Path) -> LipsyncError:
    number = getattr(exc, "errno", None)
    if number in FULL:
        return DiskFull(f"{output}: no space is left there")
    if number == errno.ENOMEM:
        return OutOfMemory(f"{output}: the encoder ran out of memory")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG):
        return OutputUnwritable(f"{output}: writing there is not possible ({os.strerror(number)})")
    return EncodeFailed(f"{output}: encoding failed ({' '.join(str(exc).split())})")
