from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces import geometry


def test_the_canonical_face_is_upright_with_closed_lips_and_unit_eye_distance():
    mesh = geometry.canonical_face()
    assert mesh.shape == (468, 3)
    assert geometry.opening(mesh[None])[0] < 0.01
    across = mesh[geometry.LEFT_EYE] - mesh[geometry.RIGHT_EYE]
    np.testing.assert_allclose(across, [1, 0, 0], atol=0.01)
    assert mesh[geometry.CHIN, 1] > mesh[geometry.INNER_TOP, 1] > mesh[10, 1]
    assert mesh[1, 2] < mesh[234, 2]  # the nose is nearer than the temple


def test_a_fitted_pose_maps_the_mesh_there_and_back():
    mesh = geometry.canonical_face()
    turn = np.float32(0.4)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]], np.float32)
    points = (80 * mesh @ rotation.T + [320, 240, 0]).astype(np.float32)[None]
    pose = geometry.fit_pose(points, mesh)
    assert pose.scale[0] == pytest.approx(80, rel=1e-4)
    np.testing.assert_allclose(pose.rotation[0], rotation, atol=1e-4)
    np.testing.assert_allclose(pose.to_face(points)[0], mesh, atol=1e-4)
    np.testing.assert_allclose(pose.to_frame(mesh)[0], points[0], atol=1e-2)


def test_the_eye_distance_counts_depth_where_it_is_known():
    points = np.zeros((468, 3), np.float32)
    points[geometry.LEFT_EYE] = (3, 0, 4)
    assert geometry.eye_distance(points) == 5
    assert geometry.eye_distance(points[:, :2]) == 3
