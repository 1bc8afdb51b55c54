"""One frame's detail: from where the footage shows the same, else crisp edges and the grain of the skin nearby."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.bands import (
    agreeing,
    alike,
    blurred,
    energy,
    fine_energy,
    grain_of,
    missing_detail,
    shock_filter,
    tiled,
)
from lipsync.enhancers.detail.warp import filled, source_map, unit_of
from lipsync.faces.geometry import INNER_TOP, LIPS_INNER, LIPS_OUTER
from lipsync.faces.region import Region, region_of
from lipsync.frames.difference import changed_box, changed_mask
from lipsync.frames.patch import quantise, remap
from lipsync.types import Box, Float32, Frame, Plane

GENERATED: Final = 96  # pixels across a face that a small generator makes
EDGE: Final = 0.05  # eye distances in which the detail fades at the edge of what was changed
ROOM: Final = 4.0  # generator's pixels around that, for the filters
CHEEKS: Final = (205, 425)
CHEEK: Final = 0.16  # eye distances: half the side of the patch whose grain is taken
INSIDE = 0.9  # of what lips get: narrowed further, teeth and the gaps between them become blots
MOST = 1.0  # of crisp edges: more would be halos
CALM_SHARE, CALM_EDGES, CALM_SOURCE = 0.5, 0.3, 0.1  # what a new frame counts for against those before it


@dataclass(slots=True)
class TemporalState:
    """What the frames before showed, in one run without a cut.

    ``alike`` where the footage showed the same, within ``box`` and for a head in ``region``; ``sharp``: how sharp the
    footage's lips are, as the mean square of their Laplacian; ``edges`` 0..1: how much crisper edges were made.
    """

    alike: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    box: Box = field(default_factory=lambda: Box(0, 0, 0, 0))
    region: Region = field(default_factory=lambda: Region(0, 0, 1, 0))
    sharp: float | None = None
    edges: float | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """A box of a frame: what is ``seen`` in it and what was before, luma (h, w) in code values of 8 bits.

    ``source``, ``shown`` (468, 2): the mesh before and now, in pixels of the picture. ``unit``: pixels of an eye
    distance; ``pixel``: pixels of one of the generator's.
    """

    box: Box
    seen: Float32
    before: Float32
    source: Float32
    shown: Float32
    unit: float
    pixel: float


def transfer(edit: EditedFrame, source: Float32, shown: Float32, strength: float, memory: TemporalState) -> None:
    """Give the changed part of ``edit.after`` the detail of ``edit.before``, in place.

    ``source``, ``shown`` (468, 2): the mesh of the one and of the other, in pixels. Only luma, which carries what the
    eye takes for sharpness; 4:2:0 has little fine colour to give.
    """
    picture = edit.after
    changed = changed_box(edit.before, picture)
    if changed is None:
        return
    unit = unit_of(source)
    pixel = float(np.sqrt(np.prod(np.ptp(source, axis=0)))) / GENERATED
    height, width = picture.y.shape
    box = changed.grown(round(ROOM * pixel) + 2).even().intersection(Box(0, 0, width, height))
    frame = _Frame(box, _luma(picture, box), _luma(edit.before, box), source, shown, unit, pixel)
    mask = changed_mask(edit.before, picture, box, max(1.5, EDGE * unit)) * np.float32(strength)
    after = frame.seen + mask * (_detailed(frame, memory) - frame.seen)
    scale = np.float32(1 << (picture.depth - 8))
    picture.y[box.luma] = quantise(after * scale, picture.depth)


def _detailed(frame: _Frame, memory: TemporalState) -> Float32:
    """The frame's box with all detail."""
    where = source_map(frame.shown, frame.source, frame.box)
    warped = np.asarray(remap(cast(Plane, frame.before), where), np.float32)
    certain = agreeing(frame.seen, warped, frame.pixel)
    same = _same_place(frame, warped, certain, memory)
    nothing = cast(Float32, None)  # as in media.patch
    kept = cv2.remap(fine_energy(frame.before, frame.pixel), where, nothing, cv2.INTER_LINEAR)
    textured = frame.seen + same * missing_detail(
        frame.seen, warped, frame.pixel, np.asarray(kept, np.float32), certain
    )
    textured += np.sqrt(1 - same * same) * _grain(frame)
    lips = _soft(frame.shown, LIPS_OUTER, frame, 1.0)
    inside = _soft(frame.shown, LIPS_INNER, frame, 0.4)
    edges = _narrowed(frame, lips) * (1 - same) * (1 - (1 - INSIDE) * inside)
    return np.asarray(textured + _share_of_edges(frame, textured, edges, memory) * edges, np.float32)


def _narrowed(frame: _Frame, lips: Float32) -> Float32:
    """What makes the edges of lips and teeth narrower; ``lips`` 0..1, where that is wanted."""
    left, top, width, height = cv2.boundingRect((lips > 0).astype(np.uint8))
    rows, columns = slice(top, top + height), slice(left, left + width)
    added = np.zeros_like(lips)
    if width and height:
        part = frame.seen[rows, columns]
        added[rows, columns] = (shock_filter(part, frame.pixel) - part) * lips[rows, columns]
    return added


def _same_place(frame: _Frame, warped: Float32, certain: Float32, memory: TemporalState) -> Float32:
    """Where the warped footage can be believed to show what the frame does; inside of the mouth it has to agree."""
    unsure = _soft(frame.shown, LIPS_INNER, frame, 0.4) * (1 - certain)
    same = alike(frame.seen, warped, frame.pixel) * (1 - unsure)
    region, box = region_of(frame.source), frame.box
    if memory.alike.size:
        here = np.vstack([region.matrix(GENERATED), [0, 0, 1]])
        there = np.vstack([memory.region.matrix(GENERATED), [0, 0, 1]])
        back = (there @ np.linalg.inv(here))[:2]
        back[:, 2] += back[:, :2] @ [box.left, box.top] - [memory.box.left, memory.box.top]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (box.width, box.height)
        past = cv2.warpAffine(memory.alike, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        same = np.minimum(same, CALM_SHARE * same + (1 - CALM_SHARE) * np.asarray(past, np.float32))
    memory.alike, memory.box, memory.region = np.asarray(np.clip(same, 0, 1), np.float32), box, region
    return memory.alike


def _share_of_edges(frame: _Frame, textured: Float32, edges: Float32, memory: TemporalState) -> float:
    """How much of ``edges`` makes the lips as sharp as the footage's have been, 0..1, changing slowly."""
    now, then = (_around_lips(mesh, frame) for mesh in (frame.shown, frame.source))
    sharp = float(np.square(energy(frame.before)[then]).mean()) if then.any() else 0.0
    memory.sharp = sharp if memory.sharp is None else memory.sharp + CALM_SOURCE * (sharp - memory.sharp)
    have, more = energy(textured)[now], energy(edges)[now]
    if not have.size:
        return 0.0
    square, cross = float(np.square(more).mean()) + 1e-6, float((have * more).mean())
    missing = memory.sharp - float(np.square(have).mean())
    share = float(np.clip((np.sqrt(max(cross * cross + square * missing, 0)) - cross) / square, 0, MOST))
    memory.edges = share if memory.edges is None else memory.edges + CALM_EDGES * (share - memory.edges)
    return memory.edges


def _around_lips(mesh: Float32, frame: _Frame) -> NDArray[np.bool_]:
    side = 2 * round(frame.pixel) + 1
    return np.asarray(cv2.dilate(filled(mesh[list(LIPS_OUTER)], frame.box), np.ones((side, side), np.uint8)) > 0)


def _grain(frame: _Frame) -> Float32:
    """The grain of the calmer cheek, all over the box; it moves with the head."""
    best: Float32 | None = None
    reach = max(4, round(CHEEK * frame.unit))
    for number in CHEEKS:
        x, y = np.rint(frame.source[number] - [frame.box.left, frame.box.top]).astype(int)
        patch = frame.before[max(0, y - reach) : max(0, y + reach), max(0, x - reach) : max(0, x + reach)]
        if min(patch.shape) < reach:
            continue
        tile = grain_of(patch, frame.pixel)
        if best is None or np.abs(tile).mean() < np.abs(best).mean():
            best = tile
    if best is None:
        return np.zeros_like(frame.seen)
    x, y = np.rint(frame.source[INNER_TOP] - [frame.box.left, frame.box.top]).astype(int)
    return tiled(best, (x, y), frame.seen.shape)


def _soft(mesh: Float32, outline: tuple[int, ...], frame: _Frame, softness: float) -> Float32:
    inside = np.asarray(filled(mesh[list(outline)], frame.box), np.float32) / np.float32(255)
    return blurred(inside, softness * frame.pixel)


def _luma(picture: Frame, box: Box) -> Float32:
    luma = np.asarray(picture.y[box.luma], np.float32)
    return luma / np.float32(1 << (picture.depth - 8))
