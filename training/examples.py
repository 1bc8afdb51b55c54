"""Examples for training: what the encoder hears in augmented sound, and what the mouth does.

Clips are joined to long streams, as the encoder sees a window of sound at once. ``speech`` has the motion of faces,
``synthetic`` what the phonemes of synthetic voices ask of the lips, ``still`` sound without a voice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import augment
import numpy as np
import phonemes
from numpy.typing import NDArray
from phonemes import HOP
from scipy.signal import resample_poly

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import ENCODER_RATE, SpeechEncoder
from lipsync.types import Float32

CLIPS_PER_STREAM = 8
SPEEDS = (1.0, 1.0, 0.9, 0.95, 1.06, 1.12)
EXAMPLE = 150  # rows
HELD_SHARE = 0.25  # of the streams of synthetic voices, in which vowels are held for seconds
AT_REST = np.array([0, 0, 0, 0, 1], np.float32)  # what sound without a voice asks, as phonemes.labels


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams of ``lengths`` rows, joined: the encoder's ``rows`` (n, 1024) float16, or projected ones (n, P).

    ``targets``: the motion (n, K), or what is asked of the mouth (n, 5), see ``phonemes.labels``.
    """

    rows: NDArray[np.float16]
    targets: Float32
    lengths: NDArray[np.int64]

    @classmethod
    def join(cls, streams: Sequence[tuple[Float32, Float32]]) -> Streams:
        rows, targets = zip(*streams, strict=True)
        lengths = np.array([len(one) for one in rows])
        return cls(np.concatenate([one.astype(np.float16) for one in rows]), np.concatenate(targets), lengths)

    def starts(self) -> NDArray[np.int64]:
        """Where examples may start: everywhere, except near the end of each stream."""
        bounds = pairwise(np.concatenate([[0], np.cumsum(self.lengths)]))
        return np.concatenate([np.arange(first, last - EXAMPLE) for first, last in bounds])

    def draw(self, starts: NDArray[np.int64], count: int, rng: np.random.Generator) -> tuple[Float32, Float32]:
        """Random examples: rows (count, EXAMPLE, P) and targets (count, EXAMPLE, ...)."""
        index = rng.choice(starts, count)[:, None] + np.arange(EXAMPLE)
        return self.rows[index].astype(np.float32), self.targets[index]


def speech(
    clips: Sequence[tuple[Float32, Float32]], neutral: Float32, encoder: SpeechEncoder, seed: int, clean: bool
) -> Streams:
    """All clips, each given as its sound and its motion (n, K) at 25 rows per second, once, in random order."""
    rng = np.random.default_rng(seed)
    order, streams = rng.permutation(len(clips)), []
    for start in range(0, len(clips), CLIPS_PER_STREAM):
        sound, motion = _joined([clips[i] for i in order[start : start + CLIPS_PER_STREAM]], neutral, rng)
        if not clean:
            sound, motion = _at_speed(sound, motion, float(rng.choice(SPEEDS)))
            background = np.concatenate([clips[i][0] for i in rng.integers(0, len(clips), CLIPS_PER_STREAM)])
            sound = augment.augmented(sound, np.resize(background, len(sound)), rng)
        rows = encoded(encoder, sound)[: len(motion)]
        streams.append((rows, motion[: len(rows)]))
    return Streams.join(streams)


def sung(
    clips: Sequence[tuple[Float32, Float32]], neutral: Float32, encoder: SpeechEncoder, seed: int, count: int
) -> Streams:
    """``count`` random clips, sung, half of them with music: slowly held vowels keep the mouth open."""
    rng, streams = np.random.default_rng(seed), []
    for _ in range(0, count, 4):
        sound, motion = _joined([clips[i] for i in rng.integers(0, len(clips), 4)], neutral, rng)
        slower = rng.choice((1.5, 2.0, 3.0, 4.0))
        song = augment.sung(sound, slower, rng)
        motion = _resampled(motion, len(song) // HOP, 1 / slower)
        if rng.random() < 0.5:
            song = song + augment.music(len(song), rng) * augment.level_of(song) * augment.decibels(-rng.uniform(3, 20))
        rows = encoded(encoder, np.asarray(song, np.float32))[: len(motion)]
        streams.append((rows, motion[: len(rows)]))
    return Streams.join(streams)


def _joined(
    clips: Sequence[tuple[Float32, Float32]], neutral: Float32, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    """Clips one after the other, some with a pause between them in which the mouth returns to rest."""
    sounds, motions = [], []
    for sound, motion in clips:
        fine = twice_as_fine(motion)
        rows = min(len(fine), len(sound) // HOP)
        pause = int(rng.integers(5, 60)) if rng.random() < 0.5 else 0
        share = np.clip((np.arange(pause) + 1) / 9, 0, 1)[:, None]
        sounds += [sound[: rows * HOP], np.zeros(pause * HOP, np.float32)]
        motions += [fine[:rows], fine[rows - 1] * (1 - share) + neutral * share]
    return np.concatenate(sounds), np.asarray(np.concatenate(motions), np.float32)


def twice_as_fine(motion: Float32) -> Float32:
    """Motion (n, K) as (2 n, K), by cubic interpolation."""
    padded = np.pad(motion, ((1, 2), (0, 0)), mode="edge")
    between = (9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:]) / 16
    return np.asarray(np.stack([motion, between], 1).reshape(2 * len(motion), -1), np.float32)


def _at_speed(sound: Float32, motion: Float32, speed: float) -> tuple[Float32, Float32]:
    """Sound and motion, ``speed`` times as fast; the pitch changes with it."""
    if speed == 1.0:
        return sound, motion
    faster = np.asarray(resample_poly(sound, 100, round(100 * speed)), np.float32)
    return faster, _resampled(motion, len(faster) // HOP, round(100 * speed) / 100)


def _resampled(motion: Float32, count: int, speed: float) -> Float32:
    """``count`` rows of motion (n, K) at another speed."""
    position = np.clip(np.arange(count) * speed, 0, len(motion) - 1.001)
    left = position.astype(int)
    share = (position - left)[:, None]
    return np.asarray(motion[left] * (1 - share) + motion[left + 1] * share, np.float32)


def encoded(encoder: SpeechEncoder, sound: Float32) -> Float32:
    return np.concatenate(list(encoder.rows([sound])))


def synthetic(encoder: SpeechEncoder, seed: int, minutes: float) -> Streams:
    """Random sentences of synthetic voices, some with held vowels, most augmented. Raises OSError without eSpeak NG."""
    rng = np.random.default_rng(seed)
    streams: list[tuple[Float32, Float32]] = []
    sentences = phonemes.sentences(rng)
    with phonemes.Synthesiser() as synthesiser:
        while sum(len(rows) for rows, _ in streams) < minutes * 60 * ENCODER_RATE:
            sound, spoken = synthesiser.speak_all(list(islice(sentences, 4)), rng)
            if rng.random() < HELD_SHARE:
                sound, spoken = _holding_vowels(sound, spoken, rng)
            changed = augment.augmented(sound, sound[::-1].copy(), rng) if rng.random() < 0.7 else sound
            rows = encoded(encoder, changed)
            streams.append((rows, phonemes.labels(spoken, sound, len(rows))))
    return Streams.join(streams)


def _holding_vowels(
    sound: Float32, spoken: list[phonemes.Phoneme], rng: np.random.Generator
) -> tuple[Float32, list[phonemes.Phoneme]]:
    """The sound with some vowels held for seconds, on a steady pitch in half of the cases, and its phonemes."""
    moments, later = phonemes.held_vowels(spoken, sound, rng)
    tune = np.full(len(moments), rng.uniform(90, 330)) if rng.random() < 0.5 else None
    return augment.revoiced(sound, moments, tune), later


def still(encoder: SpeechEncoder, seed: int, minutes: float) -> Streams:
    """Silence, noise and music at any level, without a voice: the mouth rests."""
    rng, streams = np.random.default_rng(seed), []
    for number in range(round(minutes * 60 / 6.5)):
        count = int(rng.uniform(4, 9) * SPEECH_RATE)
        sound = np.zeros(count, np.float32)
        if number % 5 in (1, 4):
            sound += augment.noise(count, rng)
        if number % 5 in (2, 4):
            sound += augment.music(count, rng)
        if number % 5 in (3, 4):
            sound += augment.tones(count, rng)
        sound *= augment.decibels(-rng.uniform(12, 90))
        if rng.random() < 0.3:
            sound[: rng.integers(count)] = 0
        rows = encoded(encoder, augment.equalise(sound, rng) if rng.random() < 0.3 else sound)
        streams.append((rows, np.tile(AT_REST, (len(rows), 1))))
    return Streams.join(streams)


def as_arrays(streams: Streams) -> Mapping[str, NDArray[np.generic]]:
    return {"rows": streams.rows, "targets": streams.targets, "lengths": streams.lengths}
