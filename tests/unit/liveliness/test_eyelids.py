from __future__ import annotations

import numpy as np
import pytest

from lipsync.frames.planes import writable_copy
from lipsync.liveliness.eyelids import eyelids_of
from lipsync.liveliness.eyes import find_eyes
from lipsync.types import Face

RIGHT_IRIS, LEFT_IRIS = 468, 473


@pytest.fixture(scope="module")
def closeup(photo, moved, to_frame, landmarker):
    """The astronaut's face at three times its size: a frame and its face."""
    frame = to_frame(moved((320, 260), 3.0, size=(640, 520)))
    return frame, landmarker.find(frame)[0]


def closed(frame, face: Face, closure: float):
    result = writable_copy(frame)
    for eye in find_eyes(frame, face.landmarks):
        eyelids_of(frame, eye).close(result, closure)
    return result


def around(frame, point, radius):
    x, y = np.rint(point[:2]).astype(int)
    return frame.y[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(float)


def test_a_blink_hides_the_iris_behind_skin(closeup):
    frame, face = closeup
    shut = closed(frame, face, 1)
    cheek = around(frame, (face.landmarks[50] + face.landmarks[117]) / 2, 4).mean()
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        pupil, lid = around(frame, face.landmarks[iris], 2).mean(), around(shut, face.landmarks[iris], 2).mean()
        assert pupil < 0.45 * cheek
        assert lid > 0.6 * cheek


def test_the_landmark_network_sees_closed_eyes(closeup, landmarker):
    frame, face = closeup
    seen = landmarker.find(closed(frame, face, 1))[0].landmarks

    def opening(points):
        return np.linalg.norm(points[159, :2] - points[145, :2]) / np.linalg.norm(points[33, :2] - points[133, :2])

    assert opening(seen) < 0.5 * opening(face.landmarks)
    assert np.abs(seen[[1, 61, 291, 152], :2] - face.landmarks[[1, 61, 291, 152], :2]).max() < 6


def test_the_lid_comes_down_step_by_step(closeup):
    frame, face = closeup
    changes = [np.abs(closed(frame, face, c).y.astype(int) - frame.y).sum() for c in (0, 0.01, 0.3, 0.6, 1)]
    assert changes[0] == 0
    assert changes[1] < 0.1 * changes[4]
    assert changes == sorted(changes)


def test_only_the_eyes_change(closeup):
    frame, face = closeup
    shut = closed(frame, face, 1)
    rows, columns = np.nonzero(shut.y != frame.y)
    brow, nose = face.landmarks[[105, 334], 1].min(), face.landmarks[4, 1]
    assert rows.min() > brow - 3
    assert rows.max() < nose
    unit = np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2])
    assert columns.min() > face.landmarks[33, 0] - 0.2 * unit
    assert columns.max() < face.landmarks[263, 0] + 0.2 * unit
