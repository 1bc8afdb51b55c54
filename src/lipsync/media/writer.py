"""Pictures and sound into a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from lipsync.errors import OutputIsInput, OutputUnwritable
from lipsync.media.encoding import Encoding
from lipsync.media.probe import audio_of, video_of
from lipsync.types import Clip, Picture


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    frames: int
    width: int
    height: int
    crop: tuple[int, int]
    bytes: int


def check_output(output: Path, inputs: Iterable[Path], encoding: Encoding) -> None:
    if not output.parent.is_dir() or output.is_dir():
        raise OutputUnwritable(f"{output}: cannot be written")
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise OutputIsInput(f"{output}: is an input")


def write(
    pictures: Iterable[Picture], output: Path, *, footage: Clip, sound: Clip, frames: int, encoding: Encoding
) -> Written:
    video, audio = video_of(footage), audio_of(sound)
    handle, name = tempfile.mkstemp(prefix=".", suffix=output.suffix, dir=output.parent)
    os.close(handle)
    part = Path(name)
    try:
        count = 0
        with av.open(name, "w") as out, av.open(str(sound.path)) as heard:
            stream = out.add_stream(encoding.codec, rate=video.rate, options={"crf": str(encoding.crf), "preset": encoding.preset})
            stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
            stream.codec_context.color_range = 2 if video.colour.full_range else 1
            stream.codec_context.colorspace = video.colour.matrix
            stream.codec_context.color_primaries = video.colour.primaries
            stream.codec_context.color_trc = video.colour.transfer
            voice = out.add_stream("aac", rate=audio.rate, options={"b": str(encoding.audio_bitrate)})
            for picture in pictures:
                h, w = picture.y.shape
                flat = np.concatenate([picture.y.ravel(), picture.u.ravel(), picture.v.ravel()]).reshape(h * 3 // 2, w)
                frame = av.VideoFrame.from_ndarray(flat, format="yuv420p")
                frame.pts = count
                frame.time_base = 1 / video.rate
                count += 1
                for packet in stream.encode(frame):
                    out.mux(packet)
            for packet in stream.encode(None):
                out.mux(packet)
            for frame in heard.decode(audio=0):
                for packet in voice.encode(frame):
                    out.mux(packet)
            for packet in voice.encode(None):
                out.mux(packet)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    return Written(output, count, video.width, video.height, (0, 0), output.stat().st_size)
