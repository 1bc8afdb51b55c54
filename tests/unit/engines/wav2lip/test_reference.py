from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.wav2lip.crop import aligned_crop
from lipsync.engines.wav2lip.reference import MAX_REFERENCES, ClosedMouthReferences
from lipsync.faces.geometry import MESH
from lipsync.types import Shot


def opened(landmarks: np.ndarray, pixels: float, aside: float = 0.0) -> np.ndarray:
    other = landmarks.copy()
    other[14, 1] = other[13, 1] + pixels
    other[1, 0] += aside
    return other


def test_the_most_closed_mouth_of_the_nearest_turn_is_kept(moved, to_frame, landmarker):
    references, whole = ClosedMouthReferences(), Shot(0, 10)
    assert references.nearest(np.zeros((MESH, 2), np.float32), whole) is None
    landmarks = landmarker.find(to_frame(moved((160, 120), 1.6), 0))[0].landmarks
    crop = aligned_crop(landmarks)
    for index, (shade, gap, aside) in enumerate([(200, 9, 0), (100, 2, 0), (50, 5, 0), (20, 2, 40)]):
        references.offer(to_frame(np.full((240, 320, 3), shade, np.uint8), index), opened(landmarks, gap, aside), crop)
    number, reference = references.nearest(landmarks[:, :2], whole)
    assert number == 1
    assert reference.mean() * 255 == pytest.approx(100, abs=3)
    number, reference = references.nearest(opened(landmarks, 9, aside=40)[:, :2], whole)
    assert number == 3
    assert reference.mean() * 255 == pytest.approx(20, abs=3)
    assert references.nearest(landmarks[:, :2], Shot(1, 3))[0] == 1
    assert references.nearest(landmarks[:, :2], Shot(10, 20)) is None  # another shot's light would show


def test_closed_mouths_are_bounded_and_the_best_stay(moved, to_frame, landmarker):
    references = ClosedMouthReferences()
    frame = to_frame(np.full((240, 320, 3), 90, np.uint8), 0)
    landmarks = landmarker.find(to_frame(moved((160, 120), 1.6), 0))[0].landmarks
    crop = aligned_crop(landmarks)
    for index in range(0, 200_000, 100):
        gap = 1.0 if index == 77_700 else 6.0
        turned = opened(landmarks, gap, aside=index % 700 - 350)
        references.offer(replace(frame, index=index), turned, crop)
    assert len(references) <= MAX_REFERENCES
    best, _ = references.nearest(opened(landmarks, 3, aside=77_700 % 700 - 350)[:, :2], Shot(0, 200_000))
    assert best == 77_700
