"""Learn how one person moves the mouth, in closed form, from footage in which that person talks.

Footage with its own sound shows how this mouth moves for what is said. A ridge regression (Hoerl and Kennard, "Ridge
regression: biased estimation for nonorthogonal problems", Technometrics 12(1), 1970) of the difference between tracked
and predicted motion on features of the speech corrects the prediction. It learns the mouth, not the voice: the first
blocks of the speech encoder depend little on the speaker. Blocks that were left out of the regression (Stone,
"Cross-validatory choice and assessment of statistical predictions", Journal of the Royal Statistical Society B 36(2),
1974) decide how strongly it counts. Percentiles of the motion give the person's range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from lipsync.models.session import Adapted
from lipsync.speech.adaptation import MOTION_WEIGHT, Adaptation, columns
from lipsync.speech.agreement import (
    NEAR_LAG,
    Float64,
    MouthMeasures,
    TalkingRows,
    agreement,
    pearson,
    usable,
    voice,
)
from lipsync.speech.motion import NETWORK_RATE

PENALTIES: Final = (1e3, 3e3, 1e4)  # of the ridge regression, on standardised columns
BLOCKS: Final = 5  # parts of the footage; each is predicted from the others
FULL_GAIN: Final = 0.02  # improvement of r in blocks that were left out from which the correction counts fully
RANGE_SECONDS: Final = 10.0  # of speech after which the person's range counts by half: a sentence or two vary a lot
LOW, HIGH = 5, 95  # percentiles of the motion between which the range lies
RANGE_SHARES: Final = (1.0, 0.9)  # of the person's range of opening and of width: errors in width look forced
MAX_SCALE, MAX_SHIFT = 1.6, 0.03  # bounds of the person's range against the prediction's; eye distances
WINDOW: Final = 75  # rows over which slow changes are ignored: head pose moves the tracked corners of the mouth
REST_ROWS: Final = 75  # rows of silence after which the person's rest counts by half


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Usable rows of all footage: ``inputs`` (n, C) of the regression, ``predicted`` and ``tracked`` (n, K).

    ``voiced`` (n,) 0..1: how much they belong to speech.
    """

    inputs: Float64
    predicted: Float64
    tracked: Float64
    voiced: Float64

    @property
    def seconds(self) -> float:
        return len(self.inputs) / NETWORK_RATE

    @property
    def blocks(self) -> list[slice]:
        """Consecutive parts of about equal length, each of which is predicted from the others."""
        return _parts(len(self.inputs), BLOCKS)


def learn(footage: Sequence[TalkingRows], mouth: MouthMeasures) -> Adaptation | None:
    """Learn from all footage whose sound and picture agree; None if there is too little, or nothing agrees."""
    agreeing = []
    for rows in footage:
        found = agreement(rows, mouth)
        if found is not None and found.holds:
            agreeing.append(_aligned(rows, found.lag))
    return _fit(_lesson(agreeing, mouth), mouth) if agreeing else None


def _fit(lesson: _Lesson, mouth: MouthMeasures) -> Adaptation:
    measures = mouth.measures
    tests = [_left_out(lesson, penalty) for penalty in PENALTIES]
    gains = [_gains(lesson, change, measures) for change in tests]
    best = int(np.argmax([gain.mean() for gain in gains]))
    strength = _strength(gains[best])
    weights, offset = _ridge(lesson.inputs, lesson.tracked - lesson.predicted, PENALTIES[best])
    gain = _gains(lesson, strength * tests[best], measures).mean(0)
    adapted = Adapted(round(lesson.seconds, 2), round(float(gain[0]), 3), round(float(gain[1]), 3))
    rest = _rest(lesson, mouth)
    corrected = Adaptation(strength * weights, strength * offset, rest, mouth, adapted)
    return _with_range(corrected, lesson, lesson.predicted + strength * tests[best])


def _aligned(rows: TalkingRows, lag: int) -> TalkingRows:
    """The rows with the picture moved by a ``lag`` of two rows; one row is within the variety of people."""
    if abs(lag) < NEAR_LAG:
        return rows
    first, last = max(0, -lag), len(rows.predicted) - max(0, lag)
    sound, picture = slice(first, last), slice(first + lag, last + lag)
    return TalkingRows(rows.predicted[sound], rows.features[sound], rows.tracked[picture], rows.seen[picture])


def _lesson(footage: Sequence[TalkingRows], mouth: MouthMeasures) -> _Lesson:
    parts = []
    for rows in footage:
        use = usable(rows, mouth)
        inputs = columns(rows.predicted, rows.features, mouth.neutral)
        voiced = voice(rows.predicted, mouth)
        parts.append((inputs[use], rows.predicted[use], rows.tracked[use], voiced[use]))
    return _Lesson(*(np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)))


def _ridge(inputs: Float64, wanted: Float64, penalty: float) -> tuple[Float64, Float64]:
    """Weights (C, K) and offset (K,) from inputs (n, C) to ``wanted`` (n, K), by least squares with a penalty."""
    centred, aim = _steady(inputs), _steady(wanted)
    if len(inputs) < inputs.shape[1]:  # the dual form has fewer unknowns
        weights = centred.T @ np.linalg.solve(centred @ centred.T + penalty * np.eye(len(inputs)), aim)
    else:
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(inputs.shape[1]), centred.T @ aim)
    return weights, wanted.mean(0) - inputs.mean(0) @ weights


def _steady(rows: Float64) -> Float64:
    """Rows (n, m) without their slow changes: the mean of each window is 0."""
    windows = _parts(len(rows), max(1, round(len(rows) / WINDOW)))
    return np.concatenate([rows[window] - rows[window].mean(0) for window in windows])


def _parts(count: int, parts: int) -> list[slice]:
    edges = np.linspace(0, count, parts + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


def _left_out(lesson: _Lesson, penalty: float) -> Float64:
    """The change (n, K) of every row as the other blocks predict it."""
    wanted = lesson.tracked - lesson.predicted
    changes = []
    for block in lesson.blocks:
        others = np.ones(len(wanted), bool)
        others[block] = False
        weights, offset = _ridge(lesson.inputs[others], wanted[others], penalty)
        changes.append(lesson.inputs[block] @ weights + offset)
    return np.concatenate(changes)


def _gains(lesson: _Lesson, change: Float64, measures: Float64) -> Float64:
    """How much r of the opening and of the width grows with a change in each block, (blocks, 2)."""
    tracked, predicted, changed = (
        rows @ measures for rows in (lesson.tracked, lesson.predicted, lesson.predicted + change)
    )
    gains = [
        [
            pearson(changed[block, k], tracked[block, k]) - pearson(predicted[block, k], tracked[block, k])
            for k in range(2)
        ]
        for block in lesson.blocks
    ]
    return np.asarray(gains, np.float64)


def _strength(gains: Float64) -> float:
    """The share 0..1 of a correction that counts, by its ``_gains``: none if it may be chance or harms the opening."""
    both = gains.mean(1)
    certain = both.mean() - both.std() / np.sqrt(len(both))
    return float(np.clip(min(certain, gains[:, 0].mean() + FULL_GAIN) / FULL_GAIN, 0, 1))


def _rest(lesson: _Lesson, mouth: MouthMeasures) -> Float64:
    """The change (K,) that makes the resting mouth the person's own; the lips stay as closed as predicted."""
    change = lesson.tracked - lesson.predicted
    silent = lesson.voiced < 0.5
    rest = change[silent].sum(0) / (silent.sum() + REST_ROWS)
    return np.asarray(rest - rest @ mouth.opening * mouth.along[0], np.float64)


def _with_range(adaptation: Adaptation, lesson: _Lesson, corrected: Float64) -> Adaptation:
    """Give the corrected motion the person's own range of opening and width, and the lips their own lowest opening.

    ``corrected`` (n, K): motion of blocks that the correction did not learn from.
    """
    measures = adaptation.mouth.measures
    ours, theirs = ((rows - adaptation.mouth.neutral) @ measures for rows in (corrected, lesson.tracked))
    known = lesson.seconds / (lesson.seconds + RANGE_SECONDS)
    scale = np.clip(RANGE_SHARES * _range(theirs) / np.maximum(_range(ours), 1e-6), 1 / MAX_SCALE, MAX_SCALE) ** known
    centre = ours.mean(0)
    lowest = np.percentile(theirs[:, 0], LOW) - np.percentile(scale[0] * (ours[:, 0] - centre[0]) + centre[0], LOW)
    shift = (1 - scale) * centre + (np.clip(lowest, -MAX_SHIFT, MAX_SHIFT), 0)
    along = adaptation.mouth.along
    of_motion = np.zeros_like(adaptation.weights @ measures)
    of_motion[-len(measures) :] = measures / MOTION_WEIGHT
    weights = adaptation.weights + (adaptation.weights @ measures + of_motion) * (scale - 1) @ along
    offset = adaptation.offset + (adaptation.offset @ measures * (scale - 1) + shift) @ along
    at_rest = adaptation.rest @ measures
    rest = adaptation.rest + ((at_rest * scale + shift - at_rest) * (0, 1)) @ along
    return replace(adaptation, weights=weights, offset=offset, rest=rest)


def _range(motion: Float64) -> Float64:
    """The range (2,) of quick movements."""
    low, high = np.percentile(_steady(motion), (LOW, HIGH), 0)
    return np.asarray(high - low, np.float64)
