"""Render one frame: its own skin warped to the new shape, and a donor's mouth between the lips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lipsync.engines.rewrite.mouth import Lips, Mouth, measure_lips, warp_inside
from lipsync.engines.rewrite.warp import STILL_PIXELS, Raster, Triangles, with_ring
from lipsync.faces.geometry import LIPS, LIPS_INNER, LIPS_OUTER, MESH
from lipsync.frames.blend import colour_shift, outline_mask
from lipsync.frames.patch import box_around, quantise, read_patch, warp_frame, write_patch
from lipsync.types import Box, Float32, Frame

INSIDE_FEATHER: Final = 0.006  # eye distances, between the lip and the inside
LIP_MARGIN, LIP_FEATHER = 0.05, 0.045  # eye distances of skin around a donor's lips, and its feather
MAP_SPACING: Final = 24.0  # the skin's map has one node in (eye distance / MAP_SPACING) pixels


@dataclass(frozen=True, slots=True)
class WarpLayer:
    """A donor's mouth and its weight; the weights of a frame sum to one."""

    mouth: Mouth
    weight: float


def render_face(
    frame: Frame,
    source: Float32,
    target: Float32,
    unit: float,
    triangles: Triangles,
    layers: Sequence[WarpLayer],
    cavity: Float32,
) -> bool:
    """Move the mesh from ``source`` to ``target`` (468, 2), in pixels, in place. Returns whether anything changed.

    ``unit``: the eye distance in pixels. ``triangles``: point numbers of the mesh and its outer ring. ``cavity`` (3,):
    Y'CbCr code values.
    """
    old = with_ring(source)
    new = np.concatenate([target, old[MESH:]])
    moving = np.abs(new - old).max(1) > STILL_PIXELS
    moving[list(LIPS)] = True
    box = box_around(np.concatenate([new[moving], old[moving], new[MESH:]]), 2, frame)
    if box is None:
        return False
    step = int(np.clip(unit / MAP_SPACING, 2, 4))
    raster = Raster(new, triangles, moving, box, step)
    warp_frame(frame, box, raster.map_from(old - np.array([box.left, box.top], np.float32)))
    mouth_box = box_around(new[list(LIPS_OUTER)], (LIP_MARGIN + 2.5 * LIP_FEATHER) * unit, frame)
    if mouth_box is not None:
        raster = Raster(new, triangles, moving, mouth_box, step=1)
        skin = read_patch(frame, mouth_box)
        mouth = _with_mouth(np.asarray(skin, np.float32), raster, mouth_box, new, unit, layers, cavity)
        write_patch(frame, mouth_box, skin, quantise(mouth, frame.depth))
    return True


def _with_mouth(
    skin: Float32, raster: Raster, box: Box, new: Float32, unit: float, layers: Sequence[WarpLayer], cavity: Float32
) -> Float32:
    """The warped skin (h, w, 3) of ``box`` with the donors' lips and insides blended over it."""
    outline = new[list(LIPS_OUTER)]
    middle = outline.mean(0)
    distance = np.linalg.norm(outline - middle, axis=1, keepdims=True)
    outer = middle + (outline - middle) * (1 + LIP_MARGIN * unit / np.maximum(distance, 1))
    lip_mask = outline_mask(outer, box, max(0.6, LIP_FEATHER * unit))
    lips = measure_lips(new, unit)
    hole = _hole(new, unit, box)
    mixed = np.zeros_like(skin)
    for layer in layers:
        image = skin.copy()
        if layer.mouth.points is not None:
            source_map = raster.map_from(with_ring(layer.mouth.points))
            donor = layer.mouth.sample(source_map)
            shift = colour_shift(skin, donor, lip_mask)
            image = skin + (donor + shift - skin) * lip_mask[..., None]
        if hole is not None:
            _blend_inside(image, layer.mouth, lips, hole, box, cavity)
        mixed += layer.weight * image
    return mixed


@dataclass(frozen=True, slots=True)
class _Hole:
    """The gap between the lips: its box and mask (h, w, 1)."""

    box: Box
    mask: Float32


def _hole(new: Float32, unit: float, within: Box) -> _Hole | None:
    """The gap between the lips, as far as it is ``within`` a box; None if it is outside."""
    feather = max(0.5, INSIDE_FEATHER * unit)
    inner = new[list(LIPS_INNER)]
    low, high = np.floor(inner.min(0) - 3 * feather).astype(int), np.ceil(inner.max(0) + 3 * feather).astype(int)
    box = Box(low[0], low[1], high[0], high[1]).intersection(within)
    if box.width < 1 or box.height < 1:
        return None
    return _Hole(box, outline_mask(inner, box, feather)[..., None])


def _blend_inside(image: Float32, mouth: Mouth, lips: Lips, hole: _Hole, box: Box, cavity: Float32) -> None:
    inside, opacity = warp_inside(mouth, lips, hole.box, cavity)
    rows, columns = hole.box.within(box)
    image[rows, columns] += (inside - image[rows, columns]) * (hole.mask * opacity)
