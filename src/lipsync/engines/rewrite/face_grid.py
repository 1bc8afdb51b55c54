"""A grid of cells on the face: the colours of a frame in the coordinates of the mesh.

A cell keeps its place on the skin while the head turns and the jaw moves, so that the same cell can be compared from
frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.shape import open_lips
from lipsync.engines.rewrite.warp import Triangles, skin_triangles, with_ring
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER, MESH
from lipsync.frames.patch import NO_SECOND_MAP, box_around
from lipsync.types import Float32, Frame, Plane

SIDE: Final = 48  # cells
LEFT, TOP, RIGHT, BOTTOM = -0.66, -0.2, 0.66, 1.42  # of the grid in the canonical face frame, eye distances
LOWER_FACE: Final = 0.56  # its top, in the same unit
OPEN_GAP: Final = 0.2  # eye distances: opening of the mouth in the mesh that carries the grid
MIN_AREA: Final = 0.3  # of a triangle's own area, below which it turns away from the viewer
Cells = NDArray[np.bool_]  # (SIDE, SIDE)


@dataclass(frozen=True, slots=True)
class FaceColours:
    """The cells of one frame, with its ``index``.

    ``colours`` (SIDE, SIDE, 3): Y'CbCr in 8-bit code values. ``visible`` (SIDE, SIDE): cells turned to the viewer.
    """

    index: int
    colours: NDArray[np.uint8]
    visible: Cells


class FaceGrid:
    """The cells of the canonical face.

    ``points`` (468 + 21, 2): the mesh and its ring in cells. ``skin``: cells of skin and lips. ``lower``: those of the
    lower face, ``edge``: the outer ones of them. ``mouth``: cells within the outer lips, the inside included.
    ``nearest`` (SIDE, SIDE): for each cell the number of the nearest one of ``skin``. ``triangles`` (n, 3): of the
    mesh; ``all_triangles``: of the ring as well.
    """

    def __init__(self, canonical: Float32) -> None:
        opened = open_lips(canonical, OPEN_GAP)
        size = np.array([RIGHT - LEFT, BOTTOM - TOP], np.float32) / SIDE
        corner = np.array([LEFT, TOP], np.float32)
        self.points: Float32 = np.asarray((with_ring(opened[:, :2]) - corner) / size - np.float32(0.5), np.float32)
        self.all_triangles: Triangles = skin_triangles(opened, np.ones(MESH, np.float32))
        self.triangles = self.all_triangles[(self.all_triangles < MESH).all(1)]
        self._numbers, weights = self._locate()
        self._corners = np.moveaxis(self.triangles[self._numbers.clip(0)], -1, 0).copy()
        self._weights = np.moveaxis(weights, -1, 0).copy()
        inner, self.mouth = self._within(LIPS_INNER), self._within(LIPS_OUTER)
        near_inside = cv2.dilate(inner.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        self.skin: Cells = (self._numbers >= 0) & ~near_inside
        rows = np.arange(SIDE)[:, None] * size[1] + TOP
        self.lower: Cells = self.skin & (rows > LOWER_FACE)
        self._cells = np.flatnonzero(self.skin)
        near_mouth = cv2.dilate(self.mouth.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        inner_skin = cv2.erode(self.skin.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        self.edge: Cells = self.lower & ~inner_skin & ~near_mouth
        labels = cv2.distanceTransformWithLabels(
            (~self.skin).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )[1]
        of_label = np.zeros(int(labels.max()) + 1, np.int64)
        of_label[labels[self.skin]] = np.flatnonzero(self.skin)
        self.nearest = of_label[labels]
        self._areas = _areas(self.points[self.triangles])

    def sample(self, frame: Frame, points: Float32) -> FaceColours | None:
        """The colours at a mesh (468, >= 2) in pixels of the frame; None if the face is outside the frame."""
        x, y = ((np.take(along, self._corners) * self._weights).sum(0) for along in points[:, :2].T)
        skin_x, skin_y = x.ravel()[self._cells], y.ravel()[self._cells]
        extremes = np.array([(skin_x.min(), skin_y.min()), (skin_x.max(), skin_y.max())], np.float32)
        box = box_around(extremes, 2, frame)
        if box is None:
            return None
        step = max(1, round(float(np.sqrt(box.width * box.height)) / SIDE))
        places = np.asarray(cv2.merge([x - np.float32(box.left), y - np.float32(box.top)]), np.float32)
        planes = [_averaged(frame.y[box.luma], places, step)]
        half = np.asarray(places / 2, np.float32)
        planes += [_averaged(plane[box.chroma], half, max(1, round(step / 2))) for plane in (frame.u, frame.v)]
        colours = np.stack(planes, -1) / np.float32(1 << (frame.depth - 8))
        return FaceColours(frame.index, np.clip(np.rint(colours), 0, 255).astype(np.uint8), self._visible(points))

    def _visible(self, points: Float32) -> Cells:
        areas = _areas(points[:, :2][self.triangles]) / self._areas
        facing = areas > MIN_AREA * np.sort(areas)[len(areas) // 2]
        return np.asarray(self.skin & facing[self._numbers.clip(0)])

    def _locate(self) -> tuple[NDArray[np.int64], Float32]:
        """For each cell its triangle (SIDE, SIDE), -1 outside all, and the weights of its corners (SIDE, SIDE, 3)."""
        cells = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(np.float32).reshape(-1, 2)
        a, b, c = np.moveaxis(self.points[self.triangles], 1, 0)
        inverse = np.linalg.pinv(np.stack([b - a, c - a], 2))
        u, v = np.moveaxis((cells - a[:, None]) @ inverse.swapaxes(1, 2), -1, 0)  # (triangles, cells)
        inside = (u >= 0) & (v >= 0) & (u + v <= 1)
        found, first = inside.any(0), inside.argmax(0)
        u, v = (np.take_along_axis(share, first[None], 0)[0] for share in (u, v))
        weights = np.where(found[:, None], np.stack([1 - u - v, u, v], -1), 0)
        numbers = np.where(found, first, -1).reshape(SIDE, SIDE)
        return numbers, np.asarray(weights.reshape(SIDE, SIDE, 3), np.float32)

    def _within(self, outline: tuple[int, ...]) -> Cells:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(mask, [np.rint(self.points[list(outline)] * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        return np.asarray(mask > 0)


def _areas(triangles: Float32) -> Float32:
    """The signed doubled areas (n,) of triangles (n, 3, 2)."""
    (x1, y1), (x2, y2) = (triangles[:, 1] - triangles[:, 0]).T, (triangles[:, 2] - triangles[:, 0]).T
    return np.asarray(x1 * y2 - x2 * y1, np.float32)


def _averaged(plane: Plane, places: Float32, step: int) -> Float32:
    """The mean of ``step`` x ``step`` samples around ``places`` (SIDE, SIDE, 2), interpolated: (SIDE, SIDE)."""
    height, width = (max(1, n // step) for n in plane.shape)
    cut = plane[: height * step, : width * step]
    small = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA) if step > 1 else cut
    at = np.asarray((places + 0.5) / step - 0.5, np.float32)
    sampled = cv2.remap(small, at, NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)
