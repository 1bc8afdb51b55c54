"""Change the sound of a recording, not its timing: rooms, microphones, noises, music, codecs and levels.

Sounds are mono, 16 kHz, (n,). A room is exponentially decaying noise (Moorer, "About This Reverberation Business",
Computer Music Journal 3(2), 1979), telephone sound is quantised by the mu-law (ITU-T G.711).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter

from lipsync.speech.audio import SPEECH_RATE
from lipsync.types import Float32

NOTES = 220.0 * 2.0 ** (np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15]) / 12)  # Hz, a minor scale
VOCODER_STEP = 0.005  # seconds


def decibels(value: float) -> float:
    """The amplitude factor of a level in dB."""
    return float(10.0 ** (value / 20))


def level_of(sound: Float32) -> float:
    """Root mean square of the louder half of the sound, in steps of 20 ms."""
    steps = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    power = np.sort((steps**2).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean() + 1e-12))


def room(sound: Float32, rng: np.random.Generator) -> Float32:
    """Add reverberation that decays by 60 dB in 0.15 to 0.8 s, 2 to 16 dB below the direct sound."""
    seconds = rng.uniform(0.15, 0.8)
    time = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    response = rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds)
    response[: int(0.002 * SPEECH_RATE)] = 0
    response *= decibels(-rng.uniform(2, 16)) / np.linalg.norm(response)
    response[0] = 1
    return np.asarray(fftconvolve(sound, response)[: len(sound)], np.float32)


def equalise(sound: Float32, rng: np.random.Generator) -> Float32:
    """Apply a smooth random frequency response of some 4 dB; in one of five cases cut off the top or the bottom."""
    frequency = np.linspace(0, 1, 9)
    gain = np.cumsum(rng.normal(0, 2.5, 9)) + rng.uniform(-4, 4) * np.linspace(-1, 1, 9)
    curve = np.interp(np.linspace(0, 1, 129) ** 0.5, frequency, gain - gain.mean())
    if rng.random() < 0.2:
        hertz = np.linspace(0, SPEECH_RATE / 2, 129)
        low, high = rng.uniform(50, 350), rng.uniform(3300, 7000)
        curve -= 50 * ((hertz < low) | (hertz > high))
    response = np.fft.irfft(10 ** (curve / 20))
    response = np.roll(response, 64)[:129] * np.hanning(129)
    return np.asarray(fftconvolve(sound, response)[64 : 64 + len(sound)], np.float32)


def noise(count: int, rng: np.random.Generator) -> Float32:
    """Coloured noise, steady or slowly changing, with a level of 1."""
    white = rng.standard_normal(count)
    colour = lfilter([1.0], [1.0, -rng.uniform(-0.3, 0.97)], white)
    knots = np.exp(rng.normal(0, 0.5, max(2, count // SPEECH_RATE)) * rng.integers(0, 2))
    swell = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)
    changed = colour * swell
    return np.asarray(changed / (changed.std() + 1e-9), np.float32)


def music(count: int, rng: np.random.Generator) -> Float32:
    """Chords of decaying harmonics and a drum, with a level of 1."""
    sound, beat = np.zeros(count), int(SPEECH_RATE * rng.uniform(0.25, 0.7))
    time = np.arange(2 * beat) / SPEECH_RATE
    decay, slope = rng.uniform(1, 6), rng.uniform(0.7, 2)
    for start in range(0, count, beat):
        tone = np.zeros(len(time))
        for hertz in rng.choice(NOTES, 3, replace=False) * rng.choice([0.5, 1, 2]):
            tone += sum(np.sin(2 * np.pi * hertz * k * time) / k**slope for k in range(1, 7))
        tone *= np.exp(-decay * time) * np.minimum(1, time * 200)
        tone += rng.choice([0, 1.5]) * rng.standard_normal(len(time)) * np.exp(-60 * time)
        sound[start : start + len(tone)] += tone[: count - start]
    return np.asarray(sound / (sound.std() + 1e-9), np.float32)


def tones(count: int, rng: np.random.Generator) -> Float32:
    """A melody of steady tones, some almost pure, with a level of 1: not vowels, for want of formants."""
    sound, start = np.zeros(count), 0
    slope, attack = rng.choice([rng.uniform(0.4, 2), rng.uniform(2, 6)]), rng.uniform(0.005, 0.1)
    odd_only, wobble, decay = rng.random() < 0.3, rng.choice([0, 0.004, 0.012]), rng.choice([0, 0, 1, 3])
    while start < count:
        time = np.arange(min(int(rng.uniform(0.15, 2.5) * SPEECH_RATE), count - start)) / SPEECH_RATE
        phase = 2 * np.pi * (time + wobble / 33 * np.sin(2 * np.pi * 5.3 * time))
        for hertz in rng.choice(NOTES, rng.integers(1, 4), replace=False) * rng.choice([0.5, 1, 2]):
            for k in range(1, int(min(20, 7500 / hertz)), 1 + odd_only):
                sound[start : start + len(time)] += (
                    np.sin(hertz * k * phase) / k**slope * np.exp(-decay * time) * np.clip(time / attack, 0, 1)
                    * np.clip((time[-1] - time) / 0.03, 0, 1)
                )  # fmt: skip
        start += len(time)
    return np.asarray(sound / (sound.std() + 1e-9), np.float32)


def telephone(sound: Float32) -> Float32:
    """Quantise to 8 bits by the mu-law."""
    peak = float(np.abs(sound).max()) + 1e-9
    squeezed = np.sign(sound) * np.log1p(255 * np.abs(sound) / peak) / np.log(256)
    squeezed = np.round(squeezed * 127) / 127
    return np.asarray(np.sign(squeezed) * (256 ** np.abs(squeezed) - 1) / 255 * peak, np.float32)


def sung(sound: Float32, slower: float, rng: np.random.Generator) -> Float32:
    """The words sung: ``slower`` times as long, on notes of a scale, with vibrato."""
    steps = np.arange(int(len(sound) / SPEECH_RATE / VOCODER_STEP * slower))
    time = steps * VOCODER_STEP
    beat = rng.uniform(0.4, 1.2)
    notes = rng.choice(NOTES, int(time[-1] / beat) + 1) * rng.choice([0.5, 1.0, 2.0], p=[0.4, 0.4, 0.2])
    vibrato = 1 + rng.uniform(0, 0.03) * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    return revoiced(sound, time / slower, notes[(time / beat).astype(int)] * vibrato)


def revoiced(sound: Float32, moments: NDArray[np.float64], tune: NDArray[np.float64] | None = None) -> Float32:
    """The speech at ``moments`` (n,), in seconds, VOCODER_STEP seconds for each, with the pitch ``tune`` (n,) in Hz.

    The WORLD vocoder (Morise, Yokomori and Ozawa, IEICE Transactions E99-D(7), 2016) changes pitch and duration.
    """
    import pyworld

    samples = sound.astype(np.float64)
    pitch, times = pyworld.dio(samples, SPEECH_RATE)
    pitch = pyworld.stonemask(samples, pitch, times, SPEECH_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, SPEECH_RATE)
    breath = pyworld.d4c(samples, pitch, times, SPEECH_RATE)
    position = np.clip(moments / VOCODER_STEP, 0, len(pitch) - 1.001)
    nearest = np.round(position).astype(int)
    left = position.astype(int)
    share = (position - left)[:, None]
    smooth = np.exp(np.log(envelope[left] + 1e-12) * (1 - share) + np.log(envelope[left + 1] + 1e-12) * share)
    heard = pitch[nearest] if tune is None else np.where(pitch[nearest] > 0, tune, 0)
    return np.asarray(pyworld.synthesize(heard, smooth, breath[nearest], SPEECH_RATE), np.float32)


def vary_loudness(sound: Float32, rng: np.random.Generator) -> Float32:
    """Let the loudness wander by some 4 dB from second to second."""
    knots = rng.normal(0, 4, len(sound) // SPEECH_RATE + 2)
    curve = np.interp(np.arange(len(sound)) / SPEECH_RATE, np.arange(len(knots)), knots)
    return np.asarray(sound * 10 ** (curve / 20), np.float32)


def augmented(sound: Float32, others: Float32, rng: np.random.Generator) -> Float32:
    """The sound under other conditions; ``others``: speech of at least this length for the background."""
    level = level_of(sound)
    if rng.random() < 0.5:
        sound = vary_loudness(sound, rng)
    if rng.random() < 0.4:
        sound = room(sound, rng)
    if rng.random() < 0.7:
        sound = equalise(sound, rng)
    if rng.random() < 0.2:
        sound = sound + others[: len(sound)] * level / level_of(others) * decibels(-rng.uniform(8, 25))
    if rng.random() < 0.7:
        sound = sound + noise(len(sound), rng) * level * decibels(-rng.uniform(5, 50))
    if rng.random() < 0.3:
        sound = sound + music(len(sound), rng) * level * decibels(-rng.uniform(3, 30))
    if rng.random() < 0.15:
        sound = telephone(sound)
    return np.asarray(sound * decibels(rng.uniform(-25, 6)), np.float32)
