from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.jaws import TEETH_BEHIND_LIPS, measure_jaws
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, Pose


def turned(yaw: float, unit: float, x: float, y: float) -> Pose:
    rotation = cv2.Rodrigues(np.array([0.1, yaw, 0.2]))[0]
    return Pose(np.array([unit], np.float32), rotation[None].astype(np.float32), np.array([[x, y, 0]], np.float32))


def tooth_of(mesh):
    return np.array([0.08, mesh[13, 1] + 0.03, mesh[list(LIPS_INNER), 2].mean() + TEETH_BEHIND_LIPS], np.float32)


def through(map_, point):
    return map_[:, :2] @ point + map_[:, 2]


def test_a_tooth_maps_to_itself_between_heads_that_are_turned_differently(canonical):
    mesh = open_lips(canonical, 0.2)
    target, donor = turned(0.3, 80, 300, 200), turned(-0.2, 130, 50, 40)
    maps = measure_jaws(target, mesh).maps_to(measure_jaws(donor, mesh, 10, 20))
    here, there = (pose.to_frame(tooth_of(mesh)[None])[0, 0, :2] for pose in (target, donor))
    assert through(maps.upper, here) == pytest.approx(there - (10, 20), abs=0.05)
    assert through(maps.lower, here) == pytest.approx(there - (10, 20), abs=0.05)


def test_only_the_lower_jaw_follows_the_lower_lip(canonical):
    pose = turned(0.0, 100, 0, 0)
    closed, opened = open_lips(canonical, 0.05), open_lips(canonical, 0.25)
    maps = measure_jaws(pose, opened).maps_to(measure_jaws(pose, closed))
    lip_here, lip_there = (pose.to_frame(mesh[None])[0, 14, :2] for mesh in (opened, closed))
    assert maps.upper == pytest.approx(np.eye(2, 3), abs=1e-3)
    assert through(maps.lower, lip_here) == pytest.approx(lip_there, abs=2)


def test_the_distance_below_the_teeth_is_measured_along_the_face(canonical):
    pose = turned(0.3, 80, 300, 200)
    jaws = measure_jaws(pose, canonical)
    tooth = tooth_of(canonical)
    donor = type(jaws)(jaws.skull, jaws.lower, float(tooth[1]), jaws.top)
    places = np.stack([tooth, tooth + np.array([0, 0.1, 0], np.float32)])
    at, lower = pose.to_frame(places[None])[0, :, :2]
    below = jaws.maps_to(donor).below
    assert below @ np.append(at, 1) == pytest.approx(0, abs=1e-3)
    assert below @ np.append(lower, 1) == pytest.approx(0.1, abs=1e-3)
    assert jaws.height(np.stack([at, lower])) == pytest.approx([tooth[1], tooth[1] + 0.1], abs=1e-3)
