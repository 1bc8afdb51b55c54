from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces.geometry import CHIN, LEFT_EYE, RIGHT_EYE, eye_distance
from lipsync.faces.landmarker import Landmarker, tile_boxes
from lipsync.faces.region import Region, region_of
from lipsync.models.session_cache import SessionCache


def test_a_face_is_found_with_eyes_and_chin_at_their_positions(landmarker, photo, to_frame):
    (face,) = landmarker.find(to_frame(photo))
    points = face.landmarks
    assert points.shape == (478, 3)
    assert points.dtype == np.float32
    assert face.score > 0.9
    assert points[RIGHT_EYE, :2] == pytest.approx([194, 101], abs=5)
    assert points[LEFT_EYE, :2] == pytest.approx([255, 104], abs=5)
    assert points[CHIN, :2] == pytest.approx([222, 180], abs=6)


def test_landmarks_follow_a_shift_a_zoom_and_a_rotation(landmarker, moved, to_frame):
    upright = landmarker.find(to_frame(moved()))[0].landmarks
    turned = landmarker.find(to_frame(moved(at=(140, 130), zoom=1.3, turn=0.3)))[0].landmarks
    cosine, sine = 1.3 * np.cos(0.3), 1.3 * np.sin(0.3)
    expected = (upright[:, :2] - [160, 120]) @ np.array([[cosine, sine], [-sine, cosine]]) + [140, 130]
    away = np.linalg.norm(turned[:, :2] - expected, axis=1).mean()
    assert away < 0.03 * eye_distance(turned)


def test_mirroring_the_frame_mirrors_the_face(landmarker, moved, to_frame):
    frame = moved(zoom=1.2)
    face = landmarker.find(to_frame(frame))[0].landmarks
    mirrored = landmarker.find(to_frame(np.ascontiguousarray(frame[:, ::-1])))[0].landmarks
    middle = [1, 4, 6, 9, 152, 0, 17, 168]
    assert (face[middle, 0] + mirrored[middle, 0]).mean() / 2 == pytest.approx((320 - 1) / 2, abs=0.7)


def test_two_people_are_both_found(landmarker, photo, to_frame):
    faces = landmarker.find(to_frame(np.hstack([photo, photo[:, ::-1]])))
    assert len(faces) == 2
    assert sorted(round(face.landmarks[:, 0].mean() / 512) for face in faces) == [0, 2]


def test_a_face_too_small_for_the_whole_frame_is_found_in_tiles(landmarker, moved, to_frame):
    frame = to_frame(moved(at=(930, 150), zoom=0.4, size=(1280, 720)))
    assert landmarker.find(frame, thorough=False) == []
    (face,) = landmarker.find(frame)
    assert face.landmarks[:, :2].mean(0) == pytest.approx([930, 152], abs=8)


def test_a_frame_without_a_face_has_none(landmarker, to_frame):
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    assert landmarker.find(to_frame(noise)) == []
    assert landmarker.landmarks(to_frame(noise), Region(160, 120, 150, 0)) is None


def test_a_face_is_found_again_near_its_last_position(landmarker, moved, to_frame):
    frame = to_frame(moved(at=(100, 100)))
    (face,) = landmarker.find_near(frame, Region(110, 95, 120, 0))
    assert region_of(face.landmarks).x == pytest.approx(100, abs=15)
    assert landmarker.find_near(frame, Region(2000, 2000, 50, 0)) == []


def test_a_tiny_frame_is_searched_without_error(landmarker, to_frame):
    assert landmarker.find(to_frame(np.zeros((16, 16, 3), np.uint8))) == []


def test_tiles_overlap_and_cover_the_frame():
    boxes = tile_boxes(1280, 720, 2)
    covered = np.zeros((720, 1280), int)
    for box in boxes:
        covered[box.luma] += 1
    assert covered.min() >= 1
    assert np.median(covered) >= 2


def test_landmarks_in_the_background_are_those_of_the_frame(landmarker, moved, to_frame):
    frame = to_frame(moved(at=(100, 100)))
    (face,) = landmarker.find(frame, thorough=False)
    region = region_of(face.landmarks)
    pending = landmarker.landmarks_later(frame, region)
    known = landmarker.landmarks(frame, region)
    for _ in range(2):
        assert np.allclose(pending.result().landmarks, known.landmarks, atol=0.01)
    assert landmarker.landmarks_later(to_frame(np.zeros((64, 64, 3), np.uint8)), Region(32, 32, 32, 0)).result() is None


def test_closing_waits_for_the_background(to_frame):
    frame = to_frame(np.zeros((64, 64, 3), np.uint8))
    with Landmarker.open(SessionCache(), threads=1) as opened:
        pending = [opened.landmarks_later(frame, Region(32, 32, 32, 0)) for _ in range(5)]
    assert all(one.result() is None for one in pending)


def test_a_closed_landmarker_rejects_work(to_frame):
    with Landmarker.open(SessionCache(), threads=1) as opened:
        pass
    with pytest.raises(RuntimeError):
        opened.landmarks_later(to_frame(np.zeros((64, 64, 3), np.uint8)), Region(32, 32, 32, 0))


@pytest.mark.parametrize("kept", [True, False])
def test_the_networks_stay_open_for_others_only_if_they_are_kept(kept):
    sessions = SessionCache()
    with Landmarker.open(sessions, threads=1, kept=kept):
        assert len(sessions) == 2
    assert len(sessions) == (2 if kept else 0)


def test_a_tiny_face_in_a_large_picture_is_found_by_fine_tiles(landmarker, moved, to_frame):
    frame = to_frame(moved(at=(603, 405), zoom=0.22, size=(1100, 1100)))
    assert landmarker.find(frame) == []
    (face,) = landmarker.find(frame, tiny=True)
    assert face.landmarks[:, :2].mean(0) == pytest.approx([603, 406], abs=6)


def test_a_face_upside_down_has_its_eyes_below_its_chin(landmarker, photo, to_frame):
    (face,) = landmarker.find(to_frame(np.ascontiguousarray(photo[::-1, ::-1])))
    assert face.landmarks[RIGHT_EYE, :2] == pytest.approx([511 - 194, 511 - 101], abs=5)
    assert face.landmarks[CHIN, :2] == pytest.approx([511 - 222, 511 - 180], abs=6)
