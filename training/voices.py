"""Generate other voices that say a clip's sentence with the clip's timing.

The WORLD vocoder (Morise, Yokomori and Ozawa, IEICE Transactions E99-D(7), 2016) changes the speaker's pitch and vocal
tract. Speech synthesisers say the sentence, and dynamic time warping (Sakoe and Chiba, IEEE ASSP 26(1), 1978) aligns
the result with the clip.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample_poly

from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.features import band_power, features
from lipsync.types import Float32

MIN_POWER = 1e-6  # added to band power before the log
MAX_ALIGNMENT_COST = 5.2  # mean cost per step; more expensive alignments are discarded
SYNTHETIC = (
    "espeak-ng en+m1", "espeak-ng en-us+m3", "espeak-ng en+f2", "espeak-ng en-us+f4", "espeak-ng en-gb-x-rp+klatt",
    "espeak-ng en-gb-scotland+m7", "espeak-ng en+klatt4", "espeak-ng en-us+f5", "espeak-ng en-gb-x-rp+Andrea",
    "espeak-ng en-us+klatt2", "espeak-ng en+Annie", "flite rms", "flite awb", "flite kal16",
)  # fmt: skip
UNHEARD_SYNTHETIC = ("flite slt", "espeak-ng en-us+klatt3", "espeak-ng en+f1")
UNHEARD_SHIFTS = ((2.5, 1.32), (0.6, 0.8), (2.0, 1.12), (1.4, 1.3))  # pitch and formant factors, beyond training's


def log_power(audio: Float32) -> Float32:
    """Log band power (n, 40) of 16 kHz audio."""
    return np.asarray(np.log(np.concatenate(list(band_power([audio]))) + MIN_POWER), np.float32)


def random_shifts(rng: random.Random, count: int) -> list[tuple[float, float]]:
    """Pitch factors from 0.65 to 2.2, each with a plausible vocal tract factor."""
    shifts = []
    for _ in range(count):
        pitch = float(np.exp(rng.uniform(np.log(0.65), np.log(2.2))))
        shifts.append((pitch, float(np.clip(1 + 0.16 * np.log2(pitch) + rng.gauss(0, 0.08), 0.84, 1.26))))
    return shifts


def vocode(audio: Float32, shifts: Sequence[tuple[float, float]], rng: random.Random) -> list[Float32]:
    """The audio with other pitches and formants, flatter or livelier intonation, and some breathiness."""
    import pyworld

    samples = audio.astype(np.float64)
    pitch, times = pyworld.dio(samples, SPEECH_RATE)
    pitch = pyworld.stonemask(samples, pitch, times, SPEECH_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, SPEECH_RATE)
    noise = np.clip(pyworld.d4c(samples, pitch, times, SPEECH_RATE), 1e-6, 1)
    middle = np.median(pitch[pitch > 0]) if (pitch > 0).any() else 110.0
    result = []
    for factor, tract in shifts:
        tune = np.where(pitch > 0, middle * (np.maximum(pitch, 1) / middle) ** rng.uniform(0.2, 1.8), 0) * factor
        breath = noise ** rng.uniform(0.2, 0.6) if rng.random() < 0.15 else noise
        speak = pyworld.synthesize(tune, _stretched(envelope, tract), _stretched(breath, tract).clip(0, 1), SPEECH_RATE)
        result.append(speak[: len(audio)].astype(np.float32))
    return result


def _stretched(spectrum: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Spectra (n, bins) with every frequency multiplied by ``factor``."""
    position = np.clip(np.arange(spectrum.shape[1]) / factor, 0, spectrum.shape[1] - 1)
    left = np.minimum(position.astype(int), spectrum.shape[1] - 2)
    share, logs = position - left, np.log(spectrum + 1e-16)
    return np.ascontiguousarray(np.exp(logs[:, left] * (1 - share) + logs[:, left + 1] * share))


def installed_voices(voices: Sequence[str]) -> list[str]:
    """The voices whose synthesiser is installed."""
    return [voice for voice in voices if shutil.which(voice.split()[0])]


def speak(voice: str, sentence: str, speed: int, pitch: int) -> Float32:
    """Synthesise a sentence at 16 kHz. ``speed``: words per minute; ``pitch``: 0 to 99 (eSpeak NG only)."""
    program, name = voice.split()
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "speech.wav"))
        if program == "flite":
            stretch = f"duration_stretch={165 / speed:.2f}"
            options = ["-voice", name, "--setf", stretch, "-t", sentence.lower(), "-o", out]
        else:
            options = ["-v", name, "-s", str(speed), "-p", str(pitch), "-w", out, sentence]
        subprocess.run([program, *options], check=True, capture_output=True)
        with wave.open(out) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
            rate = file.getframerate()
    common = int(np.gcd(rate, SPEECH_RATE))
    return np.asarray(resample_poly(samples, SPEECH_RATE // common, rate // common), np.float32)


def align_to(clip: Float32, speech: Float32) -> tuple[Float32, float]:
    """Log band power of ``speech`` with the timing of ``clip``, and the mean cost of the warping path."""
    rng = np.random.default_rng(0)
    speech = np.pad(speech, (6_400, 8_000))
    speech = np.asarray(speech + 1e-5 * rng.standard_normal(len(speech)), np.float32)
    position, cost = _warp(_cepstra(clip), _cepstra(speech))
    power = log_power(speech)
    left = np.clip(position.astype(int), 0, len(power) - 2)
    share = (position - left)[:, None]
    return np.asarray(power[left] * (1 - share) + power[left + 1] * share, np.float32), cost


def _cepstra(audio: Float32) -> NDArray[np.float64]:
    """Cepstra and their slopes (n, 28), normalised over speech frames."""
    frames = np.concatenate(list(features([audio])))
    cepstra = dct(frames * 3, axis=1, norm="ortho")[:, :14]
    energy = frames.mean(1)
    speech = cepstra[energy > np.percentile(energy, 95) - 2]
    cepstra = (cepstra - speech.mean(0)) / (speech.std(0) + 0.1)
    cepstra[:, 0] *= 1.5
    return np.concatenate([cepstra, 2 * gaussian_filter1d(cepstra, 1.5, axis=0, order=1)], 1)


def _warp(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Dynamic time warping: the smoothed position in ``other`` for each frame of ``one``, and the mean cost."""
    distance = np.sqrt(np.maximum((one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T, 0))
    rows, columns = distance.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    step = np.zeros(total.shape, np.int8)
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        local = distance[i - 1, j - 1]
        costs = np.stack(
            [total[i - 1, j - 1] + 1.4 * local, total[i - 1, j] + 1.1 * local, total[i, j - 1] + 1.1 * local]
        )
        step[i, j] = costs.argmin(0)
        total[i, j] = costs.min(0)
    path = _walk_back(step, rows, columns)
    position = np.bincount(path[:, 0], path[:, 1], rows) / np.bincount(path[:, 0], minlength=rows)
    return gaussian_filter1d(position, 2.0), float(distance[path[:, 0], path[:, 1]].mean())


def _walk_back(step: NDArray[np.int8], i: int, j: int) -> NDArray[np.int64]:
    path = []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        way = step[i, j]
        i, j = (i - 1, j - 1) if way == 0 else (i - 1, j) if way == 1 else (i, j - 1)
    return np.array(path[::-1])
