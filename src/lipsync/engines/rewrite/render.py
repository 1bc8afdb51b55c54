"""Render one frame: its own skin warped to the new shape, and a mouth of three layers over it.

The layers are the upper lip with the skin above, the lower lip with the skin below, and the inside of the mouth. Their
pixels come from donors; their mattes follow the target's lips.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.engines.rewrite.contact import Gap
from lipsync.engines.rewrite.lip_warp import FLAP_TRIANGLES, with_flaps, without_overlap
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.mouth_layers import MOUTH_MARGIN, MouthLayers, MouthPlace, compose_mouth
from lipsync.engines.rewrite.plate import clean_plate
from lipsync.engines.rewrite.warp import STILL_PIXELS, Raster, Triangles
from lipsync.faces.geometry import JAW, LIPS, LIPS_OUTER, MESH
from lipsync.frames.patch import box_around, quantise, read_patch, warp_frame, write_patch
from lipsync.types import Box, Float32, Frame

MAP_SPACING: Final = 22.0  # the maps have one node in at most (eye distance / MAP_SPACING) pixels


def render_face(
    frame: Frame,
    source: Float32,
    target: Float32,
    unit: float,
    triangles: Triangles,
    layers: MouthLayers,
    gap: Gap,
) -> bool:
    """Move the mesh from ``source`` to ``target`` (468, 2), in pixels, in place. Returns whether anything changed.

    ``unit``: the eye distance in pixels. ``triangles``: point numbers of the mesh and its outer ring.
    """
    target = without_overlap(target)
    old, new = with_flaps(source), with_flaps(target)
    ring = slice(MESH, MESH + len(JAW))
    new[ring] = old[ring]
    moving = np.abs(new - old).max(1) > STILL_PIXELS
    moving[list(LIPS)] = True
    moving[ring.stop :] = False
    box = box_around(np.concatenate([new[moving], old[moving], new[ring]]), 2, frame)
    if box is None:
        return False
    own = _own_mouth(frame, source, unit) if any(layer.mouth.points is None for layer in layers.lips) else None
    clean_plate(frame, source, target, unit)
    raster = Raster(new, np.concatenate([triangles, FLAP_TRIANGLES]), box, map_step(unit), spare=len(FLAP_TRIANGLES))
    warp_frame(frame, box, raster.full_map(raster.shifts_from(old), (box.left, box.top)))
    _add_mouth(frame, raster, target, unit, layers, own, gap)
    return True


def map_step(unit: float) -> int:
    """Pixels between the nodes of the maps: a power of two, so that boxes with even corners fit."""
    return int(2 ** np.clip(np.floor(np.log2(max(unit, 1) / MAP_SPACING)), 0, 3))


def _own_mouth(frame: Frame, points: Float32, unit: float) -> Mouth | None:
    """The frame's own mouth, before it is warped."""
    box = box_around(points[list(LIPS_OUTER)], MOUTH_MARGIN * unit, frame)
    if box is None:
        return None
    in_box = points - np.array([box.left, box.top], np.float32)
    return Mouth(read_patch(frame, box), measure_lips(in_box, unit), in_box)


def _add_mouth(
    frame: Frame,
    raster: Raster,
    target: Float32,
    unit: float,
    layers: MouthLayers,
    own: Mouth | None,
    gap: Gap,
) -> None:
    box = box_around(target[list(LIPS_OUTER)], MOUTH_MARGIN * unit, frame)
    if box is None:
        return
    outer, step = raster.box, raster.step
    left, top = (low + (value - low) // step * step for low, value in ((outer.left, box.left), (outer.top, box.top)))
    box = Box(left, top, box.right, box.bottom).intersection(outer)
    if box.width < 2 or box.height < 2:
        return
    skin = read_patch(frame, box)
    place = MouthPlace(raster.window(box), target, unit, gap.blur)
    mouth = compose_mouth(np.asarray(skin, np.float32), place, layers, own, gap, frame.depth)
    write_patch(frame, box, skin, quantise(mouth, frame.depth), place.mask)
