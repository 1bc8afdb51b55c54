"""Smooth measured motion over time, as ``faces.smoothing`` smooths landmarks, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from lipsync.faces.geometry import LIPS
from lipsync.faces.smoothing import local_fit, shrinkage
from lipsync.speech.motion import Basis
from lipsync.types import Float32

SECONDS, ORDER = 0.28, 4  # window and order of the polynomial
NOISE: Final = 0.003  # eye distances: residual at the lips of a still mouth


def half_window(rate: Fraction) -> int:
    """The number of frames on each side that contribute to a frame."""
    return max(round(SECONDS * float(rate)) // 2, ORDER // 2 + 1)


def smooth_motion(rows: Iterator[Float32], basis: Basis, rate: Fraction, chunk: int) -> Iterator[Float32]:
    """Rows (K,) smoothed, in chunks (m, K) of at least ``half_window`` rows; reads that many rows and one ahead.

    The result does not depend on ``chunk``, because no row farther away contributes.
    """
    half = half_window(rate)
    chunk, margin = max(chunk, half), half + 1
    buffer: list[Float32] = []
    done = 0  # rows in the buffer that were returned already
    for row in rows:
        buffer.append(row)
        if len(buffer) == done + chunk + margin:
            yield _smooth(np.stack(buffer), basis, half)[done : done + chunk]
            dropped = max(0, done + chunk - margin)
            buffer, done = buffer[dropped:], done + chunk - dropped
    if len(buffer) > done:
        yield _smooth(np.stack(buffer), basis, half)[done:]


def _smooth(rows: Float32, basis: Basis, half: int) -> Float32:
    """A local polynomial fit, plus the part of the residual that exceeds the noise."""
    fit = local_fit(rows, half, ORDER)
    residual = np.tensordot(rows - fit, basis.components[:, list(LIPS)], axes=(1, 0))
    return np.asarray(fit + shrinkage(np.asarray(residual, np.float32), NOISE)[:, 0] * (rows - fit), np.float32)
