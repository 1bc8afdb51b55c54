from __future__ import annotations

import errno
from fractions import Fraction

import numpy as np
import pytest

from lipsync.errors import DiskFull, NoFaceFound
from lipsync.faces.track import TrackBuilder
from lipsync.types import Face, Shot

RATE = Fraction(25)


@pytest.fixture
def face() -> np.ndarray:
    points = np.random.default_rng(3).uniform(-80, 80, (478, 3)).astype(np.float32)
    points[33], points[263] = [-50, 0, 0], [50, 0, 0]
    return points


def build(face, detected, cuts=(), step=1.0):
    """Track a face that moves ``step`` pixels to the right per frame; ``detected`` has an x where it is visible."""
    with TrackBuilder() as builder:
        for index, mark in enumerate(detected):
            points = face + np.array([index * step, 0, 0], np.float32)
            builder.add(Face(points, 1.0) if mark == "x" else None, index in cuts)
        return builder.finish(RATE)


def test_a_face_in_every_frame_is_returned(face):
    with build(face, "x" * 40) as track:
        assert len(track) == 40
        assert track.detected.all()
        assert track.present.all()
        assert track.shots == (Shot(0, 40),)
        points = track.landmarks(0, 40)
        assert points.shape == (40, 478, 3)
        assert points.dtype == np.float32
        assert np.abs(points[20] - face - [20, 0, 0]).max() < 0.05


def test_the_head_of_a_track_is_that_of_a_shorter_video(face):
    with build(face, "x" * 40, cuts=(10, 30)) as track, build(face, "x" * 25, cuts=(10,)) as shorter:
        head = track.head(25)
        assert len(head) == 25
        assert head.shots == shorter.shots == (Shot(0, 10), Shot(10, 25))
        np.testing.assert_array_equal(head.landmarks(0, 25), shorter.landmarks(0, 25))


def test_the_head_of_a_track_must_show_the_face(face):
    with build(face, "." * 20 + "x" * 20) as track, pytest.raises(NoFaceFound):
        track.head(20)


def test_a_short_gap_is_bridged_and_a_long_one_is_not(face):
    with build(face, "x" * 20 + "." * 5 + "x" * 20 + "." * 30 + "x" * 20) as track:
        assert track.detected.sum() == 60
        assert track.present[:45].all()
        assert not track.present[45:75].any()
        assert track.present[75:].all()
        middle = track.landmarks(0, 95)[22]
        assert np.abs(middle - face - [22, 0, 0]).max() < 0.1


def test_a_gap_of_half_a_second_is_long(face):
    with build(face, "x" + "." * 12 + "x" + "." * 13 + "x") as track:
        assert track.present[1:13].all()
        assert not track.present[14:27].any()


def test_gaps_at_the_ends_and_across_a_cut_are_not_bridged(face):
    with build(face, "..xxx..xxx..", cuts=(6,)) as track:
        assert track.shots == (Shot(0, 6), Shot(6, 12))
        assert np.array_equal(track.present, track.detected)


def test_frames_without_a_face_get_the_nearest_one(face):
    with build(face, ".." + "x" * 10 + "." * 20) as track:
        points = track.landmarks(0, 32)
        assert np.isfinite(points).all()
        assert points[0] == pytest.approx(face + np.float32([2, 0, 0]), abs=1e-4)
        assert points[31] == pytest.approx(face + np.float32([11, 0, 0]), abs=1e-4)


def test_smoothing_stops_at_a_cut(face):
    with TrackBuilder() as builder:
        for index in range(40):
            builder.add(Face(face + np.float32(0 if index < 20 else 200), 1.0), index == 20)
        with builder.finish(RATE) as track:
            points = track.landmarks(0, 40)
    assert np.abs(points[19] - face).max() < 0.1
    assert np.abs(points[20] - face - 200).max() < 0.1


def test_reading_a_window_gives_what_reading_all_gives(face):
    random = np.random.default_rng(0)
    with TrackBuilder() as builder:
        for index in range(120):
            shaken = face + random.normal(0, 1, (1, 3)).astype(np.float32)
            builder.add(None if index in (30, 31, 70) else Face(shaken, 1.0), index == 60)
        with builder.finish(RATE) as track:
            whole = track.landmarks(0, 120)
            for start, stop in ((0, 1), (25, 40), (55, 65), (69, 72), (100, 120)):
                assert np.abs(track.landmarks(start, stop) - whole[start:stop]).max() < 0.02
            assert track.landmarks(5, 5).shape == (0, 478, 3)


def test_frames_that_do_not_exist_are_an_index_error(face):
    with build(face, "xxx") as track, pytest.raises(IndexError):
        track.landmarks(0, 4)


def test_a_cut_on_the_first_frame_starts_no_empty_shot(face):
    with build(face, "xxx", cuts=(0,)) as track:
        assert track.shots == (Shot(0, 3),)


@pytest.mark.parametrize("count", [0, 5])
def test_a_video_without_a_face_is_rejected(count):
    with TrackBuilder() as builder:
        for _ in range(count):
            builder.add(None, False)
        with pytest.raises(NoFaceFound):
            builder.finish(RATE)


def test_a_faceless_track_can_be_requested():
    with TrackBuilder() as builder:
        for _ in range(5):
            builder.add(None, False)
        with builder.finish(RATE, faceless=True) as track:
            assert len(track) == 5
            assert not track.present.any()


def test_a_full_disk_is_reported(face):
    class Full:
        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, "full")

        def close(self) -> None:
            pass

    with TrackBuilder(Full()) as builder, pytest.raises(DiskFull):
        builder.add(Face(face, 1.0), False)


def test_frames_are_assigned_to_their_shots(face):
    with build(face, "x" * 12, cuts=(4, 9)) as track:
        numbers = [0] * 4 + [1] * 5 + [2] * 3
        assert [track.shot_number(frame) for frame in range(12)] == numbers
        assert track.shot_numbers(np.arange(12)).tolist() == numbers
