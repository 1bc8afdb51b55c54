"""Finding faces in a picture: what the BlazeFace network's numbers mean.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019: anchors on two grids, six
key points for each face, and overlapping answers blended by their scores instead of dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipsync.faces.region import Region
from lipsync.types import Float32

SIDE = 128  # pixels of the network's input
GRIDS = ((16, 2), (8, 6))  # (cells on a side, anchors in each cell)
ENOUGH = 0.5
SAME = 0.3  # intersection over union from which two boxes are one face
BOX_ROOM = 2.0  # side of the square for the landmark network, in sides of the detected box


@dataclass(frozen=True, slots=True)
class Detection:
    """A face's box in pixels, its ``score`` 0..1 and ``points`` (6, 2): right eye, left eye, nose, mouth, ears."""

    x: float
    y: float
    width: float
    height: float
    points: Float32
    score: float

    def region(self) -> Region:
        """Where the landmark network should look."""
        across = self.points[1] - self.points[0]
        angle = float(np.arctan2(across[1], across[0]))
        return Region(self.x, self.y, BOX_ROOM * max(self.width, self.height, 1.0), angle)


def anchors() -> Float32:
    """Centres of the 896 anchors, (896, 2) in 0..1."""
    found = []
    for cells, count in GRIDS:
        line = (np.arange(cells) + 0.5) / cells
        centres = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        found.append(np.repeat(centres, count, axis=0))
    return np.concatenate(found).astype(np.float32)


def decode(values: Float32, logits: Float32, centres: Float32) -> tuple[Float32, Float32]:
    """The network's answers that are likely faces, best first: (n, 8, 2) of centre, size and six points in 0..1, (n,)
    scores. ``values`` (896, 16), ``logits`` (896,), ``centres`` from ``anchors``."""
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    likely = np.flatnonzero(scores > ENOUGH)
    likely = likely[np.argsort(-scores[likely], kind="stable")]
    found = values[likely].reshape(-1, 8, 2) / SIDE
    found[:, [0, 2, 3, 4, 5, 6, 7]] += centres[likely, None]
    return found.astype(np.float32), scores[likely].astype(np.float32)


def blend(found: Float32, scores: Float32) -> list[tuple[Float32, float]]:
    """Overlapping answers as one each, weighted by their scores: [((8, 2), best score)]."""
    left = np.ones(len(found), bool)
    result = []
    for i in range(len(found)):
        if not left[i]:
            continue
        same = left & (overlap(found[i], found) > SAME)
        same[i] = True
        left &= ~same
        weights = scores[same] / scores[same].sum()
        result.append((np.asarray(np.tensordot(weights, found[same], 1), np.float32), float(scores[i])))
    return result


def overlap(one: Float32, many: Float32) -> NDArray[np.float32]:
    """Intersection over union of a box with many: rows 0 and 1 of (8, 2) and (n, 8, 2) are centre and size."""
    low = np.maximum(one[0] - one[1] / 2, many[:, 0] - many[:, 1] / 2)
    high = np.minimum(one[0] + one[1] / 2, many[:, 0] + many[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(1)
    union = one[1].prod() + many[:, 1].prod(1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def in_picture(blended: Float32, score: float, matrix: Float32) -> Detection:
    """A blended answer (8, 2) in 0..1 of a letterboxed square, in pixels of the picture that it was cut from."""
    step = np.array([matrix[0, 0], matrix[1, 1]])
    points = (blended * SIDE - 0.5) * step + matrix[:, 2]
    size = blended[1] * SIDE * step
    return Detection(
        float(points[0, 0]), float(points[0, 1]), float(size[0]), float(size[1]), points[2:].astype(np.float32), score
    )
