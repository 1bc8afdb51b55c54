"""Move the head of a photo a little: one smooth warp of head, neck and the background around them.

The head turns about the neck as a body with depth; towards the shoulders and the background the motion fades out over
a wide ring, so that nothing tears and straight lines bend imperceptibly. The displacement is linear in the motion: one
field per kind of motion, on a coarse grid, computed once per photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.faces.geometry import Pose
from lipsync.faces.smoothed_faces import FrameFace
from lipsync.frames.patch import NO_SECOND_MAP
from lipsync.liveliness.sway import EXCURSION
from lipsync.types import Box, Float32, Frame, Plane

# In eye distances, in the face frame.
NECK: Final = (0.0, 2.0, 0.75)  # the point about which the head turns
SKULL_MIDDLE, SKULL_RADII = (0.0, 0.0, 0.75), (1.05, 1.5)  # the head's outline: an ellipse at the depth of the ears
HEAD_MIDDLE, HEAD_RADII = (0.0, 0.1, 0.4), (1.2, 1.75)  # an ellipse that moves as one, with hair and ears
FADE_RADIUS: Final = 2.0  # radii of that ellipse at which the motion has faded out
EDGE_FADE: Final = 0.9  # over which motion across a side of the picture fades out towards it
DEPTH_SOFTNESS: Final = 0.15  # radius over which the depth of the mesh is averaged
NODES_PER_UNIT: Final = 12  # of the grid, per eye distance
MAX_STRAIN: Final = 0.2  # largest change of length in the picture
BAND_ROWS: Final = 8  # of the grid that are warped at once
STILL_PIXELS: Final = 0.05  # a smaller displacement does not show
BLACK: Final = (28, 12)  # largest luma of black bars, in limited and in full range, at 8 bits
BAR_SPECKS: Final = 0.01  # share of their pixels that may be brighter
MESH_STEP: Final = 3  # every third point suffices for the depth


@dataclass(frozen=True, slots=True)
class HeadWarp:
    """The displacement of a photo's pixels by the motion of the head.

    ``box``: the part of the picture that moves, even. ``fields`` (5, rows, columns, 2): displacement in pixels per unit
    of each motion in ``sway.EXCURSION``, at the nodes of a grid of ``step`` pixels whose first node is half a step
    outside ``box``. ``bands``: the parts of ``box`` that move visibly.
    """

    box: Box
    fields: Float32
    step: int
    bands: tuple[Box, ...]

    def apply(self, frame: Frame, motion: Float32) -> None:
        """Move the head by ``motion`` (5,), in place."""
        nodes = self._nodes(motion)
        self._move([frame.y[self.box.luma]], nodes, 1, cv2.INTER_CUBIC)
        self._move([plane[self.box.chroma] for plane in (frame.u, frame.v)], nodes, 2, cv2.INTER_LINEAR)
        if frame.alpha is not None:
            self._move([frame.alpha[self.box.luma]], nodes, 1, cv2.INTER_LINEAR)

    def source_maps(self, motion: Float32) -> tuple[Float32, Float32]:
        """The positions in the box's planes from which its luma and chroma come: (h, w, 2) each, x, then y."""
        nodes, whole = self._nodes(motion), Box(0, 0, self.box.width, self.box.height)
        return self._map(nodes, whole, 1), self._map(nodes, whole, 2)

    def _move(self, planes: Sequence[Plane], nodes: Float32, scale: int, interpolation: int) -> None:
        """Move planes whose samples are ``scale`` pixels apart, in place; band by band, as maps take much memory."""
        moved: list[tuple[Plane, Plane]] = []
        for band in self.bands:
            source = self._map(nodes, band, scale)
            for plane in planes:
                pixels = cv2.remap(plane, source, NO_SECOND_MAP, interpolation, None, cv2.BORDER_REPLICATE)
                moved.append((plane[band.luma if scale == 1 else band.chroma], cast(Plane, pixels)))
        for place, pixels in moved:
            place[:] = pixels

    def _nodes(self, motion: Float32) -> Float32:
        """The position in the box from which each node comes: (rows, columns, 2)."""
        shift = np.tensordot(motion, self.fields, 1)
        return np.asarray(_node_positions(shift.shape, self.step) - shift, np.float32)

    def _map(self, nodes: Float32, band: Box, scale: int) -> Float32:
        """Interpolate ``nodes`` to the samples of a band: their positions in the plane, (h, w, 2)."""
        rows, columns = ((band.top, band.bottom), (band.left, band.right))
        part = nodes[tuple(slice(low // self.step, -(-high // self.step) + 2) for low, high in (rows, columns))]
        if scale > 1:
            part = np.asarray((part - (scale - 1) / 2) / scale, np.float32)
        step, size = self.step // scale, (band.height // scale, band.width // scale)
        full = cv2.resize(part, (part.shape[1] * step, part.shape[0] * step), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full[step : step + size[0], step : step + size[1]], np.float32)


def head_warp(frame: Frame, face: FrameFace) -> HeadWarp | None:
    """Measure how the head of ``face`` moves in the picture of ``frame``; None if too little of it can."""
    unit = float(face.pose.scale[0])
    step = max(2, round(unit / NODES_PER_UNIT / 2) * 2)
    picture = picture_box(frame)
    box = _reach(face.pose, unit, picture)
    if box.width < 4 * step or box.height < 4 * step:
        return None
    rows, columns = (-(-n // step) + 2 for n in (box.height, box.width))
    nodes = _node_positions((rows, columns), step) + np.array([box.left, box.top], np.float32)
    depth = _depth(face, nodes.reshape(-1, 2)).reshape(rows, columns)
    fields = _fields(face.pose, nodes, depth) * _fade(face.pose, nodes)[..., None] * _edge_fade(nodes, unit, picture)
    fields = np.asarray(fields * min(1.0, MAX_STRAIN / max(max_strain(fields, step), 1e-6)), np.float32)
    return HeadWarp(box, fields, step, tuple(_bands(fields, step, box)))


def max_strain(fields: Float32, step: int) -> float:
    """The largest change of length that the ``fields`` (5, rows, columns, 2) can cause."""
    down, across = np.gradient(fields, step, axis=(1, 2))
    excursion = np.array(EXCURSION)[:, None, None, None]
    strains = (np.abs(gradient * excursion).sum(0).max() for gradient in (down, across))
    return float(max(strains))


def _bands(fields: Float32, step: int, box: Box) -> Iterator[Box]:
    """Rectangles in ``box``, one below the other, around all nodes of ``fields`` that move visibly."""
    excursion = np.array(EXCURSION, np.float32)[:, None, None, None]
    moves = (np.abs(fields) * excursion).sum(0).max(-1) > STILL_PIXELS
    inside = Box(0, 0, box.width, box.height)
    for first in range(0, len(moves), BAND_ROWS):
        columns = np.flatnonzero(moves[max(first - 1, 0) : first + BAND_ROWS + 1].any(0))
        top, bottom = (first - 1) * step, (first - 1 + BAND_ROWS) * step
        if len(columns) and top < box.height:
            left, right = (int(columns[0]) - 2) * step, (int(columns[-1]) + 1) * step
            yield Box(left, top, right, bottom).intersection(inside)


def picture_box(frame: Frame) -> Box:
    """The part of the frame inside black bars."""
    height, width = frame.y.shape
    black = BLACK[frame.colour.full_range] << (frame.depth - 8)
    columns = np.flatnonzero((frame.y > black).mean(0) > BAR_SPECKS)
    rows = np.flatnonzero((frame.y > black).mean(1) > BAR_SPECKS)
    if not len(columns) or not len(rows):
        return Box(0, 0, width, height)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _reach(pose: Pose, unit: float, picture: Box) -> Box:
    """The even box around all that moves."""
    middle = pose.to_frame(np.array([HEAD_MIDDLE], np.float32))[0, 0]
    across, along = FADE_RADIUS * HEAD_RADII[0] * unit, FADE_RADIUS * HEAD_RADII[1] * unit
    turn = np.abs(pose.rotation[0, :2, :2])
    half = turn @ [across, along]
    low, high = np.floor(middle[:2] - half).astype(int), np.ceil(middle[:2] + half).astype(int)
    inside = Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])).intersection(picture)
    return Box((inside.left + 1) // 2 * 2, (inside.top + 1) // 2 * 2, inside.right // 2 * 2, inside.bottom // 2 * 2)


def _fields(pose: Pose, nodes: Float32, depth: Float32) -> Float32:
    """Displacement (5, rows, columns, 2) of the nodes, as if all of the picture were part of the head."""
    neck = pose.to_frame(np.array([NECK], np.float32))[0, 0]
    arm = np.concatenate([nodes, depth[..., None]], -1) - neck
    across, down, away = pose.rotation[0].T
    unit = pose.scale[0]
    turns = [np.cross(axis, arm)[..., :2] for axis in (down, across, away)]
    shifts = [np.broadcast_to(axis[:2] * unit, nodes.shape) for axis in (across, down)]
    return np.asarray(np.stack([*turns, *shifts]), np.float32)


def _depth(face: FrameFace, positions: Float32) -> Float32:
    """Depth in pixels at ``positions`` (n, 2): that of the mesh, and of the head's outline and all outside it.

    Inverse distance weighting (Shepard, "A two-dimensional interpolation function for irregularly-spaced data", ACM
    National Conference, 1968), smooth at the points.
    """
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(angles) * SKULL_RADII[0], np.sin(angles) * SKULL_RADII[1], np.zeros(48)], 1)
    rings = [np.array(SKULL_MIDDLE) + circle * share for share in (1.0, 1.5, 2.2)]
    points = np.concatenate([face.mesh[::MESH_STEP], *rings]).astype(np.float32)
    known = face.pose.to_frame(points)[0]
    softness = (DEPTH_SOFTNESS * float(face.pose.scale[0])) ** 2
    squared = (positions[:, :1] - known[:, 0]) ** 2 + (positions[:, 1:] - known[:, 1]) ** 2
    weights = 1 / np.square(squared + softness)
    return np.asarray(weights @ known[:, 2] / weights.sum(1), np.float32)


def _fade(pose: Pose, nodes: Float32) -> Float32:
    """How much each node moves with the head: 1 on it, 0 far away."""
    middle = pose.to_frame(np.array([HEAD_MIDDLE], np.float32))[0, 0, :2]
    upright = pose.rotation[0, :2, 1] / np.linalg.norm(pose.rotation[0, :2, 1])
    offset = (nodes - middle) / pose.scale[0]
    along, across = offset @ upright, offset @ np.array([upright[1], -upright[0]], np.float32)
    radius = np.hypot(across / HEAD_RADII[0], along / HEAD_RADII[1])
    return _smootherstep((FADE_RADIUS - radius) / (FADE_RADIUS - 1))


def _edge_fade(nodes: Float32, unit: float, picture: Box) -> Float32:
    """How much of the motion across a side of the picture is left near it: (rows, columns, 2), for x and y."""
    first, last = (picture.left, picture.top), (picture.right - 1, picture.bottom - 1)
    distance = np.minimum(nodes - np.array(first, np.float32), np.array(last, np.float32) - nodes)
    return _smootherstep(distance / (EDGE_FADE * unit))


def _smootherstep(x: NDArray[np.floating]) -> Float32:
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (x * (6 * x - 15) + 10), np.float32)


def _node_positions(shape: tuple[int, ...], step: int) -> Float32:
    """Positions (rows, columns, 2) of a grid's nodes, the first half a step outside the origin."""
    rows, columns = ((np.arange(n, dtype=np.float32) - 0.5) * step - 0.5 for n in shape[:2])
    return np.stack(np.broadcast_arrays(columns[None], rows[:, None]), -1)
