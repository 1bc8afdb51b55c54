from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import (
    CORNERS,
    LOWER_INNER,
    LOWER_OUTER,
    UPPER_INNER,
    UPPER_OUTER,
    close_lips,
    close_mouth,
    closed_mouth,
    opening_coefficients,
    turn_jaw,
    without_overlap,
)
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import CHIN, LEFT_CORNER, LEFT_EYE, LIPS, RIGHT_CORNER, RIGHT_EYE, opening


@pytest.fixture
def spoken(canonical, basis):
    """The canonical face with its mouth opened by a vowel."""
    return canonical + basis.displacement(np.eye(1, len(basis.sd), dtype=np.float32) * 2.5)[0]


def gaps(face):
    return face[list(LOWER_INNER), 1] - face[list(UPPER_INNER), 1]


def thickness(face):
    upper = face[list(UPPER_INNER), 1] - face[list(UPPER_OUTER), 1]
    return np.concatenate([upper, face[list(LOWER_OUTER), 1] - face[list(LOWER_INNER), 1]])


def test_a_mouth_opened_by_speech_is_closed_as_it_was(spoken, canonical, basis):
    assert opening(spoken[None])[0] > 0.12
    shut = close_mouth(spoken, basis)
    assert opening(shut[None])[0] < 0.006
    lips = [*LIPS, CHIN]
    error = np.abs(shut - canonical)[lips, 1].mean()
    assert error < 0.2 * np.abs(spoken - canonical)[lips, 1].mean()


@pytest.mark.parametrize("height", [0.08, 0.2, 0.4])
def test_lips_that_close_meet_everywhere(canonical, basis, height):
    shut = close_mouth(open_lips(canonical, height), basis)
    assert 0 < gaps(shut).min() <= gaps(shut).max() < 0.004


def test_lips_that_close_keep_their_thickness(canonical, basis):
    for rows in np.random.default_rng(0).normal(0, 1.5, (20, len(basis.sd))).astype(np.float32):
        face = canonical + basis.displacement(rows[None])[0]
        before, after = thickness(face), thickness(close_lips(face))
        assert np.abs(after - before).max() < 1e-5


def test_errors_of_the_tracker_do_not_roughen_the_seam(spoken, basis):
    ragged = spoken.copy()
    ragged[list(LOWER_INNER[1::2]), 1] += 0.02
    smooth, seam = (close_mouth(face, basis)[list(LOWER_INNER), 1] for face in (spoken, ragged))
    assert np.abs(np.diff(seam - smooth, 2)).max() < 0.002


def test_the_chin_rises_with_the_lower_lip(canonical, basis):
    wide = open_lips(canonical, 0.2)
    rise = wide - close_mouth(wide, basis)
    assert 0.3 < rise[CHIN, 1] / rise[17, 1] < 1
    assert np.abs(rise[[LEFT_EYE, RIGHT_EYE]]).max() < 0.01


def test_the_jaw_opens_what_speech_never_does(canonical, basis):
    coefficients = opening_coefficients(open_lips(canonical, 0.6), basis)
    assert np.linalg.norm(coefficients) < 5.01
    shut = close_mouth(open_lips(canonical, 0.6), basis)
    assert opening(shut[None])[0] < 0.006


def test_a_turn_of_the_jaw_lifts_lower_lip_and_chin_and_leaves_the_upper_lip(canonical):
    moved = turn_jaw(canonical, 0.1) - canonical
    assert moved[14, 1] == pytest.approx(-0.1, abs=1e-4)
    assert moved[CHIN, 1] < -0.05
    assert (moved[[0, 13]] == 0).all()


def test_a_smile_keeps_its_width_and_its_upper_lip_comes_down(canonical, basis):
    smile = open_lips(canonical, 0.15)
    smile[:, 0] *= np.where(np.abs(smile[:, 1] - smile[CORNERS[0], 1]) < 0.3, 1.25, 1)
    shut, plain = close_mouth(smile, basis), close_mouth(open_lips(canonical, 0.15), basis)
    assert shut[LEFT_CORNER, 0] - shut[RIGHT_CORNER, 0] > 0.95 * (smile[LEFT_CORNER, 0] - smile[RIGHT_CORNER, 0])
    assert shut[13, 1] > plain[13, 1] + 0.01


def test_closing_closed_lips_changes_nothing(canonical, basis):
    shut = close_mouth(canonical, basis)
    assert np.abs(shut - canonical).max() < 0.006
    assert np.abs(close_lips(close_lips(shut, 0), 0) - close_lips(shut, 0)).max() < 1e-5


def test_the_closed_mouth_is_that_of_the_least_open_frames(canonical, basis):
    faces = np.stack([open_lips(canonical, gap) for gap in np.linspace(0, 0.3, 30)])
    assert np.abs(closed_mouth(faces, basis) - canonical).max() < 0.06
    assert opening(closed_mouth(faces, basis)[None])[0] < 0.006


def test_lips_that_press_firmly_hardly_overlap_and_the_chin_stays_with_them(canonical, basis):
    opening_row = np.eye(1, len(basis.sd), dtype=np.float32)
    rows = basis.neutral + np.array([[2.0], [0.0], [-1.0], [-4.0]], np.float32) * opening_row
    limited = without_overlap(rows, basis)
    assert np.allclose(limited[:2], rows[:2])
    meshes = canonical + basis.displacement(limited)
    gap = meshes[:, 14, 1] - meshes[:, 13, 1]
    assert gap[3] == pytest.approx(gap[2], abs=0.01)
    assert -0.04 < gap[3] < 0
    assert canonical[CHIN, 1] - meshes[3, CHIN, 1] < 0.06


def test_the_width_of_the_lips_is_kept_where_they_close(canonical, basis):
    rounded = basis.neutral - 3 * np.eye(len(basis.sd), dtype=np.float32)[0] + 2 * np.eye(len(basis.sd))[1]
    before, after = (
        canonical + basis.displacement(np.asarray(rows, np.float32)[None])[0]
        for rows in (rounded, without_overlap(np.asarray(rounded, np.float32)[None], basis)[0])
    )
    widths = [face[LEFT_CORNER, 0] - face[RIGHT_CORNER, 0] for face in (canonical, before, after)]
    assert widths[0] - widths[2] > 0.4 * (widths[0] - widths[1])
