from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.dental_arch import (
    ABOVE,
    COLUMNS,
    LOWER_ROW,
    TEXTURE_SCALE,
    UPPER_ROW,
    build_wall,
    paint,
    view_wall,
)

SCALE = 200.0


def turned(yaw: float, pitch: float = 0.0):
    return cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))[0] @ cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0]


def view(row, rotation, scale: float = SCALE, light=None):
    light = np.ones(COLUMNS, np.float32) if light is None else light
    half = int(0.5 * scale)
    x, y = np.meshgrid(np.arange(-half, half, dtype=np.float32), np.arange(-half, half, dtype=np.float32))
    return view_wall(build_wall(row), rotation.astype(np.float32), np.zeros(2, np.float32), scale, light, x, y)


def extent(seen) -> tuple[int, int]:
    columns = np.flatnonzero((seen.coverage * seen.enamel > 0.5).any(0)) - seen.coverage.shape[1] // 2
    return int(columns.min()), int(columns.max())


@pytest.mark.parametrize(("row", "side"), [(UPPER_ROW, -1), (LOWER_ROW, 1)])
def test_the_teeth_end_at_the_line_of_the_edges_and_the_gum_is_beyond_them(row, side):
    seen = view(row, np.eye(3))
    middle = seen.coverage.shape[0] // 2
    column = slice(middle + 4, middle + 8)
    near, far, free = (middle + round(side * k * SCALE) for k in (0.05, 0.2, -0.05))
    assert seen.coverage[near, column].min() > 0.9
    assert seen.enamel[near, column].min() > 0.9
    assert seen.enamel[far, column].max() < 0.1
    assert seen.coverage[free, column].max() == 0


def test_a_turned_head_shows_more_of_one_side_and_no_teeth_that_face_away():
    left, right = extent(view(UPPER_ROW, np.eye(3)))
    assert abs(left + right) <= 2
    seen = view(UPPER_ROW, turned(np.radians(35)))
    left, right = extent(seen)
    assert abs(left + right) > 0.08 * SCALE
    away = (build_wall(UPPER_ROW).normals @ turned(np.radians(35))[2] > 0.03).astype(np.float32)
    lit = view(UPPER_ROW, turned(np.radians(35)), light=away)
    assert lit.light[lit.coverage > 0.5].max() < 0.1


def test_there_is_a_tooth_of_each_width_on_both_sides():
    row = paint(UPPER_ROW)[round((ABOVE - 0.04) * TEXTURE_SCALE), :, 0]
    gaps = np.flatnonzero((row[1:-1] < row[:-2]) & (row[1:-1] <= row[2:])) / TEXTURE_SCALE - sum(UPPER_ROW.widths)
    borders = np.cumsum(UPPER_ROW.widths)[:-1]
    assert np.sort(np.concatenate([-borders, [0], borders])) == pytest.approx(gaps, abs=0.012)


def test_the_light_on_a_place_of_the_arch_is_seen_there():
    light = np.zeros(COLUMNS, np.float32)
    light[: COLUMNS // 2] = 1
    seen = view(UPPER_ROW, np.eye(3), light=light)
    middle = seen.light.shape[1] // 2
    assert seen.light[:, : middle - 4][seen.coverage[:, : middle - 4] > 0.9].min() > 0.4
    assert seen.light[:, middle + 4 :].max() < 0.01


def test_small_faces_get_smoothed_teeth():
    near, far = view(UPPER_ROW, np.eye(3), 400), view(UPPER_ROW, np.eye(3), 30)
    contrast = [float(np.ptp(seen.light[(seen.enamel > 0.9) & (seen.coverage > 0.9)])) for seen in (near, far)]
    assert contrast[1] < contrast[0]
