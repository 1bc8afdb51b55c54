"""A hold-out matte: the source's pixels of what is in front of the face, laid over the edit again.

The matte of cells is brought to the frame and fitted to the edges of its luma by a guided filter: He, Sun and Tang,
"Guided Image Filtering", ECCV 2010.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.rewrite.face_grid import FaceGrid
from lipsync.engines.rewrite.warp import Raster, with_ring
from lipsync.faces.geometry import JAW
from lipsync.frames.patch import NO_SECOND_MAP, box_around
from lipsync.types import Box, Float32, Frame, Plane

GUIDE_RADIUS: Final = 0.07  # eye distances
GUIDE_NOISE: Final = 0.02  # of full luma: smaller differences are no edge
MAP_SPACING: Final = 24.0  # the map has one node in (eye distance / MAP_SPACING) pixels
SURE: Final = 0.8  # matte from which the face is painted behind; at the edge it would remain visible
GRAPHICS_LUMA, GRAPHICS_CHROMA = 45.0, 18.0  # 8-bit code values off the face's colour
NEAR_CELLS: Final = np.ones((7, 7), np.uint8)  # around the mouth and what is covered, where letters may end
GRAPHICS_SURE, GRAPHICS_SHARE = 0.5, 0.2  # matte of cells that letters have; the least share of a part with it
EDGE_GAIN: Final = 2.0  # steepness of the matte after the filter


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A part of the frame before the edit: its planes, and ``matte`` (h, w) in 0..1, how much of each pixel to keep."""

    box: Box
    matte: Float32
    planes: tuple[Plane, Plane, Plane]

    def restore(self, frame: Frame) -> None:
        """Lay the kept pixels over the frame."""
        _mix(_parts(frame, self.box), self.planes, self.matte)


def hold_out(
    frame: Frame,
    points: Float32,
    matte: Float32,
    behind: Float32 | None,
    grid: FaceGrid,
    unit: float,
    *,
    letters: bool = False,
) -> HeldOut | None:
    """Keep the pixels of an unedited frame under a ``matte`` of cells (SIDE, SIDE); None outside the frame.

    ``behind`` (SIDE, SIDE, 3): Y'CbCr in 8-bit code values, which takes the place of those pixels in the frame, so that
    their colour does not enter the edit. ``points`` (468, 2): the mesh in pixels. ``unit``: the eye distance in pixels.
    ``letters``: hold letters and logos to the pixel.
    """
    ringed = with_ring(points)
    box = box_around(np.concatenate([ringed[len(points) :], points[list(JAW)]]), 2, frame)
    if box is None:
        return None
    raster, cells = _raster_of(ringed, box, grid, unit)
    luma = np.asarray(frame.y[box.luma], np.float32) / np.float32((1 << frame.depth) - 1)
    spread = _in_frame(matte, cells, raster)
    fitted = guided_filter(luma, spread, max(1, round(GUIDE_RADIUS * unit)))
    steep = np.clip((fitted - 0.5) * EDGE_GAIN + 0.5, 0, 1).astype(np.float32)
    planes = frame.y[box.luma].copy(), frame.u[box.chroma].copy(), frame.v[box.chroma].copy()
    if behind is not None:
        code = np.float32(1 << (frame.depth - 8))
        face = _in_frame(behind * code, cells, raster)
        half = ((box.width + 1) // 2, (box.height + 1) // 2)
        chroma = [np.asarray(cv2.resize(face[..., c], half, interpolation=cv2.INTER_AREA), np.float32) for c in (1, 2)]
        if letters:
            around = cv2.dilate(np.maximum(matte, grid.mouth.astype(np.float32)), NEAR_CELLS)
            near = _in_frame(np.asarray(around, np.float32), cells, raster)
            steep = np.maximum(steep, _graphics(planes, [face[..., 0], *chroma], spread, near, code))
        _mix(_parts(frame, box), [face[..., 0], *chroma], np.clip((steep - SURE) / (1 - SURE), 0, 1))
    return HeldOut(box, steep, planes)


def painted(patch: Plane, points: Float32, matte: Float32, behind: Float32, grid: FaceGrid, unit: float) -> Plane:
    """A mouth's image (h, w, 3), Y'CbCr code values, without what covers it.

    ``points`` (468, 2): the mesh in pixels of the patch; the others as in ``hold_out``.
    """
    height, width = patch.shape[:2]
    raster, cells = _raster_of(with_ring(points), Box(0, 0, width, height), grid, unit)
    code = np.float32(1 if patch.dtype == np.uint8 else 4)
    spread, face = _in_frame(matte, cells, raster), _in_frame(behind * code, cells, raster)
    planes, usual = (np.moveaxis(image, -1, 0) for image in (patch, face))
    share = np.maximum(spread, _graphics(planes, usual, spread, np.ones_like(spread), code))
    return cast(Plane, np.rint(patch + (face - patch) * share[..., None]).astype(patch.dtype))


def _raster_of(ringed: Float32, box: Box, grid: FaceGrid, unit: float) -> tuple[Raster, Float32]:
    """The raster of the mesh and its ring in a box, and the cell at each of its nodes, (rows, columns, 2)."""
    raster = Raster(ringed, grid.all_triangles, box, max(1, int(unit / MAP_SPACING)))
    x, y = raster.grid()
    return raster, (np.stack(np.broadcast_arrays(x, y), -1) + raster.shifts_from(grid.points)).astype(np.float32)


def _graphics(
    planes: Iterable[NDArray[np.generic]], face: Iterable[Float32], spread: Float32, near: Float32, code: np.float32
) -> Float32:
    """Where letters and logos are, whose colours are far from the face's: 0..1 at each pixel of the luma.

    A part of them that reaches out of what is covered (``spread``), as into the open mouth, belongs to them, but only
    in their rows and ``near`` the mouth. A border of one pixel takes in their antialiased edges.
    """
    luma, blue, red = (
        cv2.absdiff(np.asarray(plane, np.float32), usual) / code for plane, usual in zip(planes, face, strict=True)
    )
    coloured = (np.maximum(blue, red) > GRAPHICS_CHROMA).astype(np.uint8)
    far = (luma > GRAPHICS_LUMA) | (cv2.resize(coloured, luma.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)
    far &= near > GRAPHICS_SURE
    sure = far & (spread > GRAPHICS_SURE)
    rows = np.flatnonzero(sure.any(1))
    if not len(rows):
        return np.zeros_like(spread)
    far[: rows[0]] = far[rows[-1] + 1 :] = False
    count, parts = cv2.connectedComponents(far.astype(np.uint8), connectivity=8)
    sizes, surely = (np.bincount(parts[some], minlength=count) for some in (far, sure))
    held = (surely > GRAPHICS_SHARE * sizes)[parts] & far
    return np.asarray(cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8)), np.float32)


def _in_frame(values: Float32, cells: Float32, raster: Raster) -> Float32:
    """Values of cells (SIDE, SIDE) or (SIDE, SIDE, c) at each pixel of the raster's box."""
    nodes = cv2.remap(values, cells, NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    size = (nodes.shape[1] * raster.step, nodes.shape[0] * raster.step)
    full = cv2.resize(nodes, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[: raster.box.height, : raster.box.width], np.float32)


def _parts(frame: Frame, box: Box) -> tuple[Plane, Plane, Plane]:
    return frame.y[box.luma], frame.u[box.chroma], frame.v[box.chroma]


def _mix(parts: Sequence[Plane], others: Sequence[NDArray[np.generic]], share: Float32) -> None:
    """Lay ``others`` over planes in place, as far as ``share`` (h, w) of the luma says."""
    for part, other in zip(parts, others, strict=True):
        rows, columns = part.shape
        weight = (
            share if share.shape == part.shape else cv2.resize(share, (columns, rows), interpolation=cv2.INTER_AREA)
        )
        mixed = part + (other.astype(np.float32) - part) * weight
        np.copyto(part, np.rint(mixed), casting="unsafe")


def guided_filter(guide: Float32, image: Float32, radius: int) -> Float32:
    """Smooth ``image`` (h, w) except across the edges of ``guide`` (h, w), 0..1."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Float32) -> Float32:
        return np.asarray(cv2.blur(values, size), np.float32)

    guide_mean, image_mean = mean(guide), mean(image)
    variance = np.maximum(mean(guide * guide) - guide_mean**2, 0)
    slope = (mean(guide * image) - guide_mean * image_mean) / (variance + GUIDE_NOISE**2)
    return np.asarray(mean(slope) * guide + mean(image_mean - slope * guide_mean), np.float32)
