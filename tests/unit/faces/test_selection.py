from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.errors import OptionInvalid
from lipsync.faces.region import region_of
from lipsync.faces.selection import SAME_PERSON, Person, choose, distances, signature
from lipsync.types import Face


def face_at(x: float, y: float, size: float) -> Face:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 3)).astype(np.float32) * size
    points[33], points[263] = [-size / 4, 0, 0], [size / 4, 0, 0]
    return Face(points + np.array([x, y, 0], np.float32), 1.0)


@pytest.mark.parametrize(("select", "expected"), [("largest", 1), ("left", 0), ("right", 2), ("centre", 1)])
def test_a_face_is_chosen_by_size_or_position(select, expected):
    faces = [face_at(100, 200, 80), face_at(300, 200, 120), face_at(600, 200, 80)]
    assert choose(faces, select, 640, 400) is faces[expected]


def test_small_faces_in_the_background_are_not_the_leftmost():
    faces = [face_at(50, 50, 20), face_at(300, 200, 120)]
    assert choose(faces, "left", 640, 400) is faces[1]


def test_an_unknown_selection_is_an_invalid_option():
    with pytest.raises(OptionInvalid, match="prettiest"):
        choose([face_at(1, 1, 1)], "prettiest", 10, 10)
    with pytest.raises(OptionInvalid):
        Person("")


def test_a_face_resembles_itself_at_another_position_light_and_size(landmarker, moved, to_frame):
    one = to_frame(moved())
    other = to_frame((moved(at=(120, 140), zoom=1.3, turn=0.2) * 0.8).astype(np.uint8))
    signatures = [signature(frame, landmarker.find(frame)[0]) for frame in (one, other)]
    assert distances(signatures[:1], signatures[1])[0] < SAME_PERSON / 2


def test_a_face_of_other_proportions_and_colour_is_another_person(landmarker, photo, to_frame):
    frame = to_frame(photo)
    wide = cv2.resize(photo[:, :, [2, 0, 1]], (700, 512))
    other = to_frame(np.ascontiguousarray(wide))
    person = Person("largest")
    face = landmarker.find(frame)[0]
    assert person.match([face], frame) is face
    strangers = landmarker.find(other)
    assert len(strangers) == 1
    assert person.match(strangers, other) is None


def test_of_two_lookalikes_the_nearer_one_is_matched(landmarker, photo, to_frame):
    frame = to_frame(np.hstack([photo, photo]))
    faces = sorted(landmarker.find(frame), key=lambda face: face.landmarks[:, 0].mean())
    person = Person("left")
    assert person.match(faces, frame) is faces[0]
    assert person.match(faces, frame, region_of(faces[1].landmarks)) is faces[1]
