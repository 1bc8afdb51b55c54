"""The motion of one person's mouth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.models.session import Adapted
from lipsync.models.session_cache import SessionCache
from lipsync.speech.adaptation import Adaptation
from lipsync.speech.personal_motion import PersonalMotion
from lipsync.speech.voice_features import COMPONENTS

from .adapting import MOUTH


@pytest.fixture(scope="module")
def motion() -> PersonalMotion:
    return PersonalMotion.open(SessionCache())


def babble(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return (buzz * np.clip(np.sin(2 * np.pi * 2 * time), 0, 1) * 0.1).astype(np.float32)


def test_rows_are_those_of_the_network_at_25_a_second(motion):
    heard = motion.hear(iter([babble(8)]), 190)
    frames = np.concatenate(list(motion.predict(iter([babble(8)]), Fraction(25), 190)))
    np.testing.assert_allclose(heard.predicted, frames, atol=1e-4)
    assert heard.features.shape == (190, COMPONENTS)
    assert heard.closing.min() >= 0
    assert heard.closing.max() <= 1


def test_rows_go_on_after_the_end_of_the_sound(motion):
    heard = motion.hear(iter([babble(1)]), 200)
    assert len(heard) == 200
    assert np.ptp(heard.predicted[150:], 0).max() < 0.01


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1001), Fraction(12)])
def test_an_adaptation_without_effect_changes_nothing(motion, rate):
    size = 9 * COMPONENTS + 12
    nothing = Adaptation(np.zeros((size, 12)), np.zeros(12), np.zeros(12), _mouth(motion), Adapted(10.0, 0.0, 0.0))
    plain = np.concatenate(list(motion.predict(iter([babble(4)]), rate, 60)))
    adapted = np.concatenate(list(motion.predict(iter([babble(4)]), rate, 60, nothing)))
    assert adapted.shape == plain.shape
    np.testing.assert_allclose(adapted, plain, atol=1e-4 if rate == 25 else 0.5)


def _mouth(motion):
    measures = np.resize(MOUTH.measures, (12, 2))
    return type(MOUTH)(measures, motion.basis.neutral)
