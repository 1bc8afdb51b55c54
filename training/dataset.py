"""Load prepared clips: the motion of each clip as coefficients, and its speech in several voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapes
import torch
from augment import FRAMES, ROWS
from numpy.typing import NDArray
from prepare import held_out
from torch import Tensor

from lipsync.speech.motion import Basis
from lipsync.types import Float32


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip: ``landmarks`` (n, 478, 3), ``audio`` at 16 kHz, ``voices`` (v, m, 40) float16 and ``kinds`` (v,)."""

    name: str
    landmarks: Float32
    audio: Float32
    voices: NDArray[np.float16]
    kinds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batches:
    """The training set: ``motion`` (clips, 76, K) and, for each clip, ``voices`` (v, 304, 40) and ``kinds``."""

    motion: Tensor
    voices: list[NDArray[np.float16]]
    kinds: list[NDArray[np.int64]]

    def draw(self, rng: np.random.Generator, size: int, shares: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
        """Random log band power (size, 304, 40) and its motion; ``shares``: the probability of each kind of voice."""
        chosen = rng.integers(0, len(self.voices), size)
        power = np.empty((size, *self.voices[0].shape[1:]), np.float32)
        for row, clip in enumerate(chosen):
            fitting = np.flatnonzero(self.kinds[clip] == rng.choice(3, p=shares))
            power[row] = self.voices[clip][rng.choice(fitting) if len(fitting) else 0]
        return torch.from_numpy(power), self.motion[chosen]


def load(folder: Path) -> list[PreparedClip]:
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            values = {name: stored[name] for name in ("landmarks", "audio", "voices", "kinds")}
        clips.append(PreparedClip(path.stem, **values))
    return clips


def fit(clips: list[PreparedClip]) -> tuple[Basis, shapes.Frontal]:
    """Fit the basis to the clips that are not held out."""
    training_clips = [clip.landmarks for clip in clips if not held_out(clip.name)]
    frontal = shapes.frontal_face(training_clips)
    motion, closed = zip(*(shapes.face_motion(landmarks, frontal) for landmarks in training_clips), strict=True)
    return shapes.fit_basis(motion, closed), frontal


def canonical_face(clips: list[PreparedClip], frontal: shapes.Frontal) -> Float32:
    """The average closed mouth (468, 3) of the clips that are not held out."""
    training_clips = [clip.landmarks for clip in clips if not held_out(clip.name)]
    return shapes.mean_face([shapes.face_motion(landmarks, frontal)[1] for landmarks in training_clips])


def batches(clips: list[PreparedClip], basis: Basis, frontal: shapes.Frontal) -> Batches:
    """The clips that are not held out, cut or mirrored to 76 rows."""
    training_clips = [clip for clip in clips if not held_out(clip.name)]
    motion = [shapes.coefficients(shapes.face_motion(clip.landmarks, frontal)[0], basis) for clip in training_clips]
    rows = torch.from_numpy(np.stack([_fit_length(one, ROWS, 0) for one in motion]))
    return Batches(
        rows, [_fit_length(clip.voices, FRAMES, 1) for clip in training_clips], [clip.kinds for clip in training_clips]
    )


def _fit_length(values: NDArray[Any], count: int, axis: int) -> NDArray[Any]:
    length = min(count, values.shape[axis])
    values = np.take(values, range(length), axis)
    pad = [(0, 0)] * values.ndim
    pad[axis] = (0, count - length)
    return np.pad(values, pad, mode="symmetric")
