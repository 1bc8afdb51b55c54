from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.appearance import (
    Appearance,
    black_of,
    blur_and_grain,
    enamel_colour,
    light_gradient,
    mean_appearance,
    measure_appearance,
    shading,
    vertex_normals,
)
from lipsync.faces.geometry import fit_pose


@pytest.fixture(scope="module")
def normals(canonical, basis):
    return vertex_normals(canonical, basis.triangles)


def test_normals_point_out_of_the_face(normals):
    assert normals[4, 2] < -0.9  # the tip of the nose, towards the viewer
    assert normals[50, 0] < -0.4
    assert normals[280, 0] > 0.4
    assert normals[152, 1] > 0.5  # the chin


def test_the_colours_of_a_photo_are_plausible(smile, smile_points, canonical, normals):
    pose = fit_pose(smile_points[None], canonical)
    seen = measure_appearance(smile, smile_points, pose, normals)
    assert 150 < seen.skin[0] < 220
    assert seen.lips[0] < seen.skin[0] <= seen.enamel[0]
    assert abs(seen.enamel[2] - 128) < abs(seen.skin[2] - 128)
    assert 0 < seen.blur * pose.scale[0] < 3
    assert mean_appearance([seen, seen]).skin == pytest.approx(seen.skin)


@pytest.mark.parametrize("by", [5000, -5000])
def test_a_face_out_of_view_can_be_measured(smile, smile_points, canonical, normals, by):
    away = smile_points + np.float32(by)
    seen = measure_appearance(smile, away, fit_pose(away[None], canonical), normals)
    assert all(np.isfinite(getattr(seen, part)).all() for part in Appearance.__slots__)


def test_light_from_the_side_is_found_in_spite_of_hair(normals):
    chosen = normals[normals[:, 2] < -0.3]
    values = 100 * (1 + 0.3 * chosen[:, 0])
    values[::7] = 10
    light = light_gradient(values.astype(np.float32), chosen)
    assert light[0] == pytest.approx(0.3, abs=0.08)
    assert np.abs(light[1:]).max() < 0.1
    bright, dark = shading(light, np.array([[0.7, 0, -0.7], [-0.7, 0, -0.7]], np.float32))
    assert bright > 1.1
    assert dark < 0.9


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_blur_and_grain_are_measured(smile_points, sigma):
    rng = np.random.default_rng(0)
    points = (smile_points[:, :2] - smile_points[:, :2].min(0)) * 4 + 40
    size = points.max(0).astype(int) + 40
    across = np.zeros((size[1], size[0]), np.float32)
    for ring in (points[[61, 0, 291, 17]], points[[33, 159, 133, 145]], points[[263, 386, 362, 374]]):
        cv2.fillPoly(across, [ring.astype(np.int32)], 1)
    image = 160 - 90 * cv2.GaussianBlur(across, (0, 0), sigma) + 0.8 * rng.standard_normal(across.shape)
    blur, grain = blur_and_grain(np.clip(image, 0, 255).astype(np.uint8), points, 220.0)
    assert blur == pytest.approx(sigma, rel=0.35)
    assert grain == pytest.approx(0.8, abs=0.2)


def test_teeth_beside_dark_skin_are_as_bright_as_the_eyes_suggest():
    dark, light = np.array([80, 114, 145], np.float32), np.array([180, 118, 143], np.float32)
    black = np.array([16, 128, 128], np.float32)
    assert enamel_colour(dark, 120, black)[0] > 125
    assert enamel_colour(light, 60, black)[0] > 175
    assert enamel_colour(light * 4, 600, black * 4) == pytest.approx(enamel_colour(light, 150, black) * 4, rel=1e-5)


def test_black_depends_on_the_range_and_the_depth(smile):
    full = replace(smile, depth=10, colour=replace(smile.colour, full_range=True))
    assert black_of(smile) == pytest.approx([16, 128, 128])
    assert black_of(full) == pytest.approx([0, 512, 512])
