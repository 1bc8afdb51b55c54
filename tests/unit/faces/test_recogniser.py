from __future__ import annotations

import numpy as np
import pytest

from lipsync.errors import ModelMissing
from lipsync.faces import recogniser as module
from lipsync.faces.recogniser import ALIGNED, NUMBERS, PLACES, SIDE, Recogniser, aligned, recogniser_checksum
from lipsync.models.session_cache import SessionCache
from lipsync.types import Face


def test_eyes_and_nose_lie_where_the_network_expects_them(to_frame):
    rgb = np.zeros((400, 400, 3), np.uint8)
    points = np.zeros((478, 3), np.float32)
    turn = np.array([[0, -2], [2, 0]])  # a quarter, at twice the size
    points[list(ALIGNED), :2] = PLACES @ turn.T + [300, 60]
    for x, y in points[list(ALIGNED), :2].astype(int):
        rgb[y - 2 : y + 3, x - 2 : x + 3] = 255
    view = aligned(to_frame(rgb), Face(points, 1.0))
    assert view.shape == (SIDE, SIDE, 3)
    assert all(view[int(y), int(x)].min() > 0.5 for x, y in PLACES)


def test_an_embedding_is_the_same_in_any_company(recogniser):
    views = list(np.random.default_rng(0).random((3, SIDE, SIDE, 3), np.float32))
    together = recogniser.embed(views)
    assert together.shape == (3, NUMBERS)
    assert np.allclose(together[1], recogniser.embed(views[1:2])[0], atol=1e-4)
    assert recogniser.embed([]).shape == (0, NUMBERS)


def test_the_network_is_forgotten_when_the_recogniser_closes():
    sessions = SessionCache()
    with Recogniser.open(sessions) as recogniser:
        recogniser.embed([np.zeros((SIDE, SIDE, 3), np.float32)])
        assert len(sessions) == 1
    assert not len(sessions)


def test_a_package_without_the_network_says_so(monkeypatch, tmp_path):
    assert len(recogniser_checksum()) == 64
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    with pytest.raises(ModelMissing, match="face_recogniser"):
        recogniser_checksum()
