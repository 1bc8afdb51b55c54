from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np

from lipsync.faces.geometry import eye_distance
from lipsync.faces.selection import Person
from lipsync.faces.tracker import LOOK_AHEAD, follow
from lipsync.media.probe import probe
from lipsync.media.reader import read

CLIP = Path(str(resources.files("lipsync.demo") / "data" / "clip.mp4"))  # of another person than ``moved``


def centres(tracked) -> np.ndarray:
    return np.array([s.face.landmarks[:468, :2].mean(0) if s.face else [np.nan, np.nan] for s in tracked])


def frames_of(to_frame, frames):
    return [to_frame(frame, index) for index, frame in enumerate(frames)]


def test_a_moving_face_is_tracked_in_every_frame(landmarker, recogniser, moved, to_frame):
    path = [(120 + 60 * np.sin(k / 6), 120 + 15 * np.cos(k / 5)) for k in range(30)]
    frames = frames_of(to_frame, [moved(at=at, turn=0.2 * np.sin(k / 7)) for k, at in enumerate(path)])
    tracked = list(follow(frames, landmarker, Person("largest", recogniser)))
    assert [s.frame.index for s in tracked] == list(range(30))
    assert not any(s.cut for s in tracked)
    away = centres(tracked) - path
    assert np.abs(away - np.median(away, axis=0)).max() < 0.12 * eye_distance(tracked[0].face.landmarks)


def test_at_most_a_few_frames_are_held_back(landmarker, recogniser, moved, to_frame):
    taken = []

    def source():
        for index in range(20):
            taken.append(index)
            yield to_frame(moved(), index)

    tracked = follow(source(), landmarker, Person("largest", recogniser))
    next(tracked)
    assert len(taken) == LOOK_AHEAD + 1
    tracked.close()


def test_the_chosen_one_of_two_lookalikes_is_kept_across_a_gap(landmarker, recogniser, moved, to_frame):
    pair = np.hstack([moved(), moved()])
    frames = frames_of(to_frame, [pair] * 8 + [np.full_like(pair, 128)] * 5 + [pair] * 8)
    for select, low, high in (("left", 0, 320), ("right", 320, 640)):
        tracked = list(follow(frames, landmarker, Person(select, recogniser)))
        x = centres(tracked)[:, 0]
        assert [s.face is None for s in tracked] == [False] * 8 + [True] * 5 + [False] * 8
        assert np.nanmin(x) > low
        assert np.nanmax(x) < high
        assert not any(s.cut for s in tracked)


def test_a_face_that_left_is_found_again_after_a_second(landmarker, recogniser, moved, to_frame):
    frames = frames_of(to_frame, [moved()] * 5 + [np.full((240, 320, 3), 90, np.uint8)] * 30 + [moved((200, 100))] * 14)
    tracked = [s.face is not None for s in follow(frames, landmarker, Person("largest", recogniser))]
    assert tracked[:5] == [True] * 5
    assert not any(tracked[5:35])
    assert all(tracked[-2:])


def test_a_cut_begins_a_new_shot_and_the_person_is_recognised(landmarker, recogniser, moved, photo, to_frame):
    far = moved((60, 170), 0.8)
    frames = frames_of(to_frame, [moved((220, 100), 1.3)] * 8 + [far] * 8)
    tracked = list(follow(frames, landmarker, Person("largest", recogniser)))
    assert [s.frame.index for s in tracked if s.cut] == [8]
    assert all(s.face is not None for s in tracked)
    assert centres(tracked)[8, 0] < 100


def test_a_flash_is_not_a_cut(landmarker, recogniser, moved, to_frame):
    calm = moved()
    flash = np.clip(calm.astype(int) * 2 + 80, 0, 255).astype(np.uint8)
    tracked = list(
        follow(frames_of(to_frame, [calm] * 6 + [flash] * 2 + [calm] * 6), landmarker, Person("largest", recogniser))
    )
    assert not any(s.cut for s in tracked)
    assert all(tracked[k].face is not None for k in (5, 8, 13))


def test_a_face_that_appears_late_is_found(landmarker, recogniser, moved, to_frame):
    empty = np.full((240, 320, 3), 100, np.uint8)
    tracked = list(follow(frames_of(to_frame, [empty] * 7 + [moved()] * 8), landmarker, Person("largest", recogniser)))
    assert not any(s.face for s in tracked[:7])
    assert all(s.face for s in tracked[-4:])


def test_a_tiny_face_is_tracked_from_the_first_frame(landmarker, recogniser, moved, to_frame):
    frames = [moved(at=(930 + 2 * k, 150), zoom=0.4, size=(1280, 720)) for k in range(6)]
    assert all(s.face for s in follow(frames_of(to_frame, frames), landmarker, Person("largest", recogniser)))


def test_a_face_that_slides_out_of_the_frame_is_dropped(landmarker, recogniser, moved, to_frame):
    frames = [moved(at=(160 + 14 * k, 120)) for k in range(20)]
    tracked = [
        s.face is not None for s in follow(frames_of(to_frame, frames), landmarker, Person("largest", recogniser))
    ]
    assert all(tracked[:8])
    assert not any(tracked[-4:])


def test_no_frames_give_nothing(landmarker, recogniser):
    assert list(follow([], landmarker, Person("largest", recogniser))) == []


def test_shots_of_another_person_pass_and_the_first_is_known_again(landmarker, recogniser, moved, to_frame):
    with closing(read(probe(CLIP))) as strangers:
        between = [replace(frame, index=8 + k) for k, frame in enumerate(islice(strangers, 8))]
    size = between[0].y.shape[::-1]
    again = (to_frame(moved((150, 110), 1.2, size=size), 16 + k) for k in range(8))
    frames = [*frames_of(to_frame, [moved(size=size)] * 8), *between, *again]
    tracked = list(follow(frames, landmarker, Person("largest", recogniser)))
    assert [s.frame.index for s in tracked if s.cut] == [8, 16]
    assert [s.face is not None for s in tracked] == [True] * 8 + [False] * 8 + [True] * 8


def test_a_face_that_jerks_is_found_at_its_new_position(landmarker, recogniser, moved, to_frame):
    """Every position lasts two frames, as after a rate conversion."""
    random = np.random.default_rng(5)
    positions = np.repeat(np.array([160, 120]) + random.uniform(-28, 28, (12, 2)), 2, axis=0)
    frames = frames_of(to_frame, [moved(tuple(position)) for position in positions])
    tracked = list(follow(frames, landmarker, Person("largest", recogniser)))
    assert not any(s.cut for s in tracked)
    for result in tracked:
        truth = landmarker.find(result.frame)[0].landmarks
        away = np.linalg.norm(result.face.landmarks[:, :2] - truth[:, :2], axis=1).mean()
        assert away < 0.03 * eye_distance(truth)


def test_a_photo_upside_down_is_tracked_and_so_is_a_tiny_face(landmarker, recogniser, moved, photo, to_frame):
    pictures = (photo[::-1, ::-1], moved(at=(603, 405), zoom=0.22, size=(1100, 1100)))
    for picture in pictures:
        (tracked,) = follow([to_frame(np.ascontiguousarray(picture))], landmarker, Person("largest", recogniser))
        assert tracked.face is not None
