"""Mouth motion from sound: a temporal convolutional network over ``features``, and the mesh motion it speaks in.

The idea of driving a low-dimensional mouth shape from speech features, per frame and with context, is that of Brand,
"Voice puppetry", SIGGRAPH 1999; how this network was made is told in data/MODEL_CARD.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from itertools import islice, repeat
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.models.session import Session
from lipsync.models.session_cache import SessionCache
from lipsync.speech.features import BANDS, BLOCK, SILENCE, features
from lipsync.types import Float32

STEP = 4  # feature frames per row of the network's output
NETWORK_RATE = 25  # rows per second
WINDOW = 240  # rows that one run of the network sees
OVERLAP = 20  # rows at each end of a window that are thrown away: more than the network's reach, and one
CRISPNESS = 0.7  # how much of what the network's averaging takes from quick movements is given back
FADE = 48  # feature frames in which what was heard last fades after the sound's end
PIECE = 250  # frames handed out at a time
_DATA = resources.files("lipsync.speech") / "data"


@dataclass(frozen=True, slots=True)
class Basis:
    """The shapes that motion is made of, in the face frame of faces/geometry.py (unit: outer eye distance, IOD).

    ``mean`` (468, 3) and ``components`` (K, 468, 3):
    displacement = mean + coefficients @ components, for every point of the mesh; ``sd`` (K,): the spread of the
    training speaker's coefficients in IOD (a coefficient of 1 is one of these); ``neutral`` (K,): the coefficients of
    the closed mouth, whose displacement is zero at the lips; ``triangles`` (n, 3) int32: a triangulation of the mesh
    with the mouth left open.
    """

    mean: Float32
    components: Float32
    sd: Float32
    neutral: Float32
    triangles: NDArray[np.int32]

    def displacement(self, coefficients: Float32) -> Float32:
        """Coefficients (n, K) to the displacement (n, 468, 3) from the speaker's closed mouth, in IOD."""
        moved = np.tensordot(np.asarray(coefficients, np.float32), self.components, axes=(1, 0))
        return np.asarray(moved + self.mean, np.float32)


def load_basis(file: Path | None = None) -> Basis:
    """A basis from a file, by default that of the package's own network. Raises ModelMissing, ModelCorrupt."""
    try:
        with resources.as_file(_DATA / "basis.npz") as own, np.load(file or own) as stored:
            values = {name: stored[name] for name in Basis.__slots__}
    except FileNotFoundError as exc:
        raise ModelMissing("the mouth basis (basis.npz) is not there") from exc
    except (KeyError, ValueError, OSError, BadZipFile) as exc:
        raise ModelCorrupt("the mouth basis (basis.npz) cannot be read") from exc
    triangles = values.pop("triangles").astype(np.int32)
    return Basis(triangles=triangles, **{name: value.astype(np.float32) for name, value in values.items()})


def motion_checksum() -> str:
    """The SHA-256 of the package's own network. Raises ModelMissing."""
    return hashlib.sha256(_network()).hexdigest()


def open_motion(sessions: SessionCache, threads: int = 1) -> MotionModel:
    """The package's own network, ready to run. Raises ModelMissing, ModelCorrupt."""
    return MotionModel(sessions.open(_network(), threads=threads), load_basis())


def _network() -> bytes:
    try:
        return (_DATA / "motion.onnx").read_bytes()
    except FileNotFoundError as exc:
        raise ModelMissing("the package lacks its motion network (speech/data/motion.onnx)") from exc


class MotionModel:
    """Sound in, mouth coefficients out, in bounded memory at any length."""

    def __init__(self, session: Session, basis: Basis) -> None:
        self._session = session
        self.basis = basis

    def predict(self, blocks: Iterator[Float32], rate: Fraction, frames: int) -> Iterator[Float32]:
        """Coefficients (m, K) for ``frames`` video frames at ``rate`` a second, in pieces.

        ``blocks``: mono 16 kHz sound in -1..1, of any sizes, from the first frame's time on; where it ends early the
        mouth closes. Frame i shows the mouth at i / rate seconds, as in the footage the network learned from. The
        result does not depend on how the sound was cut into blocks. Raises InferenceFailed.
        """
        return self.follow(features(blocks), rate, frames)

    def follow(self, heard: Iterator[Float32], rate: Fraction, frames: int) -> Iterator[Float32]:
        """Like ``predict``, from what ``features`` gives."""
        rows = _Rows(self._track(heard))
        for first in range(0, frames, PIECE):
            index = np.arange(first, min(first + PIECE, frames))
            place = index * float(NETWORK_RATE / rate)
            left = np.floor(place).astype(np.int64)
            yield _cubic(rows.between(int(left[0]) - 1, int(left[-1]) + 3), left - left[0] + 1, place - left)

    def _track(self, heard: Iterator[Float32]) -> Iterator[Float32]:
        """The network's rows (n, K) in pieces, without end: silence follows the sound."""
        heard = _fading(heard)
        # What came before the first frame is unknown; the mirrored beginning neither starts nor stops a sound there.
        window = next(heard)
        window = np.pad(window, ((OVERLAP * STEP, 0), (0, 0)), mode="symmetric")
        for piece in heard:
            window = np.concatenate([window, piece])
            while len(window) >= WINDOW * STEP:
                rows = self._session.run([window[None, : WINDOW * STEP]])[0][0]
                yield _crisp(rows[OVERLAP - 1 : -OVERLAP + 1])
                window = window[(WINDOW - 2 * OVERLAP) * STEP :]


def _crisp(rows: Float32) -> Float32:
    """Rows (n + 2, K) to the inner n with quick movements made larger.

    What is uncertain, a network trained on squared errors gives too smoothly: lips close less than they do, and late.
    """
    before, here, after = rows[:-2], rows[1:-1], rows[2:]
    return np.asarray(here + CRISPNESS * (here - (before + 2 * here + after) / 4), np.float32)


def _fading(heard: Iterator[Float32]) -> Iterator[Float32]:
    """The features, then their end mirrored and fading, then silence for ever: a hard stop sounds like a consonant."""
    end = np.zeros((0, BANDS), np.float32)
    for piece in heard:
        yield piece
        end = np.concatenate([end, piece])[-FADE:]
    fade = np.linspace(0, 1, len(end), dtype=np.float32)[:, None]
    if len(end):
        yield end[::-1] * (1 - fade) + SILENCE * fade
    yield from repeat(np.full((BLOCK, BANDS), SILENCE, np.float32))


class _Rows:
    """Rows of an endless stream by number, forward only; what lies before the first row repeats it."""

    def __init__(self, pieces: Iterator[Float32]) -> None:
        self._pieces = pieces
        self._kept: Float32 = next(pieces)
        self._first = 0

    def between(self, start: int, stop: int) -> Float32:
        while self._first + len(self._kept) < stop:
            self._kept = np.concatenate([self._kept, *islice(self._pieces, 1)])
        drop = max(0, start - self._first)
        self._kept, self._first = self._kept[drop:], self._first + drop
        lead = self._kept[:1].repeat(max(0, self._first - start), 0)
        return np.concatenate([lead, self._kept[: stop - self._first]])


def _cubic(rows: Float32, left: NDArray[np.int64], share: NDArray[np.float64]) -> Float32:
    """Catmull and Rom's cubic between rows ``left`` and ``left + 1`` (n,), at ``share`` (n,) of the way."""
    a, b, c, d = (rows[left + step].astype(np.float64) for step in (-1, 0, 1, 2))
    t = share[:, None]
    bend = (3 * (b - c) + d - a) * t + (2 * a - 5 * b + 4 * c - d)
    return np.asarray(b + 0.5 * t * (c - a + t * bend), np.float32)
