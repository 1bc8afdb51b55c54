"""Whether sound and picture belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.speech.agreement import Agreement, agreement, voice

from .adapting import MOUTH, speaker


def test_a_talking_person_agrees_with_the_own_sound():
    found = agreement(speaker(500, accent=0.5), MOUTH)
    assert found is not None
    assert found.holds
    assert found.lag == 0
    assert found.seconds == pytest.approx(20)


def test_another_sound_does_not_agree():
    one, other = speaker(500, seed=1), speaker(500, seed=2)
    found = agreement(replace(one, predicted=other.predicted, features=other.features), MOUTH)
    assert found is not None
    assert not found.holds


@pytest.mark.parametrize("lag", [-7, -4, 4, 7])
def test_shifted_sound_does_not_agree(lag):
    rows = speaker(500, accent=0.2)
    found = agreement(replace(rows, tracked=np.roll(rows.tracked, lag, 0)), MOUTH)
    assert found is not None
    assert found.lag == lag
    assert not found.holds


def test_footage_of_which_half_is_dubbed_does_not_agree():
    rows, other = speaker(500, accent=0.0), speaker(500, seed=3)
    dubbed = np.concatenate([rows.predicted[:250], other.predicted[250:]])
    found = agreement(replace(rows, predicted=dubbed), MOUTH)
    assert found is not None
    assert found.halves < 0.5 * found.r
    assert not found.holds


def test_too_little_speech_is_not_judged():
    assert agreement(speaker(50), MOUTH) is None


def test_rows_without_a_face_do_not_count():
    rows = speaker(500, accent=0.2)
    seen = np.arange(500) < 250
    hidden = replace(rows, tracked=np.where(seen[:, None], rows.tracked, 0).astype(np.float32), seen=seen)
    found = agreement(hidden, MOUTH)
    assert found is not None
    assert found.holds
    assert found.seconds == pytest.approx(10)


def test_short_footage_has_to_agree_better():
    assert Agreement(0.55, 0, 0.3, 0.5, seconds=30).holds
    assert not Agreement(0.55, 0, 0.3, 0.5, seconds=5).holds


def test_a_still_mouth_is_no_voice():
    motion = np.tile(MOUTH.neutral, (200, 1))
    assert not voice(motion, MOUTH).any()
    motion[100] += (5, 0, 0)
    heard = voice(motion, MOUTH)
    assert heard[100] == 1
    assert heard[:85].max() == heard[116:].max() == 0
