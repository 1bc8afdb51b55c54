"""Speech features: the first blocks of Whisper's encoder, at 50 rows per second, for any voice and language.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. Attention sees a whole window of
sound. The windows therefore start at fixed times and overlap, so that the rows do not depend on how the sound was cut
into blocks. data/MODEL_CARD.md describes the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from lipsync.errors import ModelMissing
from lipsync.models.session import Session
from lipsync.models.session_cache import SessionCache
from lipsync.speech.logmel import BANDS, FRAME_RATE, SILENCE, log_mel, rechunk
from lipsync.types import Float32

STEP: Final = 2  # log-mel frames per row
ENCODER_RATE: Final = FRAME_RATE // STEP  # rows per second
WINDOW: Final = 300  # rows in one run of the encoder
OVERLAP: Final = 25  # rows dropped at each inner end of a window
FEATURES: Final = 1024  # numbers in a row
_FILE = resources.files("lipsync.speech") / "data" / "encoder.onnx"


def encoder_checksum() -> str:
    """The SHA-256 of the bundled encoder. Raises ModelMissing."""
    return hashlib.sha256(_network()).hexdigest()


def open_encoder(sessions: SessionCache, threads: int = 1) -> SpeechEncoder:
    """Begin to open the bundled encoder. Raises ModelMissing; its first run raises ModelCorrupt."""
    # A file's weights are mapped, not read: as bytes, they would stay in memory twice.
    network = _FILE if isinstance(_FILE, Path) and _FILE.is_file() else _network()
    return SpeechEncoder(sessions.open_later(network, threads=threads))


def _network() -> bytes:
    try:
        return _FILE.read_bytes()
    except FileNotFoundError as exc:
        message = "the speech encoder (speech/data/encoder.onnx) is missing. Reinstall the package"
        raise ModelMissing(message) from exc


class SpeechEncoder:
    """Turns speech into rows of features, in bounded memory at any length."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Yield feature rows (m, FEATURES) at ENCODER_RATE, in pieces, while the sound lasts.

        ``blocks``: mono 16 kHz samples in -1..1, of any sizes. Row i belongs to i / ENCODER_RATE seconds; n samples
        give ceil(n / 320) rows. The rows depend on neither the sizes of the blocks nor the level of the sound. Up to
        16 seconds of sound are read ahead. Raises InferenceFailed.
        """
        window, first = np.zeros((0, BANDS), np.float32), True
        for frames in rechunk(log_mel(blocks), STEP * (WINDOW - 2 * OVERLAP)):
            window = np.concatenate([window, frames])
            if len(window) >= STEP * WINDOW:
                yield self._run(window[: STEP * WINDOW])[0 if first else OVERLAP : WINDOW - OVERLAP]
                window, first = window[STEP * (WINDOW - 2 * OVERLAP) :], False
        count = -(-len(window) // STEP)
        if count > (0 if first else OVERLAP):
            padded = np.pad(window, ((0, STEP * WINDOW - len(window)), (0, 0)), constant_values=SILENCE)
            yield self._run(padded)[0 if first else OVERLAP : count]

    def _run(self, frames: Float32) -> Float32:
        return np.asarray(self._session.run([frames.T[None]])[0][0], np.float32)
