"""Applying an adaptation."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.speech.adaptation import CONTACT_OPENING, Adaptation, HeardRows
from lipsync.speech.learning import learn

from .adapting import COUNT, MOUTH, heard, speaker


@pytest.fixture(scope="module")
def adaptation() -> Adaptation:
    found = learn([speaker(600, seed=1)], MOUTH)
    assert found is not None
    return found


@pytest.mark.parametrize("size", [1, 7, 100, 400])
def test_the_result_does_not_depend_on_the_pieces(adaptation, size):
    new = speaker(300, seed=2)
    pieces = [heard(new).part(k, k + size) for k in range(0, 300, size)]
    whole = adaptation.apply(heard(new))
    np.testing.assert_allclose(np.concatenate(list(adaptation.corrected(iter(pieces)))), whole, atol=1e-5)


def test_pieces_are_held_back_no_longer_than_needed(adaptation):
    new = speaker(300, seed=2)
    pieces = iter([heard(new).part(0, 100), heard(new).part(100, 300)])
    assert len(next(adaptation.corrected(pieces))) > 80
    assert next(pieces, None) is not None


def test_in_silence_the_mouth_rests_whatever_the_features_are(adaptation):
    silent = np.tile(MOUTH.neutral, (100, 1))
    features = 3 * np.random.default_rng(0).standard_normal((100, COUNT)).astype(np.float32)
    rows = adaptation.apply(HeardRows(silent, features, np.zeros(100, np.float32)))
    assert np.ptp(rows, 0).max() == 0
    assert (rows[0] - MOUTH.neutral) @ MOUTH.opening == pytest.approx(0, abs=1e-6)


def test_a_correction_does_not_hold_lips_apart_that_close_for_certain(adaptation):
    new = speaker(300, seed=2)
    closed, free = adaptation.apply(heard(new, 1.0)), adaptation.apply(heard(new))
    predicted, kept, apart = ((rows - MOUTH.neutral) @ MOUTH.opening for rows in (new.predicted, closed, free))
    assert (kept <= np.maximum(predicted, CONTACT_OPENING) + 1e-5).all()
    assert (apart > np.maximum(predicted, CONTACT_OPENING) + 0.01).any()
    np.testing.assert_allclose(closed @ MOUTH.measures[:, 1], free @ MOUTH.measures[:, 1], atol=1e-5)
    np.testing.assert_allclose(adaptation.apply(heard(new, 0.5)), free)
