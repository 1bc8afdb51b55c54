"""Find a video's frame rate and frame count from its packets, without decoding them."""

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
from lipsync.media.discontinuity import Joiner, Parts

COMMON_RATES = tuple(
    Fraction(n, d) for d in (1001, 1000) for n in (24_000, 25_000, 30_000, 48_000, 50_000, 60_000, 120_000)
)
SNAP_TOLERANCE = Fraction(1, 500)  # relative deviation at which a measured rate becomes a common one
MIN_RATE, MAX_RATE = Fraction(1), Fraction(120)
MIN_ROUNDED_STEP = 8  # ticks between two frames from which a tick more or less counts as rounding
DEFAULT_RATE = Fraction(25)  # for files without a frame rate
# A file may end this much before its stated length: in seconds, and as a share of the length.
MAX_MISSING_SECONDS, MAX_MISSING_SHARE = Fraction(1), Fraction(1, 50)


@dataclass(frozen=True, slots=True)
class Timing:
    """A video stream at a constant ``rate``: ``frame_count`` frames, the first at ``start`` seconds.

    ``variable``: the file's own frame times are uneven.
    """

    rate: Fraction
    frame_count: int
    start: Fraction
    variable: bool


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """The packets of one stream: their number, and their presentation times in ticks, in order.

    ``times``: None if packets lack them. ``joints``: see ``types.Clip``.
    """

    count: int
    times: Sequence[int] | None
    joints: tuple[Fraction, ...]


def read_packets(
    path: Path, container: InputContainer, leader: Stream, on_packet: Callable[[Packet[Stream]], None]
) -> PacketTimes:
    """Read all packets of a file that passed ``check_complete``; describe those of ``leader``.

    ``on_packet`` receives those of ``leader`` and of all audio streams, including the empty ones at the end, which
    flush a decoder. Raises MediaTruncated, and what ``on_packet`` raises.
    """
    parts, joiner, found = Parts(container, leader.index), Joiner(), list[tuple[int, int | None]]()
    end, frame_time = Fraction(0), _frame_time(leader)
    try:
        for packet in container.demux((leader, *container.streams.audio)):
            on_packet(packet)
            if not packet.size:
                continue
            part, leads = parts.of(packet), packet.stream_index == leader.index
            if packet.pts is not None:
                time = packet.pts * packet.time_base
                following = time + (packet.duration * packet.time_base if packet.duration else frame_time)
                end = max(end, following)
                if leads:
                    joiner.add(part, time, following)
            if leads and not packet.is_discard:
                found.append((part, packet.pts))
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{path}: the file cannot be read beyond {float(end):.1f} s") from exc
    _check_length(path, container, end)
    return PacketTimes(len(found), _joined(found, joiner.shifts, leader.time_base), joiner.shifts)


def _frame_time(stream: Stream) -> Fraction:
    """The duration of a video frame by the stated rate."""
    return 1 / stream.average_rate if isinstance(stream, VideoStream) and stream.average_rate else Fraction(0)


def _joined(
    found: Sequence[tuple[int, int | None]], shifts: Sequence[Fraction], unit: Fraction | None
) -> Sequence[int] | None:
    """The times of all packets in ticks of ``unit``, in order; None if packets lack them."""
    if unit is None:
        return None
    ticks = [round(shift / unit) for shift in shifts] or [0]
    times = [time + ticks[part] for part, time in found if time is not None]
    return sorted(times) if len(times) == len(found) else None


def timing_of(path: Path, packets: PacketTimes, stream: VideoStream) -> Timing:
    """Find the constant rate at which a video stream is read. Raises NoFrames."""
    if not packets.count:
        raise NoFrames(f"{path}: the video contains no frames")
    if packets.times is None:
        return Timing(_nominal_rate(stream), packets.count, Fraction(0), False)
    return _timing(packets.times, stream)


def check_complete(path: Path, container: InputContainer) -> None:
    """Raise MediaTruncated if an MP4 or MOV index refers to data beyond the end of the file."""
    if "mov" not in container.format.name.split(","):
        return
    size = path.stat().st_size
    for stream in (*container.streams.video, *container.streams.audio):
        for entry in stream.index_entries:
            if entry.pos + entry.size > size and stream.time_base is not None:
                raise MediaTruncated(
                    f"{path}: the file is truncated after {float(entry.timestamp * stream.time_base):.1f} s"
                )


def _check_length(path: Path, container: InputContainer, end: Fraction) -> None:
    """Matroska stores its length up front; a file that ends well before it is truncated."""
    if "matroska" not in container.format.name or not container.duration:
        return
    length = Fraction(container.duration, av.time_base)
    if length - end > max(MAX_MISSING_SECONDS, MAX_MISSING_SHARE * length):
        raise MediaTruncated(f"{path}: the file is truncated after {float(end):.1f} of {float(length):.1f} s")


def _timing(timestamps: Sequence[int], stream: VideoStream) -> Timing:
    unit = stream.time_base or Fraction(1)
    start = timestamps[0] * unit
    for rate in _stated_rates(stream):
        if all(abs((time - timestamps[0]) * unit * rate - k) < Fraction(1, 2) for k, time in enumerate(timestamps)):
            return Timing(rate, len(timestamps), start, False)
    rate = _most_common_rate(timestamps, unit)
    frame_count = round((timestamps[-1] - timestamps[0]) * unit * rate) + 1
    return Timing(rate, frame_count, start, True)


def _stated_rates(stream: VideoStream) -> list[Fraction]:
    """The rates that the container states, best guess first."""
    stated = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return [rate for rate in (*map(snap_rate, stated), *stated) if MIN_RATE <= rate <= MAX_RATE]


def _nominal_rate(stream: VideoStream) -> Fraction:
    return next(iter(_stated_rates(stream)), DEFAULT_RATE)


def _most_common_rate(timestamps: Sequence[int], unit: Fraction) -> Fraction:
    """The rate of the most frequent frame interval, within MIN_RATE..MAX_RATE."""
    steps = Counter(after - before for before, after in pairwise(timestamps) if after > before)
    if not steps:
        return DEFAULT_RATE
    step = max(steps, key=lambda s: (steps[s], -s))
    rounded = [step] if step < MIN_ROUNDED_STEP else [step - 1, step, step + 1]
    mean = Fraction(sum(s * steps[s] for s in rounded), sum(steps[s] for s in rounded))
    return min(max(snap_rate(1 / (mean * unit)), MIN_RATE), MAX_RATE)


def snap_rate(rate: Fraction) -> Fraction:
    """Return the common frame rate within 0.2 % of a measured one, else the rate itself."""
    nearest = min(COMMON_RATES, key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) <= SNAP_TOLERANCE * nearest else rate
