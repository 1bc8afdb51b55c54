"""Find a video's frame rate and frame count from its packets, without decoding them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from lipsync.errors import MediaTruncated, NoFrames
from lipsync.media.discontinuity import Joiner, Parts
from lipsync.media.frame_rate import DEFAULT_RATE, MAX_RATE, MIN_RATE, constant_rate, prevalent_rate, snap_rate

MAX_HOLD = Fraction(10)  # seconds that the last frame may be shown for
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

    ``times``: None if packets lack them. ``last``: seconds for which the last one is shown, as far as it is stated.
    ``end``: the end of the last packet of any stream that was read, in seconds. ``joints``: see ``types.Clip``.
    """

    count: int
    times: Sequence[int] | None
    last: Fraction
    end: Fraction
    joints: tuple[Fraction, ...]


def read_packets(
    path: Path, container: InputContainer, leader: Stream, on_packet: Callable[[Packet[Stream]], None]
) -> PacketTimes:
    """Read all packets of a file that passed ``check_complete``; describe those of ``leader``.

    ``on_packet`` receives those of ``leader`` and of all audio streams, including the empty ones at the end, which
    flush a decoder. Raises MediaTruncated, and what ``on_packet`` raises.
    """
    parts, joiner, found = Parts(container, leader.index), Joiner(), list[tuple[int, int | None]]()
    end, frame_time, latest, last = Fraction(0), _frame_time(leader), (-1, 0), Fraction(0)
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
                if packet.pts is not None and (part, packet.pts) > latest:
                    latest, last = (part, packet.pts), (packet.duration or 0) * packet.time_base
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{path}: the file cannot be read beyond {float(end):.1f} s") from exc
    times = _joined(found, joiner.shifts, leader.time_base)
    return PacketTimes(len(found), times, last, end, joiner.shifts)


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
    return _timing(packets.times, packets.last, stream)


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


def check_length(path: Path, container: InputContainer, end: Fraction) -> None:
    """Raise MediaTruncated if a Matroska file, which states its length up front, ends well before."""
    if "matroska" not in container.format.name or not container.duration:
        return
    length = Fraction(container.duration, av.time_base)
    if length - end > max(MAX_MISSING_SECONDS, MAX_MISSING_SHARE * length):
        raise MediaTruncated(f"{path}: the file is truncated after {float(end):.1f} of {float(length):.1f} s")


def _timing(ticks: Sequence[int], last: Fraction, stream: VideoStream) -> Timing:
    """``last``: seconds for which the last frame is shown."""
    unit = stream.time_base or Fraction(1)
    if len(ticks) > 1 and last == (ticks[-1] - ticks[-2]) * unit:
        last = Fraction(0)  # muxers that do not know it repeat the interval before
    times = np.array([tick - ticks[0] for tick in ticks], np.float64) * float(unit)
    constant = constant_rate(times, _stated_rates(stream))
    if constant is not None:
        rate, first = constant
        held = _held(last, rate)
        return Timing(rate, len(ticks) + held, ticks[0] * unit + Fraction(first).limit_denominator(10**6), held > 0)
    rate = prevalent_rate(times)
    frame_count = round((ticks[-1] - ticks[0]) * unit * rate) + 1 + _held(last, rate)
    return Timing(rate, frame_count, ticks[0] * unit, True)


def _held(last: Fraction, rate: Fraction) -> int:
    """The number of times that the last frame is repeated."""
    return max(0, round(min(last, MAX_HOLD) * rate) - 1)


def _stated_rates(stream: VideoStream) -> list[Fraction]:
    """The rates that the container states, best guess first."""
    stated = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [rate for rate in stated if rate and MIN_RATE <= rate <= MAX_RATE]


def _nominal_rate(stream: VideoStream) -> Fraction:
    return next((snap_rate(rate) for rate in _stated_rates(stream)), DEFAULT_RATE)
