from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np

from lipsync.speech.personal_motion import PersonalMotion
from lipsync.speech.voice_features import COMPONENTS


def rows(count: int, width: int) -> np.ndarray:
    return np.zeros((count, width), np.float32)


def test_the_encoder_is_opened_once_and_only_to_hear_something():
    opened = []

    def open_encoder():
        opened.append(1)
        return SimpleNamespace(rows=lambda blocks: iter([rows(100, 4)]))

    model = SimpleNamespace(basis=None, predict=lambda blocks, rate, count: iter([rows(count, 12)]))
    projection = SimpleNamespace(features=lambda heard: (rows(len(piece), COMPONENTS) for piece in heard))
    motion = PersonalMotion(model, open_encoder, projection)
    assert [len(piece) for piece in motion.predict(iter([]), Fraction(25), 30)] == [30]
    assert not opened
    for _ in range(2):
        heard = motion.hear(iter([rows(1, 1)[0]]), 50)
        assert (heard.predicted.shape, heard.features.shape) == ((50, 12), (50, COMPONENTS))
    assert len(opened) == 1
