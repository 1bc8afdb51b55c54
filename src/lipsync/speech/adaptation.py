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
CERTAIN: Final = 0.7  # certainty of a closure from which it is kept
CONTACT_OPENING: Final = 0.012  # eye distances: tracked lips that touch may be that far apart
REACH: Final = max(CONTEXT, VOICE_REACH + VOICE_FADE)  # rows on each side on which a corrected row depends


@dataclass(frozen=True, slots=True)
class HeardRows:
    """The mouth that a sound implies: ``predicted`` (n, K) coefficients, ``features`` (n, F) of the speech.

    ``closing`` (n,) 0..1: how certainly the lips close.
    """

    predicted: Float32
    features: Float32
    closing: Float32

    def __len__(self) -> int:
        return len(self.predicted)

    def followed_by(self, other: HeardRows) -> HeardRows:
        """These rows, then the other ones."""
        return HeardRows(
            np.concatenate([self.predicted, other.predicted]),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.closing, other.closing]),
        )

    def part(self, first: int, last: int) -> HeardRows:
        """The rows from ``first`` to ``last``, excluded."""
        rows = slice(first, last)
        return HeardRows(self.predicted[rows], self.features[rows], self.closing[rows])


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A correction of the prediction for one person; ``apply`` it. ``adapted`` says what it was learned from.

    ``weights`` (C, K): coefficients per column of ``columns``; ``offset`` (K,) in speech and ``rest`` (K,) in silence.
    """

    weights: Float64
    offset: Float64
    rest: Float64
    mouth: MouthMeasures
    adapted: Adapted

    def apply(self, heard: HeardRows) -> Float32:
        """Corrected coefficients (n, K) of consecutive rows.

        A row depends on ``REACH`` rows on each side. Where the model hears no voice, the mouth rests. Where it is
        certain that the lips close, they do.
        """
        predicted, mouth = heard.predicted, self.mouth
        change = columns(predicted, heard.features, mouth.neutral) @ self.weights + self.offset
        change -= self._excess(heard, change)[:, None] * mouth.along[0]
        voiced = voice(predicted, mouth)[:, None]
        return np.asarray(predicted + voiced * change + (1 - voiced) * self.rest, np.float32)

    def _excess(self, heard: HeardRows, change: Float64) -> Float64:
        """The part of the changed opening (n,) that holds lips apart that close for certain, in eye distances."""
        opening = (heard.predicted - self.mouth.neutral) @ self.mouth.opening
        apart = np.maximum(0, opening + change @ self.mouth.opening - np.maximum(opening, CONTACT_OPENING))
        return np.asarray(np.clip((heard.closing - CERTAIN) / (1 - CERTAIN), 0, 1) * apart, np.float64)

    def corrected(self, pieces: Iterator[HeardRows]) -> Iterator[Float32]:
        """``apply`` to consecutive pieces, whatever their lengths."""
        held: HeardRows | None = None
        done = 0
        for piece in pieces:
            held = piece if held is None else held.followed_by(piece)
            ready = len(held) - REACH
            if ready > done:
                yield self.apply(held)[done:ready]
                drop = max(0, ready - REACH)
                held, done = held.part(drop, len(held)), ready - drop
        if held is not None and len(held) > done:
            yield self.apply(held)[done:]


def columns(predicted: Float32, features: Float32, neutral: Float32) -> Float64:
    """The columns (n, C) of the regression: the features in context, and the predicted motion."""
    padded = np.pad(features.astype(np.float64), ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    count = len(features)
    stacked = [padded[step : step + count] for step in range(2 * CONTEXT + 1)]
    return np.concatenate([*stacked, MOTION_WEIGHT * (predicted - neutral)], 1)
