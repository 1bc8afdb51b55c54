from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips, close_mouth
from lipsync.engines.rewrite.contact import Gap
from lipsync.engines.rewrite.donors import DonorCollection
from lipsync.engines.rewrite.light import measure_light
from lipsync.engines.rewrite.mouth_layers import MouthLayers, WarpLayer
from lipsync.engines.rewrite.render import map_step, render_face
from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.warp import skin_triangles
from lipsync.faces.geometry import LIPS_INNER, MESH, fit_pose, opening

GAP = Gap(np.array([30, 122, 136], np.float32), 0.2, 0.006)


@pytest.fixture
def reshape(smile, smile_points, canonical, copy_of):
    """A function that renders the photo with its face-frame mesh changed by ``shape``."""

    def change(shape):
        frame = copy_of(smile)
        pose = fit_pose(smile_points[None], canonical)
        own = pose.to_face(smile_points[None])[0]
        collection = DonorCollection()
        collection.offer(frame, smile_points[:, :2], own, pose, measure_light(frame, smile_points))
        weight = influence(canonical)[:, None]
        mesh = (1 - weight) * own + weight * shape(own)
        target = pose.to_frame(mesh[None])[0, :, :2]
        layer = (WarpLayer(collection.donors[0].mouth, 1.0),)
        layers = MouthLayers(layer, layer)
        triangles = skin_triangles(open_lips(canonical, 0.2), influence(canonical))
        render_face(frame, smile_points[:, :2], target, float(pose.scale[0]), triangles, layers, GAP)
        return frame

    return change


def measured_opening(frame, landmarker, canonical) -> float:
    points = landmarker.find(frame)[0].landmarks[None, :MESH]
    return float(opening(fit_pose(points, canonical).to_face(points))[0])


def test_a_smile_is_closed(reshape, smile, landmarker, canonical, basis):
    assert measured_opening(smile, landmarker, canonical) > 0.08
    shut = reshape(lambda own: close_mouth(own, basis))
    assert measured_opening(shut, landmarker, canonical) < 0.04


def test_closed_lips_keep_no_colour_of_the_teeth(reshape, smile, smile_points, canonical, basis):
    frame = reshape(lambda own: close_mouth(own, basis))
    pose = fit_pose(smile_points[None], canonical)
    shut = pose.to_frame(close_mouth(pose.to_face(smile_points[None])[0], basis)[None])[0, :, :2]

    def redness(picture, points, numbers):
        x, y = np.rint(points[list(numbers)].T / 2).astype(int)
        return float(np.median(picture.v[y, x]))

    middle = (81, 82, 13, 312, 311)
    lips = (redness(smile, smile_points[:, :2], (38, 11, 268)) + redness(smile, smile_points[:, :2], (86, 15, 316))) / 2
    assert redness(frame, shut, middle) > lips - 3


def test_a_mouth_is_opened(reshape, smile, landmarker, canonical):
    wide = reshape(lambda own: open_lips(own, 0.15))
    assert measured_opening(wide, landmarker, canonical) > measured_opening(smile, landmarker, canonical) + 0.06


def test_pixels_outside_the_lower_face_are_unchanged(reshape, smile, smile_points):
    frame = reshape(close_lips)
    eyes = int(smile_points[[33, 263], 1].max()) + 4
    assert (frame.y[:eyes] == smile.y[:eyes]).all()
    assert (frame.u[: eyes // 2] == smile.u[: eyes // 2]).all()
    left = int(smile_points[:, 0].min()) - 40
    assert (frame.y[:, :left] == smile.y[:, :left]).all()
    assert (frame.y != smile.y).any()


def test_the_current_shape_changes_almost_nothing(reshape, smile, smile_points):
    frame = reshape(lambda own: own)
    change = np.abs(frame.y.astype(int) - smile.y)
    lower_edge = np.zeros(change.shape, np.uint8)  # tracked a little below the teeth, where the lip really begins
    cv2.polylines(lower_edge, [np.rint(smile_points[list(LIPS_INNER[10:]), :2]).astype(np.int32)], False, 1, 7)
    change[lower_edge > 0] = 0
    assert change.mean() < 0.02
    assert (change > 24).mean() < 1e-3


def test_a_smile_that_closes_shows_no_teeth(reshape, smile, smile_points):
    closed = reshape(close_lips)
    left, right = (smile_points[k, 0] for k in (81, 311))
    top, bottom = (smile_points[k, 1] for k in (13, 14))
    mouth = slice(int(top), int(bottom)), slice(int(left), int(right))
    assert (
        np.abs(np.diff(closed.y[mouth].astype(int), 2, axis=1)).mean()
        < 0.5 * np.abs(np.diff(smile.y[mouth].astype(int), 2, axis=1)).mean()
    )


@pytest.mark.parametrize(("unit", "step"), [(20, 1), (47, 2), (120, 4), (400, 8)])
def test_maps_are_coarser_on_larger_faces(unit, step):
    assert map_step(unit) == step


def test_a_face_outside_the_frame_changes_nothing(smile, smile_points, copy_of):
    frame = copy_of(smile)
    away = smile_points[:, :2] + 5000
    assert not render_face(frame, away, away + 3, 60.0, np.zeros((0, 3), np.int32), MouthLayers((), ()), GAP)
    assert (frame.y == smile.y).all()
