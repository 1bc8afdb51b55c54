"""The motion of one person's mouth: the motion network's prediction, corrected by an ``Adaptation``."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import tee

import numpy as np

from lipsync.models.session_cache import SessionCache
from lipsync.speech.adaptation import Adaptation, HeardRows
from lipsync.speech.motion import MotionModel, at_frames, open_motion_model
from lipsync.speech.voice_features import COMPONENTS, EVERY, Projection, load_projection
from lipsync.types import Float32


class PersonalMotion:
    """Predicts motion coefficients from speech, for one person where an adaptation is known."""

    def __init__(self, model: MotionModel, projection: Projection) -> None:
        self._model, self._projection = model, projection
        self.basis = model.basis

    @classmethod
    def open(cls, sessions: SessionCache) -> PersonalMotion:
        """Open the bundled networks. Raises ModelMissing, ModelCorrupt."""
        return cls(open_motion_model(sessions), load_projection())

    def predict(
        self, blocks: Iterator[Float32], rate: Fraction, frames: int, adaptation: Adaptation | None = None
    ) -> Iterator[Float32]:
        """``MotionModel.predict``, adapted to a person."""
        if adaptation is None:
            return self._model.predict(blocks, rate, frames)
        return at_frames(adaptation.corrected(self._pieces(blocks)), rate, frames)

    def hear(self, blocks: Iterator[Float32], count: int) -> HeardRows:
        """The first ``count`` rows of speech, NETWORK_RATE a second."""
        pieces = self._pieces(blocks)
        heard = next(pieces)
        while len(heard) < count:
            heard = heard.followed_by(next(pieces))
        return heard.part(0, count)

    def _pieces(self, blocks: Iterator[Float32]) -> Iterator[HeardRows]:
        """Consecutive pieces of rows, without end; features are 0 after the end of the sound."""
        for_motion, for_features = tee(self._model.encoded(blocks))
        features = self._projection.features(for_features)
        known = np.zeros((0, COMPONENTS), np.float32)
        start = 0  # of a piece, among the encoder's rows
        for piece in self._model.follow(for_motion):
            rows = piece[-start % EVERY :: EVERY]
            start += len(piece)
            while len(known) < len(rows):
                known = np.concatenate([known, next(features, np.zeros((len(rows), COMPONENTS), np.float32))])
            yield HeardRows(rows[:, :-1], known[: len(rows)], rows[:, -1])
            known = known[len(rows) :]
