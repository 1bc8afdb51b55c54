"""Adapt the predicted motion to one person: a correction that ``learning`` finds in footage of that person.

It depends linearly on the features of the speech and on the predicted motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from lipsync.models.session import Adapted
from lipsync.speech.agreement import VOICE_FADE, VOICE_REACH, Float64, MouthMeasures, voice
from lipsync.types import Float32

CONTEXT: Final = 4  # rows of features on each side that count for a row of motion
MOTION_WEIGHT: Final = 10.0  # of the predicted coefficients among the columns: gains cost less than other corrections
REACH: Final = max(CONTEXT, VOICE_REACH + VOICE_FADE)  # rows on each side on which a corrected row depends


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A correction of the prediction for one person; ``apply`` it. ``adapted`` says what it was learnt from.

    ``weights`` (C, K): coefficients per column of ``columns``; ``offset`` (K,) in speech and ``rest`` (K,) in silence.
    """

    weights: Float64
    offset: Float64
    rest: Float64
    mouth: MouthMeasures
    adapted: Adapted

    def apply(self, predicted: Float32, features: Float32) -> Float32:
        """Corrected coefficients (n, K) from predicted ones and features (n, F), consecutive rows.

        A row depends on ``REACH`` rows on each side. Where the model hears no voice, the mouth rests.
        """
        change = columns(predicted, features, self.mouth.neutral) @ self.weights + self.offset
        voiced = voice(predicted, self.mouth)[:, None]
        return np.asarray(predicted + voiced * change + (1 - voiced) * self.rest, np.float32)

    def corrected(self, pieces: Iterator[tuple[Float32, Float32]]) -> Iterator[Float32]:
        """``apply`` to consecutive pieces of predicted rows and features, whatever their lengths."""
        predicted, features, done = (np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), 0)
        for rows, heard in pieces:
            predicted = np.concatenate([predicted, rows]) if len(predicted) else rows
            features = np.concatenate([features, heard]) if len(features) else heard
            ready = len(predicted) - REACH
            if ready > done:
                yield self.apply(predicted, features)[done:ready]
                drop = max(0, ready - REACH)
                predicted, features, done = predicted[drop:], features[drop:], ready - drop
        if len(predicted) > done:
            yield self.apply(predicted, features)[done:]


def columns(predicted: Float32, features: Float32, neutral: Float32) -> Float64:
    """The columns (n, C) of the regression: the features in context, and the predicted motion."""
    padded = np.pad(features.astype(np.float64), ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    count = len(features)
    stacked = [padded[step : step + count] for step in range(2 * CONTEXT + 1)]
    return np.concatenate([*stacked, MOTION_WEIGHT * (predicted - neutral)], 1)
