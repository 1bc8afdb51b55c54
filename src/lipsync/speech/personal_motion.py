"""The motion of one person's mouth: the motion network's prediction, corrected by an ``Adaptation``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property, reduce
from itertools import tee
from typing import Final

import numpy as np

from lipsync.models.session_cache import SessionCache
from lipsync.speech.adaptation import Adaptation, HeardRows
from lipsync.speech.encoder import SpeechEncoder, open_encoder
from lipsync.speech.motion import NETWORK_RATE, MotionModel, at_frames, open_motion_model
from lipsync.speech.voice_features import COMPONENTS, Projection, load_projection
from lipsync.types import Float32

SPARE_ROWS: Final = 4  # that interpolation needs after the last frame


class PersonalMotion:
    """Predicts motion coefficients from speech, for one person where an adaptation is known."""

    def __init__(self, model: MotionModel, open_encoder: Callable[[], SpeechEncoder], projection: Projection) -> None:
        self._model, self._open_encoder, self._projection = model, open_encoder, projection
        self.basis = model.basis

    @classmethod
    def open(cls, sessions: SessionCache) -> PersonalMotion:
        """Open the bundled networks, the encoder only when it hears something. Raises ModelMissing, ModelCorrupt."""
        return cls(open_motion_model(sessions), lambda: open_encoder(sessions), load_projection())

    @cached_property
    def _encoder(self) -> SpeechEncoder:
        return self._open_encoder()

    def predict(
        self, blocks: Iterator[Float32], rate: Fraction, frames: int, adaptation: Adaptation | None = None
    ) -> Iterator[Float32]:
        """``MotionModel.predict``, adapted to a person."""
        if adaptation is None:
            return self._model.predict(blocks, rate, frames)
        count = int(frames * NETWORK_RATE / rate) + SPARE_ROWS
        return at_frames(adaptation.corrected(self._pieces(blocks, count)), rate, frames)

    def hear(self, blocks: Iterator[Float32], count: int) -> HeardRows:
        """The first ``count`` rows of speech, NETWORK_RATE a second."""
        return reduce(HeardRows.followed_by, self._pieces(blocks, count))

    def _pieces(self, blocks: Iterator[Float32], count: int) -> Iterator[HeardRows]:
        """Consecutive pieces of rows; features are 0 after the end of the sound."""
        for_motion, for_features = tee(blocks)
        heard = self._projection.features(self._encoder.rows(for_features))
        buffer = np.zeros((0, COMPONENTS), np.float32)
        for rows in self._model.predict(for_motion, Fraction(NETWORK_RATE), count):
            while len(buffer) < len(rows):
                buffer = np.concatenate([buffer, next(heard, np.zeros((len(rows), COMPONENTS), np.float32))])
            yield HeardRows(rows, buffer[: len(rows)], np.zeros(len(rows), np.float32))
            buffer = buffer[len(rows) :]
