"""What the benchmarks share: footage and sound of a given length, and measured processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took: wall and processor seconds, peak resident bytes."""

    wall: float
    cpu: float
    peak: int


def measured(command: list[str]) -> Cost:
    """Run a command to its end; CalledProcessError if it fails."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def lipsync(face: Path, sound: Path, output: Path) -> list[str]:
    options = ["--face", str(face), "--audio", str(sound), "-o", str(output)]
    return [sys.executable, "-m", "lipsync", "sync", "--quiet", "--overwrite", *options]


def length_of(video: Path) -> Fraction:
    """Seconds of picture, by the packets."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for packet in container.demux(stream) if packet.size)
        return frames / (stream.average_rate or Fraction(25))


def write_sound(source: Path, target: Path, seconds: float) -> Path:
    """The source's sound again and again, 16 kHz mono WAV of exactly ``seconds``."""
    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(str(source)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.resize(samples, round(seconds * 16_000)).astype("<i2").tobytes())
    return target


def write_looped(source: Path, target: Path, seconds: float) -> Path:
    """The source's picture again and again, without encoding it anew, for about ``seconds``."""
    length = float(length_of(source))
    with av.open(str(target), "w") as out:
        copy, shift = None, 0
        for _ in range(max(1, round(seconds / length))):
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                for packet in container.demux(stream):
                    if packet.pts is None or packet.dts is None or stream.time_base is None:
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = copy
                    out.mux(packet)
                shift += round(length / stream.time_base)
    return target
