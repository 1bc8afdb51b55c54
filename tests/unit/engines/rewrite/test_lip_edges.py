from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.donors import DonorCollection
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.lip_edges import lip_errors
from lipsync.engines.rewrite.mattes import SAMPLES
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, Pose
from lipsync.types import Colour, Frame

UNIT = 240.0
SKIN, LIPS, TEETH, DARK = (170, 118, 143), (120, 116, 160), (190, 122, 136), (40, 122, 136)
MIDDLE = slice(SAMPLES // 3, 2 * SAMPLES // 3)


@pytest.fixture
def points(canonical):
    mesh = open_lips(canonical, 0.15)[:, :2]
    return ((mesh - mesh[list(LIPS_OUTER)].mean(0)) * UNIT + (120, 90)).astype(np.float32)


def picture(points, upper, lower, up: float = 0.0, down: float = 0.0):
    """A mouth with teeth above and a cavity below that reach ``up`` and ``down`` pixels into the lips."""
    image = np.empty((180, 240, 3), np.uint8)
    image[:] = SKIN
    for numbers, colour in ((LIPS_OUTER, LIPS), (LIPS_INNER, upper)):
        cv2.fillPoly(image, [np.rint(points[list(numbers)]).astype(np.int32)], colour)
    inner = points[list(LIPS_INNER)].copy()
    inner[1:10, 1] -= up
    inner[11:, 1] += down
    cv2.fillPoly(image, [np.rint(inner).astype(np.int32)], upper)
    below = image[:, :, 0] == upper[0]
    below[: int(inner[:, 1].mean())] = False
    image[below] = lower
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def test_edges_in_the_right_place_have_hardly_an_error(points):
    assert lip_errors(picture(points, TEETH, DARK), points).max() < 2.5


@pytest.mark.parametrize(("upper", "lower"), [(TEETH, DARK), (DARK, TEETH)])
def test_teeth_and_cavity_on_the_lips_side_of_an_edge_are_found(points, upper, lower):
    errors = lip_errors(picture(points, upper, lower, up=5.0, down=4.0), points)
    assert np.median(errors[0, MIDDLE]) == pytest.approx(5.0, abs=2.0)
    assert np.median(errors[1, MIDDLE]) == pytest.approx(4.0, abs=2.0)
    assert errors[:, [0, -1]].max() == 0  # the corners stay


def test_ten_bits_give_the_same_errors(points):
    image = picture(points, TEETH, DARK, up=5.0)
    assert lip_errors(image.astype(np.uint16) * 4, points) == pytest.approx(lip_errors(image, points), abs=0.5)


def test_a_glint_on_the_lip_is_part_of_it(points):
    image = picture(points, TEETH, DARK)
    glint = (points[14] + 2 * points[17]) / 3
    cv2.circle(image, tuple(np.rint(glint).astype(int).tolist()), 4, (210, 122, 140), -1)
    assert lip_errors(image, points)[1].max() < 2.0


def test_donors_know_where_their_lips_begin(points, canonical):
    image = picture(points, TEETH, DARK, up=5.0)
    chroma = (np.ascontiguousarray(image[::2, ::2, plane]) for plane in (1, 2))
    frame = Frame(0, np.ascontiguousarray(image[..., 0]), *chroma, 8, Colour())
    pose = Pose(np.array([UNIT], np.float32), np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), np.float32))
    collection, mesh = DonorCollection(), open_lips(canonical, 0.15)
    collection.offer(frame, points, mesh, pose, Light(np.full(3, 0.5, np.float32), 16, 128))
    errors = collection.donors[0].mouth.lip_errors
    assert np.median(errors[0, MIDDLE]) == pytest.approx(5.0, abs=2.5)
