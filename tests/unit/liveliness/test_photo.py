from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy
from lipsync.liveliness.photo import Moment, lively_photo
from lipsync.liveliness.sway import EXCURSION

RATE = Fraction(25)


def photo_of(frame, faces, liveliness=1.0, seed=1):
    photo = lively_photo(frame, faces, RATE, liveliness, seed)
    assert photo is not None
    return photo


def shown(photo, frame, count):
    frames = []
    for moment in islice(photo.moments(), count):
        frames.append(writable_copy(frame))
        photo.show(frames[-1], moment)
    return frames


def test_the_first_frame_is_the_photo_and_later_ones_move(photo_frame, photo_faces):
    first, *_, last = shown(photo_of(photo_frame, photo_faces), photo_frame, 50)
    assert np.array_equal(first.y, photo_frame.y)
    assert np.abs(last.y.astype(int) - photo_frame.y).mean() > 0.3


def test_the_same_seed_gives_the_same_frames(photo_frame, photo_faces):
    again, first = (shown(photo_of(photo_frame, photo_faces, seed=7), photo_frame, 40)[-1] for _ in range(2))
    other = shown(photo_of(photo_frame, photo_faces, seed=8), photo_frame, 40)[-1]
    assert np.array_equal(first.y, again.y)
    assert np.array_equal(first.u, again.u)
    assert not np.array_equal(first.y, other.y)


def test_motion_grows_with_liveliness_and_blinks_close_the_eyes_from_a_quarter_on(photo_frame, photo_faces):
    def moments(liveliness):
        return list(islice(photo_of(photo_frame, photo_faces, liveliness).moments(), 500))

    half, full = moments(0.5), moments(1.0)
    assert all(np.allclose(2 * a.motion, b.motion) for a, b in zip(half, full, strict=True))
    for liveliness, closure in ((0.1, 0.4), (0.25, 1), (0.5, 1), (1.0, 1)):
        assert max(moment.closure for moment in moments(liveliness)) == pytest.approx(closure)


def test_eyes_blink_before_the_head_moves(photo_frame, photo_faces):
    photo = photo_of(photo_frame, photo_faces)
    motion = np.array(EXCURSION, np.float32)
    both, step_by_step = writable_copy(photo_frame), writable_copy(photo_frame)
    assert photo.show(both, Moment(1.0, motion))
    photo.show(step_by_step, Moment(1.0, np.zeros(5, np.float32)))
    photo.show(step_by_step, Moment(0.0, motion))
    assert np.array_equal(both.y, step_by_step.y)


def test_a_moment_of_rest_changes_nothing(photo_frame, photo_faces):
    copy = writable_copy(photo_frame)
    assert not photo_of(photo_frame, photo_faces).show(copy, Moment(0.0, np.zeros(5, np.float32)))
    assert np.array_equal(copy.y, photo_frame.y)


def test_a_photo_without_a_face_stays_still(photo_frame):
    with TrackBuilder() as builder:
        builder.add(None, False)
        with builder.finish(RATE, faceless=True) as track:
            assert lively_photo(photo_frame, SmoothedFaces(track), RATE, 1.0, 1) is None
