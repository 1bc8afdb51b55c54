"""Load prepared clips, and find the motion of each as coefficients of a basis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapes
from prepare import held_out

from lipsync.speech.motion import Basis
from lipsync.types import Float32


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip: ``landmarks`` (n, 478, 3) at 25 frames per second, ``audio`` at 16 kHz."""

    speaker: str
    name: str
    landmarks: Float32
    audio: Float32


def load(folder: Path) -> list[PreparedClip]:
    clips = []
    for path in sorted(folder.glob("*/*.npz")):
        with np.load(path) as stored:
            clips.append(PreparedClip(path.parent.name, path.stem, stored["landmarks"], stored["audio"]))
    return clips


def training_clips(clips: list[PreparedClip]) -> list[PreparedClip]:
    """The clips that are not held out, those of rare speakers several times: their number counts by its root."""
    chosen = [clip for clip in clips if not held_out(clip.name)]
    counts = Counter(clip.speaker for clip in chosen)
    most = max(counts.values())
    return [clip for clip in chosen for _ in range(round((most / counts[clip.speaker]) ** 0.5))]


def frontal_face(clips: list[PreparedClip]) -> shapes.Frontal:
    return shapes.frontal_face([clip.landmarks for clip in clips if not held_out(clip.name)])


def fit(clips: list[PreparedClip], frontal: shapes.Frontal) -> tuple[Basis, Float32]:
    """The basis of the clips that are not held out, and the average of their closed mouths (468, 3)."""
    chosen = [clip.landmarks for clip in clips if not held_out(clip.name)]
    motion, closed = zip(*(shapes.face_motion(landmarks, frontal) for landmarks in chosen), strict=True)
    return shapes.fit_basis(motion, closed), shapes.mean_face(closed)


def motion_of(clip: PreparedClip, basis: Basis, frontal: shapes.Frontal) -> Float32:
    """The clip's coefficients (n, K)."""
    return shapes.coefficients(shapes.face_motion(clip.landmarks, frontal)[0], basis)
