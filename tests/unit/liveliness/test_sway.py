from __future__ import annotations

import numpy as np

from lipsync.liveliness.sway import EXCURSION, ONSET_SECONDS, PITCH, Sway

STEP = 1 / 25


def motion(seed: int, seconds: float = 120) -> np.ndarray:
    sway = Sway(seed)
    return np.array([sway.at(t) for t in np.arange(0, seconds, STEP)])


def test_the_head_starts_as_in_the_photo_and_stays_within_its_excursion():
    values = motion(1) / np.array(EXCURSION)
    assert np.abs(values[0]).max() == 0
    assert np.abs(values).max() < 1
    assert (np.abs(values).max(0) > 0.6).all()


def test_equal_seeds_move_alike_and_others_differ():
    assert np.array_equal(motion(1, 5), motion(1, 5))
    assert np.abs(motion(1, 5) - motion(2, 5)).max() > 0.001


def test_the_motion_is_smooth():
    values = motion(2) / np.array(EXCURSION)
    speed, acceleration = np.diff(values, axis=0) / STEP, np.diff(values, 2, axis=0) / STEP**2
    assert np.abs(speed).max() < 2.5
    assert np.abs(acceleration).max() < 8
    settled = values[round(ONSET_SECONDS / STEP) :]
    spectrum = np.abs(np.fft.rfft(settled * np.hanning(len(settled))[:, None], axis=0))
    frequencies = np.fft.rfftfreq(len(settled), STEP)
    assert (spectrum[frequencies > 2] ** 2).sum() < 1e-3 * (spectrum**2).sum()


def test_the_head_nods_on_stress_within_the_same_limits():
    sway = Sway(1)
    calm, stressed = sway.at(10), sway.at(10, 1.0)
    assert stressed[PITCH] > calm[PITCH] + 0.1 * EXCURSION[PITCH]
    assert np.array_equal(np.delete(stressed, PITCH), np.delete(calm, PITCH))
    assert all(abs(sway.at(t, 1.0)[PITCH]) < EXCURSION[PITCH] for t in np.arange(0, 60, 0.5))
