"""One frame: its own skin moved to the new shape, and a real mouth's inside between the lips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.engines.rewrite.mouth import Lips, Mouth, measure_lips, show_inside
from lipsync.engines.rewrite.warp import STILL, Raster, Triangles, with_ring
from lipsync.faces.geometry import LIPS, LIPS_INNER, LIPS_OUTER, MESH
from lipsync.frames.blend import colour_shift, outline_mask
from lipsync.frames.patch import box_around, quantise, read_patch, remap, warp_frame, write_patch
from lipsync.types import Box, Float32, Frame

SOFTNESS = 0.006  # eye distances: the feather between lip and inside
RIM, FEATHER = 0.05, 0.045  # eye distances: skin around the lips that comes with them, and the feather of its edge
COARSE = 24.0  # pixels of eye distance for each pixel from one place to the next where the skin's map is worked out


@dataclass(frozen=True, slots=True)
class WarpLayer:
    """One donor's mouth and its share of the picture; the shares of a frame add up to one."""

    mouth: Mouth
    share: float


def render(
    picture: Frame,
    source: Float32,
    target: Float32,
    unit: float,
    triangles: Triangles,
    layers: Sequence[WarpLayer],
    cavity: Float32,
) -> bool:
    """Move the mesh from ``source`` to ``target`` (468, 2), in pixels, in place. Returns whether anything changed.

    ``unit``: pixels per eye distance. ``triangles`` number the mesh and its outer ring. ``cavity`` (3,) Y'CbCr.
    """
    old = with_ring(source)
    new = np.concatenate([target, old[MESH:]])
    moving = np.abs(new - old).max(1) > STILL
    moving[list(LIPS)] = True
    touched = np.concatenate([new[moving], old[moving], new[MESH:]])
    box = box_around(touched, 2, picture)
    if box is None:
        return False
    step = int(np.clip(unit / COARSE, 2, 4))
    raster = Raster(new, triangles, moving, box, step)
    warp_frame(picture, box, raster.map_from(old - np.array([box.left, box.top], np.float32)))
    part = box_around(new[list(LIPS_OUTER)], (RIM + 2.5 * FEATHER) * unit, picture)
    if part is not None:
        raster = Raster(new, triangles, moving, part, step=1)
        skin = read_patch(picture, part)
        mouth = _with_mouth(np.asarray(skin, np.float32), raster, part, new, unit, layers, cavity)
        write_patch(picture, part, skin, quantise(mouth, picture.depth))
    return True


def _with_mouth(
    skin: Float32, raster: Raster, part: Box, new: Float32, unit: float, layers: Sequence[WarpLayer], cavity: Float32
) -> Float32:
    """The moved skin (h, w, 3) of ``part`` with the donors' lips and insides laid over it."""
    outline = new[list(LIPS_OUTER)]
    middle = outline.mean(0)
    reach = np.linalg.norm(outline - middle, axis=1, keepdims=True)
    rim = middle + (outline - middle) * (1 + RIM * unit / np.maximum(reach, 1))
    around = outline_mask(rim, part, max(0.6, FEATHER * unit))
    lips = measure_lips(new, unit)
    hole = _hole(new, unit, part)
    mixed = np.zeros_like(skin)
    for layer in layers:
        look = skin.copy()
        if layer.mouth.points is not None:
            where = raster.map_from(with_ring(layer.mouth.points))
            look = np.asarray(remap(layer.mouth.patch, where), np.float32)
            shift = colour_shift(skin, look, around)
            look = skin + (look + shift - skin) * around[..., None]
        if hole is not None:
            _put_inside(look, layer.mouth, lips, hole, part, cavity)
        mixed += layer.share * look
    return mixed


@dataclass(frozen=True, slots=True)
class _Hole:
    box: Box
    mask: Float32


def _hole(new: Float32, unit: float, part: Box) -> _Hole | None:
    """The box of the gap between the lips and its mask; None where it is outside of ``part``."""
    softness = max(0.5, SOFTNESS * unit)
    inner = new[list(LIPS_INNER)]
    low, high = np.floor(inner.min(0) - 3 * softness).astype(int), np.ceil(inner.max(0) + 3 * softness).astype(int)
    box = Box(low[0], low[1], high[0], high[1]).intersection(part)
    if box.width < 1 or box.height < 1:
        return None
    return _Hole(box, outline_mask(inner, box, softness)[..., None])


def _put_inside(look: Float32, mouth: Mouth, lips: Lips, hole: _Hole, part: Box, cavity: Float32) -> None:
    inside, seen = show_inside(mouth, lips, hole.box, cavity)
    rows, columns = hole.box.within(part)
    look[rows, columns] += (inside - look[rows, columns]) * (hole.mask * seen)
