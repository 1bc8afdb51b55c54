"""Discontinuities of a file's times: recordings joined end to end, whose clocks start again.

FFmpeg's programs join the times where they jump (``dts_delta_threshold``); its demuxers do not. Here, times are moved
so that the frames of the leading stream, the video if there is one, follow each other without a gap. Other streams move
with it, so that sound and picture stay together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

BACKWARDS = Fraction(1, 4)  # seconds by which times within one recording never go back
FORWARDS = Fraction(10)  # seconds that a transport stream never omits without a discontinuity
CONTINUOUS = "mov"  # its index has one clock by construction
CLOCKED = ("mpegts", "mpeg")  # formats in which joined recordings also jump forwards


class Parts:
    """Finds the part of a file that each packet belongs to: 0 until the times jump, then 1, and so on.

    ``leader``: the index of the stream that sets the pace.
    """

    def __init__(self, container: InputContainer, leader: int) -> None:
        self._leader, self._formats = leader, container.format.name.split(",")
        self._last: dict[int, int] = {}
        self._part: dict[int, int] = {}

    def of(self, packet: Packet[Stream]) -> int:
        """The part of the next packet, in the order of the file."""
        index, time = packet.stream_index, packet.dts  # presentation times go back where frames are reordered
        part, last = self._part.setdefault(index, 0), self._last.get(index)
        if time is None or CONTINUOUS in self._formats:
            return part
        if last is not None and self._jumps((time - last) * packet.time_base):
            leading = self._part.get(self._leader, 0)
            part = self._part[index] = leading if index != self._leader and leading > part else part + 1
        self._last[index] = time
        return part

    def _jumps(self, step: Fraction) -> bool:
        return step < -BACKWARDS or (step > FORWARDS and any(name in CLOCKED for name in self._formats))


class Joiner:
    """Finds by how much the times of each part are to be moved, from all packets of the leading stream."""

    def __init__(self) -> None:
        self._starts: list[Fraction] = []
        self._ends: list[Fraction] = []

    def add(self, part: int, time: Fraction, end: Fraction) -> None:
        """Note a packet of the leading stream that is shown from ``time`` to ``end``."""
        if part == len(self._starts):
            self._starts.append(time)
            self._ends.append(end)
        self._starts[part] = min(self._starts[part], time)
        self._ends[part] = max(self._ends[part], end)

    @property
    def shifts(self) -> tuple[Fraction, ...]:
        """Seconds to add to the times of each part; empty if there is only one."""
        if len(self._starts) < 2:
            return ()
        shifts = [Fraction(0)]
        for start, end in zip(self._starts[1:], self._ends, strict=False):
            shifts.append(end + shifts[-1] - start)
        return tuple(shifts)


def joined_packets(
    container: InputContainer, stream: Stream, leader: Stream, shifts: Sequence[Fraction]
) -> Iterator[Packet[Stream]]:
    """Yield the packets of ``stream`` with joined times; ``shifts``: see ``Joiner``. Raises what ``demux`` raises."""
    parts = Parts(container, leader.index)
    for packet in container.demux((stream, leader)):
        part = parts.of(packet) if packet.size else 0
        if packet.stream_index != stream.index:
            continue
        if 0 < part < len(shifts):
            ticks = round(shifts[part] / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        yield packet
