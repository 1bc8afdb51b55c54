from __future__ import annotations

from contextlib import closing
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync.errors import OptionInvalid
from lipsync.faces.recogniser import Recogniser
from lipsync.faces.region import region_of
from lipsync.faces.selection import SAME_PERSON, STRANGER, Person, choose, most_seen
from lipsync.media.probe import probe
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.types import Face

CLIP = Path(str(resources.files("lipsync.demo") / "data" / "clip.mp4"))  # of another person than the photo


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


def test_an_unknown_selection_is_an_invalid_option(recogniser):
    with pytest.raises(OptionInvalid, match="prettiest"):
        choose([face_at(1, 1, 1)], "prettiest", 10, 10)
    with pytest.raises(OptionInvalid):
        Person("", recogniser)


def known_person(recogniser, landmarker, frame) -> Person:
    person = Person("largest", recogniser)
    assert person.match(landmarker.find(frame)[:1], frame) is not None
    return person


GRADES = {
    "black and white": lambda rgb: np.repeat(rgb.mean(2, keepdims=True), 3, 2),
    "dark": lambda rgb: rgb * 0.35,
    "blue": lambda rgb: rgb * [0.45, 0.6, 1],
    "warm": lambda rgb: rgb * [1.2, 1, 0.6] + [20, 10, 0],
    "contrast": lambda rgb: (rgb - 128) * 1.6 + 128,
    "blurred": lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 1.5),
}


@pytest.mark.parametrize("grade", GRADES)
def test_a_person_is_known_again_in_another_place_size_and_colour(recogniser, landmarker, moved, to_frame, grade):
    person = known_person(recogniser, landmarker, to_frame(moved()))
    graded = np.clip(GRADES[grade](moved(at=(120, 140), zoom=1.3, turn=0.2).astype(np.float32)), 0, 255)
    frame = to_frame(graded.astype(np.uint8))
    face = landmarker.find(frame)[0]
    assert person.distance(frame, face) < SAME_PERSON
    assert person.match([face], frame) is face


def test_another_person_is_not_taken_for_the_first(recogniser, landmarker, photo, to_frame):
    person = known_person(recogniser, landmarker, to_frame(photo))
    with closing(read(probe(CLIP))) as frames:
        other = next(iter(frames))
    strangers = landmarker.find(other)
    assert len(strangers) == 1
    assert person.distance(other, strangers[0]) > STRANGER
    assert person.match(strangers, other) is None
    assert not person.is_familiar(other, strangers[0], STRANGER)


def test_ordinary_footage_never_opens_the_network(landmarker, moved, to_frame):
    sessions = SessionCache()
    with Recogniser.open(sessions) as recogniser:
        person = known_person(recogniser, landmarker, to_frame(moved()))
        for turn in (0.1, -0.1, 0.2):
            frame = to_frame(moved(turn=turn))
            face = landmarker.find(frame)[0]
            assert person.is_familiar(frame, face)
            person.learn(frame, face)
        assert not len(sessions)


def test_a_view_of_a_stranger_that_was_tracked_by_mistake_is_dropped(recogniser, landmarker, photo, to_frame):
    frame = to_frame(photo)
    person = known_person(recogniser, landmarker, frame)
    with closing(read(probe(CLIP))) as frames:
        other = next(iter(frames))
    stranger = landmarker.find(other)[0]
    person.learn(other, stranger)
    assert person.distance(other, stranger) > STRANGER
    assert person.distance(frame, landmarker.find(frame)[0]) < 0.1


def test_of_two_lookalikes_the_nearer_one_is_matched(recogniser, landmarker, photo, to_frame):
    frame = to_frame(np.hstack([photo, photo]))
    faces = sorted(landmarker.find(frame), key=lambda face: face.landmarks[:, 0].mean())
    person = Person("left", recogniser)
    assert person.match(faces, frame) is faces[0]
    assert person.match(faces, frame, region_of(faces[1].landmarks)) is faces[1]


def test_the_person_seen_in_most_frames_is_taken(recogniser, landmarker, photo, to_frame):
    with closing(read(probe(CLIP))) as frames:
        introducer = next(iter(frames))
    speaker, empty = to_frame(photo), to_frame(np.full_like(photo, 128))
    person = most_seen([introducer, empty, speaker, speaker], landmarker, recogniser, "largest")
    assert person.match(landmarker.find(introducer), introducer) is None
    assert person.match(landmarker.find(speaker), speaker) is not None


def test_a_frame_that_stands_for_several_times_is_examined_once(recogniser, landmarker, photo, to_frame, monkeypatch):
    examined = []

    def find(frame, thorough=True):
        examined.append(frame)
        return type(landmarker).find(landmarker, frame, thorough)

    monkeypatch.setattr(landmarker, "find", find)
    speaker, empty = to_frame(photo), to_frame(np.full_like(photo, 128))
    most_seen([speaker, speaker, empty, empty, speaker], landmarker, recogniser, "largest")
    assert [frame is speaker for frame in examined] == [True, False, True]


def test_without_a_face_the_person_stays_unknown(recogniser, landmarker, photo, to_frame):
    person = most_seen([to_frame(np.full_like(photo, 128))], landmarker, recogniser, "largest")
    frame = to_frame(photo)
    assert person.match(landmarker.find(frame), frame) is not None
    with pytest.raises(OptionInvalid):
        most_seen([], landmarker, recogniser, "nicest")
