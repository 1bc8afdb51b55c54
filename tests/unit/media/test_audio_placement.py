from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync.media.audio_placement import Span, placed, shifted

RATE, BLOCK = 8_000, 160


def blocks(times: Sequence[float | None], layout: str = "mono", rate: int = RATE):
    """One planar frame of 160 samples for each time in seconds; all samples of frame k are k + 1."""
    channels = av.AudioLayout(layout).nb_channels
    for number, time in enumerate(times):
        packed = av.AudioFrame.from_ndarray(np.full((1, channels * BLOCK), number + 1, np.int16), "s16", layout)
        packed.sample_rate = rate
        (frame,) = av.AudioResampler("s16p").resample(packed)
        frame.time_base = Fraction(1, 1000)
        frame.pts = None if time is None else round(time * 1000)
        yield frame


def values(frames) -> list[int]:
    """The value of every sample of the first channel."""
    found = list(frames)
    assert all(frame.pts is None and not frame.format.is_planar for frame in found)
    if not found:
        return []
    return np.concatenate([f.to_ndarray()[0, :: f.layout.nb_channels] for f in found]).tolist()


def regular(count: int, start: float = 0.0) -> list[float]:
    return [start + 0.02 * k for k in range(count)]


def test_regular_audio_is_unchanged():
    expected = np.repeat(np.arange(1, 31), BLOCK).tolist()
    assert values(placed(blocks(regular(30)), Span(Fraction(0)))) == expected
    assert values(placed(blocks([None] * 30), Span(Fraction(0)))) == expected


@pytest.mark.parametrize("layout", ["mono", "stereo", "7.1"])
def test_audio_that_starts_late_is_preceded_by_silence(layout):
    samples = values(placed(blocks(regular(4, start=0.5), layout=layout), Span(Fraction(0))))
    assert samples[:4000] == [0] * 4000
    assert samples[4000:] == np.repeat(np.arange(1, 5), BLOCK).tolist()


def test_audio_before_the_start_is_cut():
    samples = values(placed(blocks(regular(30)), Span(Fraction(3, 100))))
    assert samples[:BLOCK] == [2] * 80 + [3] * 80
    assert len(samples) == 30 * BLOCK - 240


@pytest.mark.parametrize("length", [0.03, 0.5, 20])
def test_a_gap_is_filled_with_silence(length):
    samples = values(placed(blocks([*regular(20), *regular(20, start=0.4 + length)]), Span(Fraction(0))))
    gap = round(length * RATE)
    assert samples[20 * BLOCK : 20 * BLOCK + gap] == [0] * gap
    assert samples[20 * BLOCK + gap :][:BLOCK] == [21] * BLOCK
    assert len(samples) == 40 * BLOCK + gap


def test_an_overlap_is_cut():
    samples = values(placed(blocks([*regular(20), *regular(20, start=0.3)]), Span(Fraction(0))))
    assert samples[20 * BLOCK :][:BLOCK] == [26] * BLOCK
    assert len(samples) == 35 * BLOCK


def test_a_clock_that_is_set_back_far_does_not_silence_the_rest():
    samples = values(placed(blocks([*regular(20, start=60), *regular(20)]), Span(Fraction(60))))
    assert samples == np.repeat(np.arange(1, 41), BLOCK).tolist()


def test_jitter_of_single_timestamps_is_ignored():
    jitter = np.random.default_rng(1).uniform(-0.03, 0.03, 40)
    jitter[0] = 0
    times = np.maximum(0, np.array(regular(40)) + jitter)
    assert values(placed(blocks(times.tolist()), Span(Fraction(0)))) == np.repeat(np.arange(1, 41), BLOCK).tolist()


def test_a_slow_drift_is_followed():
    times = [1.01 * time for time in regular(400)]
    assert len(values(placed(blocks(times), Span(Fraction(0))))) == pytest.approx(1.01 * 400 * BLOCK, abs=0.025 * RATE)


@pytest.mark.parametrize(("end", "kept"), [(0.795, 6360), (0.7, 5600), (0.6, 6400), (None, 6400), (2.0, 6400)])
def test_padding_after_the_stated_end_is_cut_unless_it_is_too_long_to_be_padding(end, kept):
    span = Span(Fraction(0), None if end is None else Fraction(str(end)))
    assert len(values(placed(blocks(regular(40)), span))) == kept


def test_a_change_of_the_layout_and_rate_is_converted():
    def changing():
        yield from blocks(regular(10), layout="stereo")
        yield from blocks(regular(10, start=0.2), layout="mono", rate=2 * RATE)

    frames = list(placed(changing(), Span(Fraction(0))))
    assert {(f.layout.name, f.sample_rate, f.format.name) for f in frames} == {("stereo", RATE, "s16")}
    assert sum(f.samples for f in frames) == pytest.approx(10 * BLOCK + 10 * BLOCK / 2 + 10 * BLOCK / 2, abs=2 * BLOCK)


@pytest.mark.parametrize("seconds", [Fraction(1, 40), Fraction(-1, 40), Fraction(2), Fraction(-2), Fraction(0)])
@pytest.mark.parametrize("layout", ["mono", "7.1"])
def test_shifting_keeps_the_length(seconds, layout):
    before = np.array(values(placed(blocks(regular(20), layout=layout), Span(Fraction(0)))))
    after = values(shifted(placed(blocks(regular(20), layout=layout), Span(Fraction(0))), seconds))
    shift = max(-len(before), min(len(before), round(seconds * RATE)))
    expected = np.zeros_like(before)
    expected[max(0, -shift) : len(before) - max(0, shift)] = before[max(0, shift) : len(before) - max(0, -shift)]
    assert after == expected.tolist()


def test_unsigned_samples_are_silent_at_their_middle():
    def late():
        frame = av.AudioFrame.from_ndarray(np.full((1, BLOCK), 200, np.uint8), "u8", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, RATE, Fraction(1, RATE)
        yield frame

    assert values(placed(late(), Span(Fraction(0)))) == [128] * RATE + [200] * BLOCK
