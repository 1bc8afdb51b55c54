"""Motion that was measured frame by frame, calmed as ``faces.smoothing`` calms landmarks, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from lipsync.faces.geometry import LIPS
from lipsync.faces.smoothing import local_fit, shrinkage
from lipsync.speech.motion import Basis
from lipsync.types import Float32

SECONDS, ORDER = 0.28, 4
NOISE = 0.003  # eye distances that a fit leaves over at the lips where nothing moves, with some reserve


def half_window(rate: Fraction) -> int:
    """How many frames on each side of a frame have a say in it."""
    return max(round(SECONDS * float(rate)) // 2, ORDER // 2 + 1)


def steadied(rows: Iterator[Float32], basis: Basis, rate: Fraction, piece: int) -> Iterator[Float32]:
    """Rows (K,) in pieces (m, K) of ``piece`` rows, at least ``half_window``; as many and one more are taken ahead.

    Nothing reaches over more rows than that, so that the result does not depend on the pieces.
    """
    half = half_window(rate)
    piece, margin = max(piece, half), half + 1
    held: list[Float32] = []
    before = 0
    for row in rows:
        held.append(row)
        if len(held) == before + piece + margin:
            yield _calm(np.stack(held), basis, half)[before : before + piece]
            dropped = max(0, before + piece - margin)
            held, before = held[dropped:], before + piece - dropped
    if len(held) > before:
        yield _calm(np.stack(held), basis, half)[before:]


def _calm(rows: Float32, basis: Basis, half: int) -> Float32:
    """Fitted along time; what that leaves over stays where it is more than noise."""
    fit = local_fit(rows, half, ORDER)
    over = np.tensordot(rows - fit, basis.components[:, list(LIPS)], axes=(1, 0))
    return np.asarray(fit + shrinkage(np.asarray(over, np.float32), NOISE)[:, 0] * (rows - fit), np.float32)
