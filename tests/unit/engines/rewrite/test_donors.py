from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from lipsync.engines.rewrite.donors import DonorCollection
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import Pose

AHEAD = np.eye(3, dtype=np.float32)[None]
LIGHT = Light(np.array([0.7, 0.5, 0.4], np.float32), 16, 128)


def pose(unit: float = 60.0) -> Pose:
    return Pose(np.array([unit], np.float32), AHEAD, np.zeros((1, 3), np.float32))


def placed(mesh, unit: float = 60.0):
    return (mesh[:, :2] * unit + (64, 20)).astype(np.float32)


def test_different_mouths_are_kept_and_repeats_dropped(grey, canonical):
    collection = DonorCollection()
    for gap in (0.0, 0.0, 0.1, 0.1, 0.2, 0.0):
        mesh = open_lips(canonical, gap)
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert [round(d.gap, 1) for d in collection.donors] == [0.0, 0.1, 0.2]


def test_the_number_of_donors_is_bounded(grey, canonical):
    collection = DonorCollection(limit=10)
    for gap in np.linspace(0, 0.4, 100):
        mesh = open_lips(canonical, float(gap))
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert 3 <= len(collection.donors) <= 10
    assert max(d.gap for d in collection.donors) > 0.3


def test_the_size_of_the_donors_is_bounded(grey, canonical):
    collection = DonorCollection(limit_bytes=100_000)
    for gap in np.linspace(0, 0.4, 60):
        mesh = open_lips(canonical, float(gap))
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert 0 < sum(d.mouth.patch.nbytes for d in collection.donors) <= 100_000


def test_the_sharper_of_two_similar_mouths_is_kept(grey, canonical, copy_of):
    blurred, other = copy_of(grey), open_lips(canonical, 0.2)
    blurred.y[:] = cv2.GaussianBlur(grey.y, (0, 0), 3)
    for first, second in ((blurred, grey), (grey, blurred)):
        collection = DonorCollection()
        for shape in (other, open_lips(canonical, 0.3)):
            collection.offer(grey, placed(shape), shape, pose(), LIGHT)
        for frame in (first, second):
            collection.offer(frame, placed(canonical), canonical, pose(), LIGHT)
        assert len(collection.donors) == 3
        closed = min(collection.donors, key=lambda donor: donor.gap)
        sharp, soft = (cv2.Laplacian(frame.y, cv2.CV_32F).std() for frame in (grey, blurred))
        assert cv2.Laplacian(closed.mouth.patch[..., 0].copy(), cv2.CV_32F).std() > (sharp + soft) / 2


def test_the_same_mouth_in_another_light_or_size_is_kept_too(grey, canonical):
    collection = DonorCollection()
    dim = replace(LIGHT, rgb=LIGHT.rgb * np.float32(0.5))
    collection.offer(grey, placed(canonical), canonical, pose(), LIGHT)
    collection.offer(grey, placed(canonical), canonical, pose(), dim)
    collection.offer(grey, placed(canonical, 30.0), canonical, pose(30.0), LIGHT)
    assert len(collection.donors) == 3


def test_a_mouth_outside_the_frame_is_skipped(grey, canonical):
    collection = DonorCollection()
    collection.offer(grey, placed(canonical) + 1000, canonical, pose(), LIGHT)
    assert not collection.donors
