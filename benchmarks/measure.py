"""Shared by the benchmarks: video and audio of a given length, and measured processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lipsync.engines import ENGINES


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one process: wall and CPU seconds, peak resident bytes."""

    wall: float
    cpu: float
    peak: int


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command and wait for it. Raises CalledProcessError if it fails."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def lipsync(video: Path, audio: Path, output: Path, *more: str) -> list[str]:
    options = ["--video", str(video), "--audio", str(audio), "-o", str(output), *more]
    return [sys.executable, "-m", "lipsync", "sync", "--quiet", "--overwrite", *options]


def engine_options(engine: str, folder: Path) -> list[str]:
    """Options that select an engine, with random weights in ``folder`` if it needs any: they take the same time."""
    if not ENGINES[engine].needs_weights:
        return ["--engine", engine]
    weights = engine if ENGINES[engine].has_original else "wav2lip"
    command = [sys.executable, str(Path(__file__).with_name("import_checkpoint.py")), "--into", str(folder), weights]
    subprocess.run(command, check=True)
    return ["--engine", engine, "--models-dir", str(folder)]


def frames_of(video: Path) -> int:
    """Count the frames by their packets."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)


def length_of(video: Path) -> Fraction:
    """Duration of the video in seconds."""
    with av.open(str(video)) as container:
        rate = container.streams.video[0].average_rate or Fraction(25)
    return frames_of(video) / rate


def write_audio(source: Path, target: Path, seconds: float) -> Path:
    """Repeat or cut the source's audio to exactly ``seconds``, as 16 kHz mono WAV."""
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
    """Repeat the source's video for about ``seconds`` without encoding it again."""
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
