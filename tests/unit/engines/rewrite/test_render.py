from __future__ import annotations

import numpy as np
import pytest

from lipsync.engines.rewrite.donors import DonorPictures
from lipsync.engines.rewrite.render import WarpLayer, render
from lipsync.engines.rewrite.shape import close_lips, influence, opened
from lipsync.engines.rewrite.warp import skin_triangles
from lipsync.faces.geometry import MESH, fit_pose, opening

DARK = np.array([30, 122, 136], np.float32)


@pytest.fixture
def reshape(smile, smile_points, rest, copy_of):
    """A function: the photo with its face-frame mesh changed by a function of the mesh."""

    def change(shape):
        picture = copy_of(smile)
        pose = fit_pose(smile_points[None], rest)
        own = pose.to_face(smile_points[None])[0]
        shelf = DonorPictures()
        shelf.offer(picture, smile_points[:, :2], own, pose)
        weight = influence(rest)[:, None]
        mesh = (1 - weight) * own + weight * shape(own)
        target = pose.to_frame(mesh[None])[0, :, :2]
        layers = [WarpLayer(shelf.donors[0].mouth, 1.0)]
        triangles = skin_triangles(opened(rest, 0.2), influence(rest))
        render(picture, smile_points[:, :2], target, float(pose.scale[0]), triangles, layers, DARK)
        return picture

    return change


def measured_opening(picture, landmarker, rest) -> float:
    points = landmarker.find(picture)[0].landmarks[None, :MESH]
    return float(opening(fit_pose(points, rest).to_face(points))[0])


def test_a_smile_is_closed(reshape, smile, landmarker, rest):
    assert measured_opening(smile, landmarker, rest) > 0.08
    assert measured_opening(reshape(close_lips), landmarker, rest) < 0.04


def test_a_mouth_is_opened(reshape, smile, landmarker, rest):
    wide = reshape(lambda own: opened(own, 0.15))
    assert measured_opening(wide, landmarker, rest) > measured_opening(smile, landmarker, rest) + 0.06


def test_what_is_not_the_lower_face_keeps_every_value(reshape, smile, smile_points):
    picture = reshape(close_lips)
    eyes = int(smile_points[[33, 263], 1].max()) + 4
    assert (picture.y[:eyes] == smile.y[:eyes]).all()
    assert (picture.u[: eyes // 2] == smile.u[: eyes // 2]).all()
    left = int(smile_points[:, 0].min()) - 40
    assert (picture.y[:, :left] == smile.y[:, :left]).all()
    assert (picture.y != smile.y).any()


def test_the_shape_that_is_there_already_changes_next_to_nothing(reshape, smile):
    picture = reshape(lambda own: own)
    change = np.abs(picture.y.astype(int) - smile.y)
    assert change.mean() < 0.02
    assert (change > 24).mean() < 1e-3


def test_a_face_outside_of_the_picture_is_left_alone(smile, smile_points, copy_of):
    picture = copy_of(smile)
    away = smile_points[:, :2] + 5000
    assert not render(picture, away, away + 3, 60.0, np.zeros((0, 3), np.int32), [], DARK)
    assert (picture.y == smile.y).all()
