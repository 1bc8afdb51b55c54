from __future__ import annotations

import numpy as np
import pytest
from av.audio.layout import AudioLayout

from lipsync.media.voice_mix import mix_voice

RATE = 16_000
TIME = np.arange(3 * RATE) / RATE
VOICE = (0.8 * np.sin(2 * np.pi * 300 * TIME) * np.sin(2 * np.pi * 2 * TIME) ** 2).astype(np.float32)
NOISE = np.random.default_rng(2).normal(0, 0.05, len(VOICE)).astype(np.float32)
MUSIC = (0.9 * np.sin(2 * np.pi * 520 * TIME)).astype(np.float32)
NONE = np.zeros_like(VOICE)


def mixed(channels, layout: str):
    samples = np.stack(channels, 1).astype(np.float32)
    return np.concatenate(list(mix_voice(np.array_split(samples, 40), AudioLayout(layout), RATE)))


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        ("mono", [VOICE]),
        ("stereo", [VOICE, VOICE]),
        ("stereo", [VOICE, -VOICE]),
        ("stereo", [VOICE, -0.7 * VOICE]),
        ("stereo", [VOICE, NONE]),
        ("stereo", [NONE, VOICE]),
        ("stereo", [VOICE, NONE + 0.5]),
        ("3 channels", [VOICE, -VOICE, NONE]),
        ("5.1", [NONE, NONE, VOICE, NONE, NONE, NONE]),
        ("5.1", [0.4 * MUSIC, -0.4 * MUSIC, VOICE, 5 * NOISE, NOISE, -NOISE]),
        ("5.1", [VOICE, VOICE, NONE, 5 * NOISE, NONE, NONE]),
        ("7.1", [VOICE, -VOICE, 0.01 * NOISE, 5 * NOISE, NONE, NONE, NONE, NONE]),
        ("16 channels", [VOICE, *[NONE] * 15]),
    ],
    ids=str,
)
def test_the_voice_is_that_of_a_mono_recording(layout, channels):
    voice = mixed(channels, layout)
    assert len(voice) == len(VOICE)
    voice = voice - voice.mean()
    assert abs(np.corrcoef(voice, VOICE)[0, 1]) > 0.999
    assert np.abs(voice).max() == pytest.approx(0.8, abs=0.15)


def test_two_voices_on_two_channels_are_both_heard():
    other = (0.8 * np.sin(2 * np.pi * 410 * TIME) * np.cos(2 * np.pi * 2 * TIME) ** 2).astype(np.float32)
    voice = mixed([VOICE, other], "stereo")
    assert np.corrcoef(voice, VOICE)[0, 1] > 0.5
    assert np.corrcoef(voice, other)[0, 1] > 0.5


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1", "22.2"])
def test_full_scale_on_every_channel_does_not_clip(layout):
    square = np.where(np.arange(RATE) % 40 < 20, 1.0, -1.0)
    assert np.abs(mixed([square] * AudioLayout(layout).nb_channels, layout)).max() == pytest.approx(1, abs=1e-6)


def test_silence_stays_silent():
    assert not mixed([NONE, NONE], "stereo").any()
