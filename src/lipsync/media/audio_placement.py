"""Place decoded audio on its file's clock: silence where there is none, and no padding of the codec at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

LOOKAHEAD = 8  # frames that must agree on a gap or an overlap, because single timestamps jitter
TOLERANCE = Fraction(1, 100)  # seconds by which timestamps may differ from the count of samples
FEW = 5  # times the tolerance for the last frames, which are few to agree
MAX_OVERLAP = Fraction(1)  # seconds; a clock that goes back further was set again
MAX_PADDING = Fraction(3, 20)  # seconds after the stated end that a codec's last frames may fill
MAX_SILENCE = 1 << 16  # samples in one frame


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds by a file's clock: where its audio begins, and where it ends if the file states it."""

    start: Fraction
    end: Fraction | None = None


@dataclass(frozen=True, slots=True)
class _Timed:
    frame: AudioFrame
    time: Fraction | None


def placed(frames: Iterable[AudioFrame], span: Span) -> Generator[AudioFrame, None, None]:
    """Yield packed audio without timestamps, all in the format, layout and rate of the first of ``frames``.

    The first sample is the one at ``span.start``. Gaps between timestamps are filled with silence and overlaps are cut,
    where several frames agree. Packed, because PyAV 18.1 cannot convert eight planes to arrays.
    """
    source = _uniform(frames)
    queue = deque(islice(source, LOOKAHEAD))
    if not queue:
        return
    clock = _Clock(queue[0].frame.sample_rate, span)
    while queue:
        shift = clock.shift(queue)
        head = queue.popleft().frame
        queue.extend(islice(source, 1))
        first = min(max(0, -shift), head.samples)
        yield from _silence(head, max(0, shift))
        clock.position += max(0, shift)
        last = head.samples if len(queue) == LOOKAHEAD else first + clock.room(head.samples - first, queue)
        if first < last:
            clock.position += last - first
            yield cut(head, first, last)
        if last < head.samples:
            return


class _Clock:
    """Compares timestamps with ``position``, the number of samples so far."""

    def __init__(self, rate: int, span: Span) -> None:
        self.position = 0
        self._rate, self._start = rate, span.start
        self._end = None if span.end is None else round((span.end - span.start) * rate)
        self._tolerance, self._max_overlap = round(TOLERANCE * rate), round(MAX_OVERLAP * rate)

    def shift(self, queue: Sequence[_Timed]) -> int:
        """The samples of silence to insert before the first frame of the queue; if negative, the samples to cut."""
        lags, samples = [], self.position
        for item in queue:
            if item.time is not None:
                lags.append(round((item.time - self._start) * self._rate) - samples)
            samples += item.frame.samples
        if not lags:
            return 0
        if self.position == 0:
            return lags[0]
        least, few = min(lags, key=abs), len(lags) < LOOKAHEAD
        if abs(least) <= (FEW if few else 1) * self._tolerance or min(lags) < 0 < max(lags):
            return 0
        if least < -self._max_overlap:
            self._start += Fraction(least, self._rate)
            return 0
        return least

    def room(self, samples: int, rest: Iterable[_Timed]) -> int:
        """How many of the next ``samples`` come before the stated end, if little follows it; ``rest`` are the last."""
        if self._end is None:
            return samples
        excess = self.position + samples + sum(item.frame.samples for item in rest) - self._end
        if excess > MAX_PADDING * self._rate:
            return samples
        return max(0, min(samples, self._end - self.position))


def _uniform(frames: Iterable[AudioFrame]) -> Iterator[_Timed]:
    """Convert all frames to the packed format, the layout and the rate of the first one."""
    first: AudioFrame | None = None
    converter: _Converter | None = None
    for frame in frames:
        first = first or frame
        if converter is None or not converter.takes(frame):
            yield from () if converter is None else converter.flush()
            converter = _Converter(frame, first)
        yield from converter.convert(frame)
    yield from () if converter is None else converter.flush()


class _Converter:
    """Converts frames that are like ``source`` to the packed format, layout and rate of ``target``."""

    def __init__(self, source: AudioFrame, target: AudioFrame) -> None:
        self._source, self._rate = source, target.sample_rate
        self._ratio = Fraction(target.sample_rate, source.sample_rate)
        self._resampler = av.AudioResampler(target.format.packed, target.layout, target.sample_rate)
        self._held = Fraction(0)  # samples inside the resampler

    def takes(self, frame: AudioFrame) -> bool:
        source = self._source
        same = frame.format.name == source.format.name and frame.layout.name == source.layout.name
        return same and frame.sample_rate == source.sample_rate

    def convert(self, frame: AudioFrame) -> Iterator[_Timed]:
        time = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        time = None if time is None else time - self._held / self._rate
        self._held += frame.samples * self._ratio
        frame.pts = None  # else the resampler would fill or cut gaps
        for block in self._resampler.resample(frame):
            self._held -= block.samples
            yield _Timed(block, time)
            time = None

    def flush(self) -> Iterator[_Timed]:
        for block in self._resampler.resample(None):
            yield _Timed(block, None)


def shifted(frames: Iterable[AudioFrame], seconds: Fraction) -> Generator[AudioFrame, None, None]:
    """Move packed audio earlier, or later if ``seconds`` is negative; the number of samples stays the same.

    Its beginning is cut off and silence is appended, or silence is inserted before it and its end is cut off.
    """
    queue, held, dropped, delay = deque[AudioFrame](), 0, 0, 0
    last: AudioFrame | None = None
    for frame in frames:
        shift = round(seconds * frame.sample_rate)
        if last is None:
            held = delay = max(0, -shift)
            queue.extend(_silence(frame, delay))
        last, gone = frame, min(max(0, shift) - dropped, frame.samples)
        dropped += gone
        if gone < frame.samples:
            queue.append(cut(frame, gone, frame.samples))
            held += frame.samples - gone
        while queue and held - queue[0].samples >= delay:
            held -= queue[0].samples
            yield queue.popleft()
    while held > delay:
        head = queue.popleft()
        yield cut(head, 0, min(head.samples, held - delay))
        held -= head.samples
    if last is not None:
        yield from _silence(last, dropped)


def cut(frame: AudioFrame, first: int, last: int) -> AudioFrame:
    """Return the samples ``first`` to ``last``, excluded, of a packed frame."""
    if (first, last) == (0, frame.samples):
        return frame
    channels = frame.layout.nb_channels
    return _like(frame, frame.to_ndarray()[:, first * channels : last * channels])


def _silence(frame: AudioFrame, samples: int) -> Iterator[AudioFrame]:
    """Yield ``samples`` samples of silence in the form of a packed frame."""
    channels, dtype = frame.layout.nb_channels, frame.to_ndarray().dtype
    level = 128 if dtype == np.uint8 else 0
    for start in range(0, samples, MAX_SILENCE):
        count = min(MAX_SILENCE, samples - start)
        yield _like(frame, np.full((1, count * channels), level, dtype))


def _like(frame: AudioFrame, samples: NDArray[Any]) -> AudioFrame:
    made = AudioFrame.from_ndarray(np.ascontiguousarray(samples), frame.format.name, frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made
