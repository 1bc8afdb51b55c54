"""Mouth motion from speech: a temporal convolutional network over ``features``, and the mesh basis that it drives.

Driving a low-dimensional mouth shape from speech features in context goes back to Brand, "Voice Puppetry", SIGGRAPH
1999. data/MODEL_CARD.md describes the network and its training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from itertools import islice, repeat
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.models.session import Session
from lipsync.models.session_cache import SessionCache
from lipsync.speech.features import BANDS, BLOCK_FRAMES, SILENCE, features
from lipsync.types import Float32

STEP: Final = 4  # feature frames per row of the network's output
NETWORK_RATE: Final = 25  # rows per second
WINDOW: Final = 240  # rows in one run of the network
OVERLAP: Final = 20  # rows dropped at each end of a window: one more than the network's receptive field
SHARPENING: Final = 0.7  # gain of the sharpening in time
FADE_FRAMES: Final = 48  # feature frames over which the end of the audio fades to silence
CHUNK_FRAMES: Final = 250  # video frames per chunk of coefficients
_DATA = resources.files("lipsync.speech") / "data"


@dataclass(frozen=True, slots=True)
class Basis:
    """A linear basis of mouth motion in the face frame of ``faces.geometry``, in outer eye distances (IOD).

    ``mean`` (468, 3) and ``components`` (K, 468, 3):
    displacement = mean + coefficients @ components, for every point of the mesh. ``sd`` (K,): standard deviation of
    the training speaker's coefficients in IOD (a coefficient of 1 is one of these). ``neutral`` (K,): coefficients of
    the closed mouth, whose displacement is zero at the lips. ``triangles`` (n, 3) int32: a triangulation of the mesh
    with the mouth left open.
    """

    mean: Float32
    components: Float32
    sd: Float32
    neutral: Float32
    triangles: NDArray[np.int32]

    def displacement(self, coefficients: Float32) -> Float32:
        """Displacements (n, 468, 3) from the speaker's closed mouth, in IOD, for coefficients (n, K)."""
        moved = np.tensordot(np.asarray(coefficients, np.float32), self.components, axes=(1, 0))
        return np.asarray(moved + self.mean, np.float32)


def load_basis(file: Path | None = None) -> Basis:
    """Load a basis from a file, by default the bundled network's. Raises ModelMissing, ModelCorrupt."""
    try:
        with resources.as_file(_DATA / "basis.npz") as bundled, np.load(file or bundled) as stored:
            values = {name: stored[name] for name in Basis.__slots__}
    except FileNotFoundError as exc:
        raise ModelMissing("the mouth basis (basis.npz) is missing. Reinstall the package") from exc
    except (KeyError, ValueError, OSError, BadZipFile) as exc:
        raise ModelCorrupt("the mouth basis (basis.npz) is damaged. Reinstall the package") from exc
    triangles = values.pop("triangles").astype(np.int32)
    return Basis(triangles=triangles, **{name: value.astype(np.float32) for name, value in values.items()})


def motion_checksum() -> str:
    """The SHA-256 of the bundled network. Raises ModelMissing."""
    return hashlib.sha256(_network()).hexdigest()


def open_motion_model(sessions: SessionCache, threads: int = 1) -> MotionModel:
    """Open the bundled network. Raises ModelMissing, ModelCorrupt."""
    return MotionModel(sessions.open(_network(), threads=threads), load_basis())


def _network() -> bytes:
    try:
        return (_DATA / "motion.onnx").read_bytes()
    except FileNotFoundError as exc:
        message = "the motion network (speech/data/motion.onnx) is missing. Reinstall the package"
        raise ModelMissing(message) from exc


class MotionModel:
    """Predicts motion coefficients from speech, in bounded memory at any length."""

    def __init__(self, session: Session, basis: Basis) -> None:
        self._session = session
        self.basis = basis

    def predict(self, blocks: Iterator[Float32], rate: Fraction, frames: int) -> Iterator[Float32]:
        """Yield coefficients (m, K) for ``frames`` video frames at ``rate`` frames per second, in chunks.

        ``blocks``: mono 16 kHz audio in -1..1, of any sizes, from the time of the first frame. If it ends early, the
        mouth closes. Row i is the mouth at i / rate seconds. The result does not depend on how the audio was cut into
        blocks. Raises InferenceFailed.
        """
        return self.predict_from_features(features(blocks), rate, frames)

    def predict_from_features(self, frames: Iterator[Float32], rate: Fraction, count: int) -> Iterator[Float32]:
        """``predict`` from the frames of ``features``, for ``count`` video frames."""
        return at_frames(self._rows(frames), rate, count)

    def _rows(self, frames: Iterator[Float32]) -> Iterator[Float32]:
        """The network's output rows (n, K) in pieces, without end: silence follows the audio."""
        frames = _faded_out(frames)
        # The audio before the first frame is unknown. Mirroring the beginning neither starts nor stops a sound there.
        window = next(frames)
        window = np.pad(window, ((OVERLAP * STEP, 0), (0, 0)), mode="symmetric")
        for piece in frames:
            window = np.concatenate([window, piece])
            while len(window) >= WINDOW * STEP:
                rows = self._session.run([window[None, : WINDOW * STEP]])[0][0]
                yield sharpen(rows[OVERLAP - 1 : -OVERLAP + 1])
                window = window[(WINDOW - 2 * OVERLAP) * STEP :]


def at_frames(rows: Iterator[Float32], rate: Fraction, count: int) -> Iterator[Float32]:
    """Coefficients of ``count`` video frames, in chunks, from rows at NETWORK_RATE that reach three rows further."""
    stream = _RowStream(rows)
    for first in range(0, count, CHUNK_FRAMES):
        index = np.arange(first, min(first + CHUNK_FRAMES, count))
        position = index * float(NETWORK_RATE / rate)
        left = np.floor(position).astype(np.int64)
        window = stream.between(int(left[0]) - 1, int(left[-1]) + 3)
        yield _interpolate_cubic(window, left - left[0] + 1, position - left)


def sharpen(rows: Float32) -> Float32:
    """The inner n of rows (n + 2, K) with quick movements amplified (unsharp masking in time).

    A network trained on squared errors averages what it is uncertain about: lips would close too little and too late.
    """
    before, inner, after = rows[:-2], rows[1:-1], rows[2:]
    return np.asarray(inner + SHARPENING * (inner - (before + 2 * inner + after) / 4), np.float32)


def _faded_out(frames: Iterator[Float32]) -> Iterator[Float32]:
    """The features, then their mirrored and fading end, then silence forever: a hard stop resembles a consonant."""
    end = np.zeros((0, BANDS), np.float32)
    for piece in frames:
        yield piece
        end = np.concatenate([end, piece])[-FADE_FRAMES:]
    fade = np.linspace(0, 1, len(end), dtype=np.float32)[:, None]
    if len(end):
        yield end[::-1] * (1 - fade) + SILENCE * fade
    yield from repeat(np.full((BLOCK_FRAMES, BANDS), SILENCE, np.float32))


class _RowStream:
    """Rows of an endless stream by number, forward only. Numbers before the first row repeat it."""

    def __init__(self, pieces: Iterator[Float32]) -> None:
        self._pieces = pieces
        self._buffer: Float32 = next(pieces)
        self._first = 0

    def between(self, start: int, stop: int) -> Float32:
        while self._first + len(self._buffer) < stop:
            self._buffer = np.concatenate([self._buffer, *islice(self._pieces, 1)])
        drop = max(0, start - self._first)
        self._buffer, self._first = self._buffer[drop:], self._first + drop
        lead = self._buffer[:1].repeat(max(0, self._first - start), 0)
        return np.concatenate([lead, self._buffer[: stop - self._first]])


def _interpolate_cubic(rows: Float32, left: NDArray[np.int64], share: NDArray[np.float64]) -> Float32:
    """The cubic of Catmull and Rom (1974) between rows ``left`` and ``left + 1`` (n,), at ``share`` (n,) in 0..1."""
    a, b, c, d = (rows[left + step].astype(np.float64) for step in (-1, 0, 1, 2))
    t = share[:, None]
    bend = (3 * (b - c) + d - a) * t + (2 * a - 5 * b + 4 * c - d)
    return np.asarray(b + 0.5 * t * (c - a + t * bend), np.float32)
