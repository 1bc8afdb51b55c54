"""Prepared clips in memory: every clip's motion as coefficients, and its speech in every voice."""

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
    """One clip. ``landmarks`` (n, 478, 3); ``sound`` 16 kHz; ``voices`` (v, m, 40) float16; ``kinds`` (v,)."""

    name: str
    landmarks: Float32
    sound: Float32
    voices: NDArray[np.float16]
    kinds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batches:
    """What training draws from: ``motion`` (clips, 76, K) and, by clip, ``voices`` (v, 304, 40) and ``kinds``."""

    motion: Tensor
    voices: list[NDArray[np.float16]]
    kinds: list[NDArray[np.int64]]

    def draw(self, dice: np.random.Generator, size: int, shares: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
        """Log band power (size, 304, 40) and motion; ``shares``: how often a clip speaks in a voice of each kind."""
        chosen = dice.integers(0, len(self.voices), size)
        power = np.empty((size, *self.voices[0].shape[1:]), np.float32)
        for row, clip in enumerate(chosen):
            fitting = np.flatnonzero(self.kinds[clip] == dice.choice(3, p=shares))
            power[row] = self.voices[clip][dice.choice(fitting) if len(fitting) else 0]
        return torch.from_numpy(power), self.motion[chosen]


def load(folder: Path) -> list[PreparedClip]:
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            values = {name: stored[name] for name in ("landmarks", "sound", "voices", "kinds")}
        clips.append(PreparedClip(path.stem, **values))
    return clips


def fit(clips: list[PreparedClip]) -> tuple[Basis, shapes.Frontal]:
    """The basis, from the clips that are not held out."""
    seen = [clip.landmarks for clip in clips if not held_out(clip.name)]
    frontal = shapes.frontal_face(seen)
    motion, closed = zip(*(shapes.face_motion(landmarks, frontal) for landmarks in seen), strict=True)
    return shapes.fit_basis(motion, closed), frontal


def canonical_face(clips: list[PreparedClip], frontal: shapes.Frontal) -> Float32:
    """The average closed mouth (468, 3) of the clips that are not held out."""
    seen = [clip.landmarks for clip in clips if not held_out(clip.name)]
    return shapes.mean_face([shapes.face_motion(landmarks, frontal)[1] for landmarks in seen])


def batches(clips: list[PreparedClip], basis: Basis, frontal: shapes.Frontal) -> Batches:
    """The clips that are not held out, cut or mirrored to 76 rows."""
    seen = [clip for clip in clips if not held_out(clip.name)]
    motion = [shapes.coefficients(shapes.face_motion(clip.landmarks, frontal)[0], basis) for clip in seen]
    rows = torch.from_numpy(np.stack([_long(one, ROWS, 0) for one in motion]))
    return Batches(rows, [_long(clip.voices, FRAMES, 1) for clip in seen], [clip.kinds for clip in seen])


def _long(values: NDArray[Any], count: int, axis: int) -> NDArray[Any]:
    length = min(count, values.shape[axis])
    values = np.take(values, range(length), axis)
    pad = [(0, 0)] * values.ndim
    pad[axis] = (0, count - length)
    return np.pad(values, pad, mode="symmetric")
