"""Invented people: motion that follows features of speech, for the tests of adapting."""

from __future__ import annotations

import numpy as np

from lipsync.speech.adaptation import HeardRows
from lipsync.speech.agreement import MouthMeasures, TalkingRows

MOUTH = MouthMeasures(np.array([[0.05, 0.0], [0.0, 0.02], [0.01, 0.005]]), np.array([-1.0, 0.2, 0.0], np.float32))
COUNT = 6  # features


def smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    kernel = np.hanning(width + 2)[1:-1]
    moved = np.stack([np.convolve(one, kernel, "same") for one in values.T], 1)
    return (moved / moved.std(0)).astype(np.float32)


def speaker(rows: int, seed: int = 0, accent: float = 1.0, scale: float = 1.0) -> TalkingRows:
    """A person whose mouth differs from the prediction by ``accent`` and moves ``scale`` times as far."""
    rng = np.random.default_rng(seed)
    features = smooth(rng.standard_normal((rows, COUNT)))
    common, own = np.random.default_rng(99).standard_normal((2, COUNT, 3)) / np.sqrt(COUNT)
    predicted = (features @ common).astype(np.float32)
    tracked = scale * (predicted + accent * features @ own - MOUTH.neutral) + MOUTH.neutral
    noise = 0.05 * rng.standard_normal(tracked.shape)
    return TalkingRows(predicted, features, (tracked + noise).astype(np.float32), np.ones(rows, bool))


def heard(rows: TalkingRows, closing: float = 0.0) -> HeardRows:
    """The sound of a person's clip."""
    return HeardRows(rows.predicted, rows.features, np.full(len(rows.seen), closing, np.float32))
