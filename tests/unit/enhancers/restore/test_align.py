import numpy as np
import pytest

from lipsync.enhancers.restore.align import TEMPLATE, five_points, square_matrix


@pytest.fixture
def points(moved, to_frame, landmarker):
    (face,) = landmarker.find(to_frame(moved((160, 120), 1.6, 0.3)))
    return face.landmarks[:, :2]


def test_a_face_is_aligned_to_the_template(points):
    matrix = square_matrix(points, 512)
    there = TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    eyes = np.linalg.norm(five_points(points)[1] - five_points(points)[0])
    assert np.linalg.norm(there - five_points(points), axis=1).max() < 0.2 * eyes
    assert np.arctan2(matrix[1, 0], matrix[0, 0]) == pytest.approx(0.3, abs=0.12)


def test_the_square_may_have_any_side(points):
    large, small = square_matrix(points, 512), square_matrix(points, 256)
    corners = np.array([[-0.5, -0.5], [511.5, 511.5]])
    halved = (corners + 0.5) / 2 - 0.5
    assert np.allclose(corners @ large[:, :2].T + large[:, 2], halved @ small[:, :2].T + small[:, 2], atol=1e-2)


def test_a_shifted_rotated_and_scaled_face_is_aligned_exactly():
    place, turn = np.array([31.0, -7.0]), 1.3 * np.array([[0.8, -0.6], [0.6, 0.8]])
    points = np.zeros((468, 2), np.float32)
    five = TEMPLATE @ turn.T + place
    for index, point in zip([(33, 133, 159, 145), (263, 362, 386, 374), (1,), (61,), (291,)], five, strict=True):
        points[list(index)] = point
    assert np.allclose(square_matrix(points, 512), np.column_stack([turn, place]), atol=1e-2)
