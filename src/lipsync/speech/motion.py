"""Mouth motion from speech: a small network over the ``encoder``'s rows, and the mesh basis that it drives.

Driving a low-dimensional mouth shape from speech features in context goes back to Brand, "Voice Puppetry", SIGGRAPH
1999; features of a speech recogniser make the motion independent of the speaker (Zhou et al., "VisemeNet", ACM
Transactions on Graphics 37(4), 2018, and Han et al., arXiv:2507.18352, 2025). data/MODEL_CARD.md describes the network.
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
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import ENCODER_RATE, FEATURES, SpeechEncoder, open_encoder
from lipsync.types import Float32

NETWORK_RATE: Final = 25  # frames per second of the footage that the network learned from
WINDOW: Final = 300  # rows in one run of the network
OVERLAP: Final = 20  # rows dropped at each end of a window: at least the network's receptive field
FADE: Final = SPEECH_RATE // 2  # samples over which the end of the sound fades to silence
SILENCE: Final = SPEECH_RATE  # samples of silence after which the mouth no longer moves
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
    """Begin to open the bundled networks. Raises ModelMissing; their first run raises ModelCorrupt."""
    encoder = open_encoder(sessions, threads)
    return MotionModel(encoder, sessions.open_later(_network(), threads=threads), load_basis())


def _network() -> bytes:
    try:
        return (_DATA / "motion.onnx").read_bytes()
    except FileNotFoundError as exc:
        message = "the motion network (speech/data/motion.onnx) is missing. Reinstall the package"
        raise ModelMissing(message) from exc


class MotionModel:
    """Predicts motion coefficients from speech, in bounded memory at any length."""

    def __init__(self, encoder: SpeechEncoder, session: Session, basis: Basis) -> None:
        self._encoder, self._session = encoder, session
        self.basis = basis

    def encoded(self, blocks: Iterator[Float32]) -> Iterator[Float32]:
        """The encoder's rows of a sound and of its fading end, in pieces; ``follow`` takes them."""
        return self._encoder.rows(faded_out(blocks))

    def predict(self, blocks: Iterator[Float32], rate: Fraction, frames: int) -> Iterator[Float32]:
        """Yield coefficients (m, K) for ``frames`` video frames at ``rate`` frames per second, in chunks.

        ``blocks``: mono 16 kHz audio in -1..1, of any sizes, from the time of the first frame. If it ends early, the
        mouth closes. Row i is the mouth at i / rate seconds. The result does not depend on how the audio was cut into
        blocks. Raises InferenceFailed.
        """
        rows = self.follow(self.encoded(blocks))
        return at_frames((piece[:, :-1] for piece in rows), rate, frames, ENCODER_RATE)

    def follow(self, pieces: Iterator[Float32]) -> Iterator[Float32]:
        """Rows (n, K + 1) at ENCODER_RATE, without end, from the encoder's rows in pieces.

        The last column is how certainly the lips close, 0..1, which the coefficients already follow. After the last
        row, the mouth stays where it is.
        """
        window, lead = np.zeros((0, FEATURES), np.float32), 0
        last = np.append(self.basis.neutral, np.float32(0))[None]
        for piece in pieces:
            window = np.concatenate([window, piece])
            while len(window) >= WINDOW:
                yield self._run(window[:WINDOW])[lead : WINDOW - OVERLAP]
                window, lead = window[WINDOW - 2 * OVERLAP :], OVERLAP
        if len(window) > lead:
            rows = self._run(np.pad(window, ((0, WINDOW - len(window)), (0, 0)), mode="edge"))[lead : len(window)]
            yield rows
            last = rows[-1:]
        yield from repeat(last.repeat(ENCODER_RATE, 0))

    def _run(self, window: Float32) -> Float32:
        return np.asarray(self._session.run([window[None]])[0][0], np.float32)


def at_frames(rows: Iterator[Float32], rate: Fraction, count: int, row_rate: int = NETWORK_RATE) -> Iterator[Float32]:
    """Coefficients of ``count`` video frames, in chunks, from ``row_rate`` rows a second, three more than needed."""
    stream = _RowStream(rows)
    for first in range(0, count, CHUNK_FRAMES):
        index = np.arange(first, min(first + CHUNK_FRAMES, count))
        position = index * float(row_rate / rate)
        left = np.floor(position).astype(np.int64)
        window = stream.between(int(left[0]) - 1, int(left[-1]) + 3)
        yield _interpolate_cubic(window, left - left[0] + 1, position - left)


def faded_out(blocks: Iterator[Float32]) -> Iterator[Float32]:
    """The sound, its mirrored and fading end, then some silence: a hard stop resembles a consonant."""
    end = np.zeros(0, np.float32)
    for block in blocks:
        yield block
        end = np.concatenate([end, block])[-FADE:]
    yield end[::-1] * np.linspace(1, 0, len(end), dtype=np.float32)
    yield np.zeros(SILENCE, np.float32)


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
