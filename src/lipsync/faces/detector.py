"""Decode the output of the BlazeFace face detector.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019: anchors on two grids, six
key points for each face, and overlapping detections blended by score instead of suppressed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.region import Region
from lipsync.types import Float32

SIDE = 128  # pixels of the network's input
GRIDS = ((16, 2), (8, 6))  # (cells on a side, anchors in each cell)
MIN_SCORE = 0.5
SAME_FACE_OVERLAP = 0.3  # intersection over union from which two boxes are one face
REGION_SCALE = 2.0  # side of the square for the landmark network, in sides of the detected box


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected face: centre and size of its box in pixels, and its ``score``, 0..1.

    ``points`` (6, 2), in pixels: right eye, left eye, nose, mouth, right ear, left ear.
    """

    x: float
    y: float
    width: float
    height: float
    points: Float32
    score: float

    def region(self) -> Region:
        """Return the square in which the landmark network should look."""
        across = self.points[1] - self.points[0]
        angle = float(np.arctan2(across[1], across[0]))
        return Region(self.x, self.y, REGION_SCALE * max(self.width, self.height, 1.0), angle)


def anchors() -> Float32:
    """Return the centres of the 896 anchors: (896, 2), x, y in 0..1."""
    centres = []
    for cells, count in GRIDS:
        line = (np.arange(cells) + 0.5) / cells
        centres.append(np.repeat(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), count, axis=0))
    return np.concatenate(centres).astype(np.float32)


def decode(values: Float32, logits: Float32, centres: Float32) -> tuple[Float32, Float32]:
    """Decode the network's likely detections, best first.

    ``values`` (896, 16) and ``logits`` (896,): its outputs; ``centres`` from ``anchors``. Returns (n, 8, 2): centre,
    size and six points, in 0..1 of the input, and the scores (n,).
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    likely = np.flatnonzero(scores > MIN_SCORE)
    likely = likely[np.argsort(-scores[likely], kind="stable")]
    found = values[likely].reshape(-1, 8, 2) / SIDE
    found[:, [0, 2, 3, 4, 5, 6, 7]] += centres[likely, None]
    return found.astype(np.float32), scores[likely].astype(np.float32)


def blend(found: Float32, scores: Float32) -> list[tuple[Float32, float]]:
    """Average overlapping detections, weighted by their scores: a list of ((8, 2), best score)."""
    remaining = np.ones(len(found), bool)
    result = []
    for i in range(len(found)):
        if not remaining[i]:
            continue
        same = remaining & (overlap(found[i], found) > SAME_FACE_OVERLAP)
        same[i] = True
        remaining &= ~same
        weights = scores[same] / scores[same].sum()
        result.append((np.asarray(np.tensordot(weights, found[same], 1), np.float32), float(scores[i])))
    return result


def overlap(one: Float32, many: Float32) -> NDArray[np.float32]:
    """Intersection over union (n,) of one box with many; rows 0 and 1 of (8, 2) and (n, 8, 2) are centre and size."""
    low = np.maximum(one[0] - one[1] / 2, many[:, 0] - many[:, 1] / 2)
    high = np.minimum(one[0] + one[1] / 2, many[:, 0] + many[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(1)
    union = one[1].prod() + many[:, 1].prod(1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def in_frame(blended: Float32, score: float, matrix: Float32) -> Detection:
    """Convert a blended detection (8, 2) to pixels of the frame.

    ``matrix`` (2, 3): from pixels of the network's letterboxed input to pixels of the frame.
    """
    step = np.array([matrix[0, 0], matrix[1, 1]])
    points = (blended * SIDE - 0.5) * step + matrix[:, 2]
    size = blended[1] * SIDE * np.abs(step)
    return Detection(
        float(points[0, 0]), float(points[0, 1]), float(size[0]), float(size[1]), points[2:].astype(np.float32), score
    )
