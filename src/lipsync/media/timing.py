"""When a video's frames come, found from its packets: nothing is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from lipsync.errors import MediaTruncated, NoFrames

COMMON = tuple(Fraction(n, d) for d in (1001, 1000) for n in (24_000, 25_000, 30_000, 48_000, 50_000, 60_000, 120_000))
NEAR = Fraction(1, 500)  # how far, as a share, a measured rate may be from a common one that is meant
SLOWEST, FASTEST = Fraction(1), Fraction(120)
COARSE = 8  # ticks between two frames: with fewer, a tick more or less is no rounding
PLAIN = Fraction(25)  # frames/s where a file does not tell
MISSING = (Fraction(1), Fraction(1, 50))  # seconds, or share of the length, by which a file may end early


@dataclass(frozen=True, slots=True)
class Timing:
    """A video stream's frames at a constant ``rate``: ``frame_count`` of them, the first at ``start`` seconds.

    ``variable``: the file's own frames do not come at that rate; some are shown longer than others.
    """

    rate: Fraction
    frame_count: int
    start: Fraction
    variable: bool


def measure(
    path: Path, container: InputContainer, stream: VideoStream, on_packet: Callable[[Packet[Stream]], None]
) -> Timing:
    """Read through the packets of a file that passed ``check_whole``; ``on_packet`` receives those of ``stream``.

    Raises MediaTruncated, NoFrames, and what ``on_packet`` raises.
    """
    stamps, packets, end = [], 0, Fraction(0)
    try:
        for packet in container.demux((stream, *container.streams.audio)):
            if packet.stream_index == stream.index:
                on_packet(packet)  # the empty packet at the end, too, which flushes a decoder
            if not packet.size:
                continue
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream_index == stream.index and not packet.is_discard:
                packets += 1
                stamps += [] if packet.pts is None else [packet.pts]
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{path}: it cannot be read beyond {float(end):.1f} s") from exc
    if not packets:
        raise NoFrames(f"{path}: the video contains no frames")
    _check_length(path, container, end)
    if len(stamps) < packets or stream.time_base is None:
        return Timing(_nominal(stream), packets, Fraction(0), False)
    return _timing(sorted(stamps), stream)


def check_whole(path: Path, container: InputContainer) -> None:
    """MediaTruncated if the index promises data beyond the end of the file (MP4 and MOV)."""
    if "mov" not in container.format.name.split(","):
        return
    size = path.stat().st_size
    for stream in (*container.streams.video, *container.streams.audio):
        for entry in stream.index_entries:
            if entry.pos + entry.size > size and stream.time_base is not None:
                raise MediaTruncated(
                    f"{path}: the file is cut off after {float(entry.timestamp * stream.time_base):.1f} s"
                )


def _check_length(path: Path, container: InputContainer, end: Fraction) -> None:
    """Matroska writes its length first; a file that ends well before it was cut off."""
    if "matroska" not in container.format.name or not container.duration:
        return
    length = Fraction(container.duration, av.time_base)
    if length - end > max(MISSING[0], MISSING[1] * length):
        raise MediaTruncated(f"{path}: the file is cut off after {float(end):.1f} of {float(length):.1f} s")


def _timing(stamps: Sequence[int], stream: VideoStream) -> Timing:
    unit = stream.time_base or Fraction(1)
    start = stamps[0] * unit
    for rate in _constant_rates(stream):
        if all(abs((stamp - stamps[0]) * unit * rate - k) < Fraction(1, 2) for k, stamp in enumerate(stamps)):
            return Timing(rate, len(stamps), start, False)
    rate = _usual_rate(stamps, unit)
    frames = round((stamps[-1] - stamps[0]) * unit * rate) + 1
    return Timing(rate, frames, start, True)


def _constant_rates(stream: VideoStream) -> list[Fraction]:
    told = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return [rate for rate in (*map(snapped, told), *told) if SLOWEST <= rate <= FASTEST]


def _nominal(stream: VideoStream) -> Fraction:
    return next(iter(_constant_rates(stream)), PLAIN)


def _usual_rate(stamps: Sequence[int], unit: Fraction) -> Fraction:
    """One frame for the interval that is seen most often, within what is watchable."""
    steps = Counter(after - before for before, after in pairwise(stamps) if after > before)
    if not steps:
        return PLAIN
    step = max(steps, key=lambda s: (steps[s], -s))
    alike = [step] if step < COARSE else [step - 1, step, step + 1]  # which rounding makes of one
    mean = Fraction(sum(s * steps[s] for s in alike), sum(steps[s] for s in alike))
    return min(max(snapped(1 / (mean * unit)), SLOWEST), FASTEST)


def snapped(rate: Fraction) -> Fraction:
    """The common frame rate that is meant by a measured one, or the rate itself."""
    nearest = min(COMMON, key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) <= NEAR * nearest else rate
