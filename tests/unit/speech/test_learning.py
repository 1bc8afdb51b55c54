"""Learning how one person moves the mouth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.speech.agreement import pearson
from lipsync.speech.learning import MAX_SCALE, learn

from .adapting import MOUTH, heard, speaker


def r(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    ours, theirs = one @ MOUTH.measures, other @ MOUTH.measures
    return np.array([pearson(ours[:, k], theirs[:, k]) for k in range(2)])


def test_the_motion_of_unheard_speech_comes_closer_to_the_person():
    known, new = speaker(1000, seed=1), speaker(500, seed=2)
    adaptation = learn([known], MOUTH)
    assert adaptation is not None
    before, after = r(new.predicted, new.tracked), r(adaptation.apply(heard(new)), new.tracked)
    assert (after > before + 0.05).all()
    assert adaptation.adapted.opening_gain > 0.05
    assert adaptation.adapted.seconds == pytest.approx(40)


def test_more_footage_teaches_more():
    new = speaker(500, seed=2)
    scores = []
    for rows in (200, 1000):
        adaptation = learn([speaker(rows, seed=1)], MOUTH)
        assert adaptation is not None
        scores.append(r(adaptation.apply(heard(new)), new.tracked).mean())
    assert scores[1] > scores[0]


def test_several_clips_teach_together():
    adaptation = learn([speaker(300, seed=1), speaker(300, seed=2)], MOUTH)
    assert adaptation is not None
    assert adaptation.adapted.seconds == pytest.approx(24)


def test_sound_that_does_not_belong_to_the_picture_teaches_nothing():
    one, other = speaker(500, seed=1), speaker(500, seed=2)
    assert learn([replace(one, predicted=other.predicted, features=other.features)], MOUTH) is None
    assert learn([], MOUTH) is None


def test_a_clip_that_does_not_agree_does_not_disturb_one_that_does():
    good, other = speaker(500, seed=1), speaker(500, seed=2)
    bad = replace(good, predicted=other.predicted, features=other.features)
    both, alone = learn([good, bad], MOUTH), learn([good], MOUTH)
    assert both is not None
    assert alone is not None
    assert both.adapted == alone.adapted


def test_a_person_who_moves_as_predicted_is_left_alone():
    known, new = speaker(800, seed=1, accent=0.0), speaker(300, seed=2, accent=0.0)
    adaptation = learn([known], MOUTH)
    assert adaptation is not None
    adapted = adaptation.apply(heard(new))
    assert np.abs((adapted - new.predicted) @ MOUTH.measures).mean() < 0.005
    assert adaptation.adapted.opening_gain == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("scale", [0.75, 1.4])
def test_the_range_of_the_opening_becomes_the_persons(scale):
    adaptation = learn([speaker(1000, seed=1, accent=0.0, scale=scale)], MOUTH)
    assert adaptation is not None
    new = speaker(400, seed=2, accent=0.0, scale=scale)
    opening = adaptation.apply(heard(new)) @ MOUTH.opening
    assert opening.std() / (new.tracked @ MOUTH.opening).std() == pytest.approx(1, abs=0.08)


def test_the_range_is_bounded():
    adaptation = learn([speaker(1000, seed=1, accent=0.0, scale=4.0)], MOUTH)
    assert adaptation is not None
    new = speaker(400, seed=2, accent=0.0)
    opening = adaptation.apply(heard(new)) @ MOUTH.opening
    assert opening.std() / (new.predicted @ MOUTH.opening).std() < 4.0
    assert MAX_SCALE < 2


def test_a_picture_two_rows_late_is_brought_back_into_sync():
    known, new = speaker(1000, seed=1), speaker(500, seed=2)
    late = replace(known, tracked=np.roll(known.tracked, 2, 0))
    adaptation = learn([late], MOUTH)
    assert adaptation is not None
    adapted = adaptation.apply(heard(new))
    assert r(adapted, new.tracked)[0] > r(adapted, np.roll(new.tracked, 2, 0))[0] + 0.1


def test_noise_in_the_tracking_weakens_the_correction_instead_of_being_learnt():
    rows = speaker(100, seed=1, accent=0.0)
    noisy = replace(rows, tracked=rows.tracked + 0.3 * np.random.default_rng(5).standard_normal(rows.tracked.shape))
    adaptation = learn([noisy], MOUTH)
    if adaptation is not None:
        new = speaker(300, seed=2, accent=0.0)
        adapted = adaptation.apply(heard(new))
        assert (r(adapted, new.tracked) > r(new.predicted, new.tracked) - 0.02).all()
