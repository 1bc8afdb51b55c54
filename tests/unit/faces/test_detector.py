from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces.detector import anchors, blend, decode, in_frame


def box(x: float, y: float, size: float) -> np.ndarray:
    return np.array([[x, y], [size, size], *[[x, y]] * 6], np.float32)


def test_anchors_are_the_centres_of_their_cells():
    centres = anchors()
    assert centres.shape == (896, 2)
    assert centres[0] == pytest.approx([1 / 32, 1 / 32])
    assert centres[2] == pytest.approx([3 / 32, 1 / 32])
    assert centres[-1] == pytest.approx([15 / 16, 15 / 16])


def test_only_likely_detections_are_decoded_best_first():
    logits = np.full(896, -9, np.float32)
    logits[[5, 700]] = [1, 3]
    values = np.zeros((896, 16), np.float32)
    values[700, 2:4] = 32
    found, scores = decode(values, logits, anchors())
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert found[0, 0] == pytest.approx(anchors()[700])
    assert found[0, 1] == pytest.approx([0.25, 0.25])


def test_overlapping_detections_are_averaged_by_score_and_others_kept_apart():
    found = np.stack([box(0.30, 0.3, 0.2), box(0.34, 0.3, 0.2), box(0.8, 0.8, 0.1)])
    blended = blend(found, np.array([0.9, 0.6, 0.7], np.float32))
    assert len(blended) == 2
    assert blended[0][0][0, 0] == pytest.approx((0.9 * 0.30 + 0.6 * 0.34) / 1.5)
    assert blended[0][1] == pytest.approx(0.9)
    assert blended[1][0][0] == pytest.approx([0.8, 0.8])


def test_no_detections_blend_to_nothing():
    assert blend(np.zeros((0, 8, 2), np.float32), np.zeros(0, np.float32)) == []


def test_a_detection_is_mapped_to_the_frame():
    matrix = np.array([[10, 0, 4.5], [0, 10, -275.5]], np.float32)
    detection = in_frame(box(0.5, 0.5, 0.25), 0.8, matrix)
    assert (detection.x, detection.y) == pytest.approx((63.5 * 10 + 4.5, 63.5 * 10 - 275.5))
    assert detection.width == pytest.approx(320)
    assert detection.region().side == pytest.approx(640)
