"""Applying an adaptation."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.speech.adaptation import Adaptation
from lipsync.speech.learning import learn

from .adapting import COUNT, MOUTH, speaker


@pytest.fixture(scope="module")
def adaptation() -> Adaptation:
    found = learn([speaker(600, seed=1)], MOUTH)
    assert found is not None
    return found


@pytest.mark.parametrize("size", [1, 7, 100, 400])
def test_the_result_does_not_depend_on_the_pieces(adaptation, size):
    new = speaker(300, seed=2)
    pieces = [(new.predicted[k : k + size], new.features[k : k + size]) for k in range(0, 300, size)]
    whole = adaptation.apply(new.predicted, new.features)
    np.testing.assert_allclose(np.concatenate(list(adaptation.corrected(iter(pieces)))), whole, atol=1e-5)


def test_pieces_are_held_back_no_longer_than_needed(adaptation):
    new = speaker(300, seed=2)
    pieces = iter([(new.predicted[:100], new.features[:100]), (new.predicted[100:], new.features[100:])])
    assert len(next(adaptation.corrected(pieces))) > 80
    assert next(pieces, None) is not None


def test_in_silence_the_mouth_rests_whatever_the_features_are(adaptation):
    silent = np.tile(MOUTH.neutral, (100, 1))
    rows = adaptation.apply(silent, 3 * np.random.default_rng(0).standard_normal((100, COUNT)).astype(np.float32))
    assert np.ptp(rows, 0).max() == 0
    assert (rows[0] - MOUTH.neutral) @ MOUTH.opening == pytest.approx(0, abs=1e-6)
