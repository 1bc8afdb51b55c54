from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.wav2lip.compose import LOWER_JAW, compose, placement_in_box, placement_on_face
from lipsync.engines.wav2lip.crop import aligned_crop, crop_of_box, face_view
from lipsync.faces.geometry import LIPS, MESH
from lipsync.frames.planes import writable_copy


@pytest.fixture(params=[0.0, 0.3], ids=["upright", "turned"])
def face(request, moved, to_frame, landmarker):
    """A frame, the placement of its face, and its landmarks."""
    frame = to_frame(moved((160, 120), 1.6, request.param), 0)
    landmarks = landmarker.find(frame)[0].landmarks
    crop = aligned_crop(landmarks)
    crop = crop.padded((0, 0.05 * crop.height, 0, 0))
    return frame, placement_on_face(crop, landmarks[:MESH, :2], 1.0), landmarks


def test_composing_the_frames_own_face_changes_little(face):
    frame, placement, _ = face
    after = writable_copy(frame)
    assert compose(after, face_view(frame, placement.crop), placement)
    difference = np.abs(after.y.astype(int) - frame.y)
    assert difference.mean() < 0.4
    assert difference[difference > 0].mean() < 6


def test_only_the_area_between_lips_and_jaw_is_replaced(face):
    frame, placement, landmarks = face
    after = writable_copy(frame)
    compose(after, np.zeros((3, 96, 96), np.float32), placement)
    changed = np.abs(after.y.astype(int) - frame.y) > 2
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
    frame, placement, landmarks = face
    after = writable_copy(frame)
    compose(after, face_view(frame, placement.crop) * 0.2, replace(placement, strength=0.5))
    change = after.y.astype(float) - frame.y
    steps = np.abs(np.diff(change, axis=1))
    jaw = landmarks[list(LOWER_JAW), :2].round().astype(int)
    assert max(steps[y, x - 1 : x + 2].max() for x, y in jaw) < 0.4 * np.abs(change).max() + 4


def test_colours_are_matched_at_the_edge(face):
    frame, placement, _ = face
    darker = np.clip(face_view(frame, placement.crop) - 0.05, 0, 1)
    after = writable_copy(frame)
    compose(after, darker, placement)
    assert abs(float((after.y.astype(float) - frame.y).mean())) < 0.3


def test_without_strength_nothing_changes(face):
    frame, placement, _ = face
    after = writable_copy(frame)
    assert not compose(after, np.zeros((3, 96, 96), np.float32), replace(placement, strength=0.0))
    assert (after.y == frame.y).all()


def test_a_face_outside_the_frame_changes_nothing(face):
    frame, placement, _ = face
    assert not compose(
        writable_copy(frame), np.zeros((3, 96, 96), np.float32), replace(placement, outline=placement.outline - 900)
    )


def test_a_face_known_only_by_its_box(to_frame, photo):
    frame = to_frame(photo, 0)
    after = writable_copy(frame)
    assert compose(after, np.zeros((3, 96, 96), np.float32), placement_in_box(crop_of_box((60, 190, 180, 280))))
    rows, columns = np.nonzero(after.y != frame.y)
    assert rows.min() > 60 + 50
    assert rows.max() < 190
    assert columns.min() >= 180
    assert columns.max() < 280


def test_colours_are_matched_at_the_edge_at_any_strength(face):
    frame, placement, landmarks = face
    generated = face_view(frame, placement.crop)
    generated[:, 62:82, 30:66] *= 0.2  # a dark, open mouth
    chin = landmarks[[152, 148, 377], :2].round().astype(int)
    for strength in (1.0, 0.5, 0.2):
        after = writable_copy(frame)
        compose(after, generated, replace(placement, strength=strength))
        difference = after.y.astype(int) - frame.y
        assert max(abs(int(difference[y, x])) for x, y in chin) < 6


@pytest.mark.parametrize("zoom", [0.25, 0.4])
def test_small_faces_do_not_alias(moved, to_frame, landmarker, zoom):
    large = to_frame(moved((160, 120), 1.6), 0)
    points = landmarker.find(large)[0].landmarks[:MESH, :2]
    small = (points - (160, 120)) * zoom / 1.6 + (160, 120)
    crop = crop_of_box(
        tuple(int(n) for n in (small[:, 1].min(), small[:, 1].max(), small[:, 0].min(), small[:, 0].max()))
    )
    noise = np.random.default_rng(0).random((3, 96, 96)).astype(np.float32)
    frame = to_frame(np.full((240, 320, 3), 128, np.uint8), 0)
    compose(frame, noise, placement_on_face(crop, small.astype(np.float32), 1.0))
    inside = frame.y[frame.y != 126]
    assert 0 < inside.std() < 0.7 * 255 * noise[1].std()
