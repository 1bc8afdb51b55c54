"""Pictures and sound into a file, whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
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

from lipsync.errors import (
    DiskFull,
    EncodeFailed,
    LipsyncError,
    OptionInvalid,
    OutOfMemory,
    OutputIsInput,
    OutputUnwritable,
)
from lipsync.files import NO_SPACE
from lipsync.media.audio_writer import AudioEncoder
from lipsync.media.clean_aperture import write_clean_aperture
from lipsync.media.encoders import (
    SUFFIXES,
    check_encoding,
    family_of,
    options_of,
    pixel_format_of,
    quieten,
    suffixes_of,
)
from lipsync.media.encoding import Encoding
from lipsync.media.video_frames import frame_of, planes_of
from lipsync.types import Clip, Colour, Frame, VideoClip, VideoInfo

RANGELESS = ("prores",)  # cannot say that black is 0, and is taken for limited range
SHAPED = ("h264", "hevc")  # say themselves that pixels aren't square; PyAV cannot make Matroska say it


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file: ``width`` and ``height`` as shown; ``crop``: columns and rows, right and below, of padding."""

    path: Path
    frame_count: int
    width: int
    height: int
    padding: tuple[int, int]
    bytes: int


def check_output(output: Path, inputs: Iterable[Path], encoding: Encoding) -> None:
    """Find out before any work whether the result can be written.

    Raises OptionInvalid, OutputIsInput, OutputUnwritable, DiskFull.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise OptionInvalid(f"{output}: the output's name must end in {', '.join(SUFFIXES)}")
    check_place(output, inputs)
    check_encoding(encoding)
    check_suffix(output, encoding)


def check_place(output: Path, inputs: Iterable[Path]) -> None:
    """Whether a file can be written there. Raises OutputIsInput, OutputUnwritable, DiskFull."""
    with encode_errors(output):
        refuse_input(output, inputs)
    if output.is_dir():
        raise OutputUnwritable(f"{output}: is a directory")
    if not output.parent.is_dir():
        raise OutputUnwritable(f"{output}: there is no directory {output.parent}")
    part = part_of(output)
    with encode_errors(output):
        try:
            part.touch(exist_ok=False)
        finally:
            part.unlink(missing_ok=True)


def check_suffix(output: Path, encoding: Encoding) -> None:
    """OptionInvalid if players don't take from such a file what the encoders make."""
    suffixes = suffixes_of(encoding)
    if output.suffix.lower() not in suffixes:
        what = f"{encoding.codec} with {encoding.audio_codec} sound"
        instead = f"a name in {' or '.join(suffixes)} would do" if suffixes else "nor from any other"
        raise OptionInvalid(f"{output}: {what} is not played from such a file; {instead}")


def refuse_input(output: Path, inputs: Iterable[Path]) -> None:
    """OutputIsInput if the output is one of the inputs, by whatever name."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise OutputIsInput(f"{output}: would overwrite what it is made from")


def write(
    rows: Iterable[Sequence[Frame]],
    outputs: Sequence[Path],
    *,
    footage: VideoClip,
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
        self, output: Path, part: Path, out: OutputContainer, footage: VideoClip, sound: Clip, encoding: Encoding
    ) -> None:
        self._output, self._part, self._out = output, part, out
        self._video = footage.video
        self._coded = _coded(self._video)
        self._stream = _video_stream(out, self._video, encoding, self._coded)
        self._colour = _colour(self._video, encoding.codec)
        self._voice = AudioEncoder(out, sound, encoding)
        self._count = 0

    def add(self, picture: Frame) -> None:
        """The next picture goes to the encoder, together with the sound up to its end."""
        with encode_errors(self._output):
            frame = _frame(picture, self._coded, self._stream.pix_fmt or "yuv420p", self._colour)
            frame.pts, frame.time_base = self._count, 1 / self._video.rate
            self._out.mux(self._stream.encode(frame))
            self._count += 1
            self._voice.until(self._count / self._video.rate)

    def finish(self) -> Written:
        """Complete the file, still aside."""
        with encode_errors(self._output):
            self._out.mux(self._stream.encode(None))
            self._voice.finish()
            self.close()
            shown = (self._video.width, self._video.height)
            if self._coded != shown and self._part.suffix != ".mkv":
                write_clean_aperture(self._part, self._coded, shown)
            size = self._part.stat().st_size
        padding = (self._coded[0] - shown[0], self._coded[1] - shown[1])
        return Written(self._output, self._count, *shown, padding, size)

    def publish(self) -> None:
        """Give the completed file its name."""
        with encode_errors(self._output):
            os.replace(self._part, self._output)

    def close(self) -> None:
        """Let go of the file and of the sound; it may be called again."""
        self._voice.close()
        self._out.close()


@contextmanager
def _open_writer(output: Path, footage: VideoClip, sound: Clip, encoding: Encoding) -> Iterator[_Writer]:
    """What was not published is gone afterwards."""
    part = part_of(output)
    coded, shown = _coded(footage.video), (footage.video.width, footage.video.height)
    fast = coded == shown and part.suffix != ".mkv"
    try:
        with ExitStack() as stack:
            with encode_errors(output):
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
    quieten(encoding.codec)
    stream = cast(VideoStream, out.add_stream(encoding.codec, rate=video.rate, options=options_of(encoding)))
    stream.width, stream.height = coded
    stream.pix_fmt = pixel_format_of(encoding, video.depth)
    stream.sample_aspect_ratio = video.sample_aspect
    context, colour = stream.codec_context, _colour(video, encoding.codec)
    context.color_range, context.colorspace = _range(colour), colour.matrix
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.thread_type = "AUTO"
    family, matroska = family_of(encoding.codec), out.format.name == "matroska"
    if matroska and family not in SHAPED and video.sample_aspect != 1:
        raise OptionInvalid(f"{encoding.codec} in .mkv cannot tell that the footage's pixels are not square")
    if family == "hevc" and not matroska:
        context.codec_tag = "hvc1"  # Apple's players take no other
    return stream


def _colour(video: VideoInfo, codec: str) -> Colour:
    """What the written pictures' colours mean."""
    return replace(video.colour, full_range=video.colour.full_range and family_of(codec) not in RANGELESS)


def _range(colour: Colour) -> int:
    return int(ColorRange.JPEG if colour.full_range else ColorRange.MPEG)


def _frame(picture: Frame, coded: tuple[int, int], pixel_format: str, colour: Colour) -> VideoFrame:
    """The picture as the encoder wants it, padded to the coded size by repeating its last row and column."""
    frame = frame_of(picture)
    if frame is None:
        frame = VideoFrame(*coded, "yuv420p" if picture.depth == 8 else "yuv420p10le")
        for plane, target in zip((picture.y, picture.u, picture.v), planes_of(frame), strict=True):
            height, width = plane.shape
            target[:height, :width] = plane
            target[height:, :width] = plane[-1]
            target[:, width:] = target[:, width - 1 : width]
    if frame.format.name != pixel_format or picture.colour.full_range != colour.full_range:
        own, theirs = _range(picture.colour), _range(colour)
        frame = frame.reformat(format=pixel_format, src_color_range=own, dst_color_range=theirs)
    frame.color_range, frame.colorspace = _range(colour), colour.matrix
    frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    return frame


def part_of(output: Path) -> Path:
    """Where the file is written aside, to be renamed when it is whole."""
    return output.with_name(f".lipsync-{uuid.uuid4().hex[:12]}{output.suffix.lower()}")


@contextmanager
def encode_errors(output: Path) -> Iterator[None]:
    """Failures of the file system and of the encoder as errors of ours."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as exc:
        raise _as_ours(exc, output) from exc


def _as_ours(exc: BaseException, output: Path) -> LipsyncError:
    number = getattr(exc, "errno", None)
    if number in NO_SPACE:
        return DiskFull(f"{output}: no space is left there")
    if number == errno.ENOMEM:
        return OutOfMemory(f"{output}: the encoder ran out of memory")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG):
        return OutputUnwritable(f"{output}: writing there is not possible ({os.strerror(number)})")
    return EncodeFailed(f"{output}: encoding failed ({' '.join(str(exc).split())})")
