"""The inside of the mouth: teeth, tongue and cavity of a donor between the target's lips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.jaws import JawMaps
from lipsync.engines.rewrite.light import relit
from lipsync.engines.rewrite.mouth import LOWER_SIDE, UPPER_SIDE, Floats, Lips, Mouth
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS_INNER, LIPS_OUTER
from lipsync.frames.blend import filled_outline, smoothstep
from lipsync.frames.patch import NO_SECOND_MAP, remap
from lipsync.types import Box, Float32

CLOSED_GAP, OPEN_GAP = 0.004, 0.010  # eye distances between which the inside fades in
LIT_DEPTH: Final = 0.04  # eye distances from the lips' edges to what is behind them, where light has to fall in
BETWEEN: Final = 0.04  # eye distances below the upper teeth over which the lower jaw's map takes over, at least
COVER_EDGE: Final = 0.012  # eye distances of the donor's inside along its lips that are not used
COVER_SLACK, COVER_FADE = (
    0.02,
    0.06,
)  # eye distances beyond what the donor shows until the cavity fades in, and its fade
CENTRE: Final = (0.3, 0.4, 0.5, 0.6, 0.7)  # positions along the mouth where the donor must show what the target does
PART_START, PART_RANGE = 0.015, 0.04  # eye distances that the jaws part until the cavity fades in there, and its fade
LEAST_UNSEEN: Final = 0.03  # of the mouth's inside, and of a pixel, from which it is worth drawing what is behind
UNSEEN_MARGIN: Final = 0.04  # eye distances around it that are drawn as well
REPEAT_FADE: Final = 0.02  # eye distances into the upper teeth that the lower jaw's map would show a second time
PART_EDGES: Final = (4.0, 1.6)  # steepness of that cavity's upper and lower edge
LEAST_BETWEEN: Final = 0.6  # of BETWEEN or more, at the corners: far back, the jaw opens less
MIN_SOFTNESS: Final = 0.5  # pixels: of an edge on the grid of pixels
COLUMNS, ROWS = 9, 24  # samples of the inside
EDGE_SHARES: Final = (0.25, 0.92)  # of the gap; an edge elsewhere is that of a lip
MIN_EDGES, EDGE_TOLERANCE, EDGE_BELOW_SEAM = 3, 0.02, 0.02  # mouths that show an edge; eye distances
FULL_GAP, FULL_LIGHT = 0.06, 1.1  # eye distances of gap, and share of the lips' luma, from which it is full of teeth
EDGE_CONTRAST: Final = 0.12  # by which the teeth are brighter than what is below, of their luma, at least


def warp_inside(
    mouth: Mouth, lips: Lips, box: Box, cavity: Float32, back: Mouth | None = None, softness: float = MIN_SOFTNESS
) -> tuple[Float32, float]:
    """The donor's inside between the target's lips, (h, w, 3), and its opacity in 0..1.

    The upper teeth stay where they are in the skull, and the lower teeth and the tongue follow the lower jaw. Only what
    is between them stretches, or hides behind the upper teeth. The drawn tongue and cavity of ``back``, or else the
    ``cavity`` colour (3,), fill what the donor does not show, up to an edge of ``softness``: the sigma of its blur in
    pixels. A gap narrower than the donor's lets in less light.
    """
    opacity = float(np.clip((lips.gap - CLOSED_GAP) / (OPEN_GAP - CLOSED_GAP), 0, 1))
    if mouth.drawing is not None:
        return relit(mouth.drawing.draw(lips, box), mouth.change), opacity
    donor = mouth.seen
    maps = _covering(mouth.maps or _maps_of_lips(donor, lips), donor, lips)
    inwards = _inwards(lips, box)
    gaps = np.maximum(inwards.sum(0), np.float32(1e-3))
    places, torn = _places(maps, box, donor, lips, gaps)
    places, missing, donor_gaps = _covered(donor, places, inwards)
    lit = np.minimum(_light_within(gaps) / _light_within(donor_gaps), 1)
    unseen = np.maximum(torn, smoothstep((missing / donor.unit - COVER_SLACK) / COVER_FADE))
    unseen = np.asarray(cv2.GaussianBlur(np.asarray(unseen, np.float32), (0, 0), softness), np.float32)
    inside, behind = mouth.sample(places), cavity
    part = None if back is None or back.drawing is None else _shown(unseen * lit, lips, box)
    if back is not None and back.drawing is not None and part is not None:
        behind = np.broadcast_to(cavity, inside.shape).copy()
        behind[part.within(box)] = relit(back.drawing.draw(lips, part, teeth=False), back.change)
    inside = inside + (behind - inside) * unseen[..., None]
    shades = cv2.merge([lit, lit**2, lit**2])  # the less light comes directly, the more has met lips and gums before
    return np.asarray(cavity + (inside - cavity) * shades, np.float32), opacity


def sample_inside(mouth: Mouth) -> tuple[Float32, Float32]:
    """A grid of places in the middle of a mouth, from the upper lip to the lower one, and the colours there.

    (ROWS, COLUMNS, 2) in pixels of the patch and (ROWS, COLUMNS, 3) Y'CbCr code values.
    """
    lips = mouth.seen
    position = np.linspace(CENTRE[0], CENTRE[-1], COLUMNS)
    share = (np.arange(ROWS) + 0.5)[:, None] / ROWS
    top, bottom = lips.height(position, UPPER_SIDE), lips.height(position, LOWER_SIDE)
    places = lips.points(position, top + share * (bottom - top))
    colours = cv2.remap(mouth.patch, places, NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return places, np.asarray(colours, np.float32)


def with_teeth_edge(mouth: Mouth) -> Mouth:
    """The mouth with the edge of its upper teeth in ``jaws``, where it shows one, or teeth down to the lower lip.

    The edge is the row that best parts a brighter inside from a darker one below: Otsu, "A threshold selection method
    from gray-level histograms", IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979.
    """
    if mouth.jaws is None:
        return mouth
    places, colours = sample_inside(mouth)
    luma = colours[..., 0].mean(1)
    rows = np.arange(1, ROWS)
    above = np.cumsum(luma)[:-1] / rows
    below = np.cumsum(luma[::-1])[::-1][1:] / (ROWS - rows)
    score = rows * (ROWS - rows) * np.maximum(above - below, 0) ** 2
    best = int(score.argmax())
    clear = above[best] - below[best] >= EDGE_CONTRAST * above[best]
    if clear and EDGE_SHARES[0] <= rows[best] / ROWS <= EDGE_SHARES[1]:
        edge = float(mouth.jaws.height(places[best : best + 2].reshape(-1, 2)).mean())
        return replace(mouth, jaws=replace(mouth.jaws, edge=edge, parted=True))
    if mouth.seen.gap > FULL_GAP and luma.min() > FULL_LIGHT * _light_of_lips(mouth):
        return replace(mouth, jaws=replace(mouth.jaws, edge=float(mouth.jaws.height(places[-1]).mean())))
    return mouth


def with_common_edge(mouths: Sequence[Mouth], closed: Float32) -> list[Mouth]:
    """The mouths of one speaker, all with an edge of the upper teeth, as that is fixed to the skull.

    Where the image shows none, or one far from the others, it is the median. Where too few show one, it is where teeth
    meet the lower lip, or else just below the line at which the lips of the ``closed`` mesh (468, 3) meet.
    """
    known = [mouth.jaws for mouth in mouths if mouth.jaws is not None and np.isfinite(mouth.jaws.edge)]
    edges, full = ([jaws.edge for jaws in known if jaws.parted is parted] for parted in (True, False))
    seam = float(closed[[INNER_TOP, INNER_BOTTOM], 1].mean())
    if len(edges) >= MIN_EDGES or not full:
        common = float(np.median(edges)) if len(edges) >= MIN_EDGES else seam + EDGE_BELOW_SEAM
    else:
        common = float(np.median([*edges, *full]))
    return [
        mouth
        if mouth.jaws is None or abs(mouth.jaws.edge - common) < EDGE_TOLERANCE
        else replace(mouth, jaws=replace(mouth.jaws, edge=common))
        for mouth in mouths
    ]


def _light_of_lips(mouth: Mouth) -> float:
    """The median luma of the lips."""
    assert mouth.points is not None
    middle = (mouth.points[list(LIPS_INNER)] + mouth.points[list(LIPS_OUTER)]) / 2
    return float(np.median(remap(mouth.patch, np.asarray(middle[None], np.float32))[..., 0]))


def _maps_of_lips(donor: Lips, target: Lips) -> JawMaps:
    """The maps that keep both jaws at their lips, for a donor or a target whose pose is unknown."""
    scale = donor.unit / target.unit
    turn = scale * (np.outer(donor.along, target.along) + np.outer(donor.down, target.down))
    maps, middle = [], np.zeros(2, np.float32)
    for side in (UPPER_SIDE, LOWER_SIDE):
        ours, theirs = (lips.points(0.5, lips.height(0.5, side)) for lips in (donor, target))
        maps.append(np.column_stack([turn, ours - turn @ theirs]).astype(np.float32))
        middle += theirs / 2
    below = np.append(target.down, -target.down @ middle) / target.unit
    return JawMaps(maps[0], maps[1], below.astype(np.float32))


def _covering(maps: JawMaps, donor: Lips, target: Lips) -> JawMaps:
    """The maps, moved so that the donor's lips cover nothing of the middle of the target's mouth."""
    position, moved = np.array(CENTRE), []
    for side, jaw, sign in ((UPPER_SIDE, maps.upper, 1), (LOWER_SIDE, maps.lower, -1)):
        places = target.points(position, target.height(position, side)) @ jaw[:, :2].T + jaw[:, 2]
        along, row = donor.coordinates(places)
        hidden = max(float((sign * (donor.height(along, side) - row)).max()), 0.0)
        moved.append(np.column_stack([jaw[:, :2], jaw[:, 2] + sign * hidden * donor.down]).astype(np.float32))
    return JawMaps(moved[0], moved[1], maps.below, maps.parted)


def _places(maps: JawMaps, box: Box, donor: Lips, lips: Lips, gaps: Float32) -> tuple[Float32, Float32]:
    """Places (h, w, 2) in the donor of the pixels of ``box``, and the darkness (h, w) where the jaws part.

    The map of the upper jaw holds down to the edge of the teeth, then that of the lower one takes over, the sooner the
    narrower the ``gaps`` (h, w) between the target's ``lips`` are there. Where it would show the upper teeth once more,
    as light specks at the corners, it is dark.
    """
    x = np.arange(box.left, box.right, dtype=np.float32)[None]
    y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None]
    rest, lowest = maps.lower - maps.upper, np.append(lips.points(0.5, lips.height(0.5, LOWER_SIDE)), 1)
    lowered = float(-donor.down @ (rest @ lowest)) / donor.unit
    between = (BETWEEN + max(lowered, 0)) * np.clip(gaps / max(lips.gap, 1e-3), LEAST_BETWEEN, 1)
    below = x * maps.below[0] + y * maps.below[1] + maps.below[2]
    depth = below / between
    share = smoothstep(depth)
    upper = x[..., None] * maps.upper[:, 0] + (y[..., None] * maps.upper[:, 1] + maps.upper[:, 2])
    rest = x[..., None] * rest[:, 0] + (y[..., None] * rest[:, 1] + rest[:, 2])
    torn = smoothstep(depth * PART_EDGES[0]) * smoothstep((1 - depth) * PART_EDGES[1])
    torn *= smoothstep((lowered - PART_START) / PART_RANGE)
    if maps.parted:
        moved = share * np.float32(lowered)
        repeated = smoothstep((moved - below) / REPEAT_FADE + 1) * smoothstep(np.minimum(below, moved) / REPEAT_FADE)
        torn = np.maximum(torn, repeated)
    return np.asarray(upper + share[..., None] * rest, np.float32), torn


def _covered(donor: Lips, places: Float32, inwards: Float32) -> tuple[Float32, Float32, Float32]:
    """Places (h, w, 2) moved to between the donor's lips, how far each was from there, and the gap between the lips.

    Both (h, w), the former in pixels, the latter in eye distances.

    Right at the lips, a donor's soft edge mixes them with the inside. A pixel of the target shows that only if it is as
    near to its own lips: ``inwards``, see ``_inwards``.
    """
    position, row = donor.coordinates(places)
    top, bottom = donor.height(position, UPPER_SIDE), donor.height(position, LOWER_SIDE)
    most = np.minimum(COVER_EDGE * donor.unit, (bottom - top) / 2)
    below, above = np.clip(inwards * np.float32(donor.unit), 0, most)
    down = np.clip(row, top + below, bottom - above) - row
    aside = np.abs(position - np.clip(position, 0, 1)) * donor.width
    moved = np.asarray(places + down[..., None] * donor.down, np.float32)
    gap = np.maximum(bottom - top, np.float32(1e-3) * donor.unit) / np.float32(donor.unit)
    return moved, np.asarray(np.abs(down) + aside, np.float32), gap


def _shown(unseen: Float32, lips: Lips, box: Box) -> Box | None:
    """The part of ``box`` between the lips where something is ``unseen`` (h, w), 0..1; None if that is too little."""
    outline = lips.outline() - np.array([box.left, box.top], np.float32)
    inside = filled_outline(outline, unseen.shape)
    hidden = unseen * inside
    if float(hidden.sum()) <= LEAST_UNSEEN * float(inside.sum()):
        return None
    left, top, width, height = cv2.boundingRect((hidden > LEAST_UNSEEN).astype(np.uint8))
    margin = round(UNSEEN_MARGIN * lips.unit)
    left, top = box.left + left, box.top + top
    return Box(left - margin, top - margin, left + width + margin, top + height + margin).intersection(box)


def _light_within(gap: Floats) -> Floats:
    """The share of the light in front of a slit of width ``gap`` that falls on what is behind it, 0..1.

    That is the sine of half the angle under which the slit is seen from there, the form factor of an infinite strip.
    """
    half = gap / 2
    return half / np.hypot(half, LIT_DEPTH)


def _inwards(lips: Lips, box: Box) -> Float32:
    """How far each pixel is below the upper lip's edge and above the lower one's, (2, h, w), in eye distances."""
    x = np.arange(box.left, box.right, dtype=np.float32)[None] - lips.origin[0]
    y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] - lips.origin[1]
    position = (x * lips.along[0] + y * lips.along[1]) / lips.width
    height = x * lips.down[0] + y * lips.down[1]
    below, above = height - lips.height(position, UPPER_SIDE), lips.height(position, LOWER_SIDE) - height
    return np.asarray(np.stack([below, above]) / np.float32(lips.unit), np.float32)
