from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.wav2lip.compose import LOWER_JAW, compose, place_in_box, place_of
from lipsync.engines.wav2lip.crop import aligned_box, boxed, view
from lipsync.engines.wav2lip.reference import MOST, ClosedMouths
from lipsync.faces.geometry import LIPS, MESH
from lipsync.frames.planes import writable_copy
from lipsync.types import Shot


@pytest.fixture(params=[0.0, 0.3], ids=["upright", "turned"])
def face(request, moved, to_picture, landmarker):
    """A picture, where its face goes, and its mesh."""
    picture = to_picture(moved((160, 120), 1.6, request.param), 0)
    landmarks = landmarker.find(picture)[0].landmarks
    crop = aligned_box(landmarks)
    crop = crop.padded((0, 0.05 * crop.height, 0, 0))
    return picture, place_of(crop, landmarks[:MESH, :2], 1.0), landmarks


def test_its_own_face_put_back_changes_little(face):
    picture, place, _ = face
    after = writable_copy(picture)
    assert compose(after, view(picture, place.crop), place)
    away = np.abs(after.y.astype(int) - picture.y)
    assert away.mean() < 0.4
    assert away[away > 0].mean() < 6


def test_only_what_lies_between_lips_and_jaw_is_replaced(face):
    picture, place, landmarks = face
    after = writable_copy(picture)
    compose(after, np.zeros((3, 96, 96), np.float32), place)
    changed = np.abs(after.y.astype(int) - picture.y) > 2
    points = landmarks[:, :2].round().astype(int)
    assert changed[points[list(LIPS), 1], points[list(LIPS), 0]].all()
    for eye in (33, 263, 159, 386, 9, 10):
        assert not changed[points[eye, 1], points[eye, 0]]
    rows, columns = np.nonzero(changed)
    low, high = points[:MESH].min(0), points[:MESH].max(0)
    assert columns.min() > low[0] - 14
    assert columns.max() < high[0] + 14
    assert rows.max() < high[1] + 14


def test_the_edge_is_soft(face):
    picture, place, landmarks = face
    after = writable_copy(picture)
    compose(after, view(picture, place.crop) * 0.2, replace(place, strength=0.5))
    change = after.y.astype(float) - picture.y
    steps = np.abs(np.diff(change, axis=1))
    jaw = landmarks[list(LOWER_JAW), :2].round().astype(int)
    assert max(steps[y, x - 1 : x + 2].max() for x, y in jaw) < 0.4 * np.abs(change).max() + 4


def test_colours_are_matched_at_the_edge(face):
    picture, place, _ = face
    darker = np.clip(view(picture, place.crop) - 0.05, 0, 1)
    after = writable_copy(picture)
    compose(after, darker, place)
    assert abs(float((after.y.astype(float) - picture.y).mean())) < 0.3


def test_nothing_is_shown_without_strength(face):
    picture, place, _ = face
    after = writable_copy(picture)
    assert not compose(after, np.zeros((3, 96, 96), np.float32), replace(place, strength=0.0))
    assert (after.y == picture.y).all()


def test_a_face_outside_the_picture_is_left(face):
    picture, place, _ = face
    assert not compose(
        writable_copy(picture), np.zeros((3, 96, 96), np.float32), replace(place, outline=place.outline - 900)
    )


def test_a_face_of_which_only_the_box_is_known(to_picture, photo):
    picture = to_picture(photo, 0)
    after = writable_copy(picture)
    assert compose(after, np.zeros((3, 96, 96), np.float32), place_in_box(boxed((60, 190, 180, 280))))
    rows, columns = np.nonzero(after.y != picture.y)
    assert rows.min() > 60 + 50
    assert rows.max() < 190
    assert columns.min() >= 180
    assert columns.max() < 280


def test_colours_are_matched_at_the_edge_however_much_of_the_mouth_is_shown(face):
    picture, place, landmarks = face
    made = view(picture, place.crop)
    made[:, 62:82, 30:66] *= 0.2  # a dark, open mouth
    chin = landmarks[[152, 148, 377], :2].round().astype(int)
    for strength in (1.0, 0.5, 0.2):
        after = writable_copy(picture)
        compose(after, made, replace(place, strength=strength))
        away = after.y.astype(int) - picture.y
        assert max(abs(int(away[y, x])) for x, y in chin) < 6


@pytest.mark.parametrize("zoom", [0.25, 0.4])
def test_small_faces_do_not_alias(moved, to_picture, landmarker, zoom):
    large = to_picture(moved((160, 120), 1.6), 0)
    points = landmarker.find(large)[0].landmarks[:MESH, :2]
    small = (points - (160, 120)) * zoom / 1.6 + (160, 120)
    crop = boxed(tuple(int(n) for n in (small[:, 1].min(), small[:, 1].max(), small[:, 0].min(), small[:, 0].max())))
    noise = np.random.default_rng(0).random((3, 96, 96)).astype(np.float32)
    picture = to_picture(np.full((240, 320, 3), 128, np.uint8), 0)
    compose(picture, noise, place_of(crop, small.astype(np.float32), 1.0))
    inside = picture.y[picture.y != 126]
    assert 0 < inside.std() < 0.7 * 255 * noise[1].std()


def opened(landmarks: np.ndarray, pixels: float, aside: float = 0.0) -> np.ndarray:
    other = landmarks.copy()
    other[14, 1] = other[13, 1] + pixels
    other[1, 0] += aside
    return other


def test_the_most_closed_mouth_of_the_nearest_turn_is_kept(moved, to_picture, landmarker):
    kept, whole = ClosedMouths(), Shot(0, 10)
    assert kept.nearest(np.zeros((MESH, 2), np.float32), whole) is None
    landmarks = landmarker.find(to_picture(moved((160, 120), 1.6), 0))[0].landmarks
    crop = aligned_box(landmarks)
    for index, (shade, gap, aside) in enumerate([(200, 9, 0), (100, 2, 0), (50, 5, 0), (20, 2, 40)]):
        kept.offer(to_picture(np.full((240, 320, 3), shade, np.uint8), index), opened(landmarks, gap, aside), crop)
    frame, seen = kept.nearest(landmarks[:, :2], whole)
    assert frame == 1
    assert seen.mean() * 255 == pytest.approx(100, abs=3)
    frame, seen = kept.nearest(opened(landmarks, 9, aside=40)[:, :2], whole)
    assert frame == 3
    assert seen.mean() * 255 == pytest.approx(20, abs=3)
    assert kept.nearest(landmarks[:, :2], Shot(1, 3))[0] == 1
    assert kept.nearest(landmarks[:, :2], Shot(10, 20)) is None  # another shot's light would show


def test_closed_mouths_are_bounded_and_the_best_stay(moved, to_picture, landmarker):
    kept = ClosedMouths()
    picture = to_picture(np.full((240, 320, 3), 90, np.uint8), 0)
    landmarks = landmarker.find(to_picture(moved((160, 120), 1.6), 0))[0].landmarks
    crop = aligned_box(landmarks)
    for index in range(0, 200_000, 100):
        gap = 1.0 if index == 77_700 else 6.0
        turned = opened(landmarks, gap, aside=index % 700 - 350)
        kept.offer(replace(picture, index=index), turned, crop)
    assert len(kept._kept) <= MOST
    best, _ = kept.nearest(opened(landmarks, 3, aside=77_700 % 700 - 350)[:, :2], Shot(0, 200_000))
    assert best == 77_700
