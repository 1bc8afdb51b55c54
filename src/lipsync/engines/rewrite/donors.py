"""Donors: images of the speaker's open mouth, collected in the first pass.

The collection is bounded at any length of the video. It keeps the most different mouths by the doubling algorithm of
Charikar, Chekuri, Feder and Motwani, "Incremental Clustering and Dynamic Information Retrieval", STOC 1997: a mouth is
kept if it is farther than a radius from all others, and the radius doubles when the collection is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lipsync.engines.rewrite.face_grid import FaceColours
from lipsync.engines.rewrite.inside import with_teeth_edge
from lipsync.engines.rewrite.jaws import measure_jaws
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.lip_edges import lip_errors
from lipsync.engines.rewrite.look import Look, measure_look
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.opening import seen_lips
from lipsync.engines.rewrite.seam import MOST_TRACKED, closed_on, find_seam
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS_INNER, LIPS_OUTER, Pose
from lipsync.frames.patch import box_around, read_patch
from lipsync.types import Float32, Frame

MAX_DONORS, MAX_DONOR_BYTES = 160, 96 << 20
INITIAL_RADIUS: Final = 0.004  # eye distances, mean over the inner lips
SKIN_MARGIN: Final = 0.14  # eye distances of skin kept around the lips
TURN_WEIGHT: Final = 0.1  # eye distances of lip shape that one radian of head turn counts as
# Costs of a donor's look, comparable to a mean distance between lip points in eye distances:
FOCUS_COST, SHARP = 0.06, 0.95  # of a donor without any detail; the share of the typical focus that costs nothing
LIPS_COST, LIPS_ALLOWED = 0.04, 0.25  # of a gap full of lips; the share of it that tongue and gums may have
LIGHT_COST: Final = 0.03  # per octave of difference in light
SIZE_COST: Final = 0.03  # per octave of difference in size
POOR, BETTER = 0.005, 0.003  # flaw from which a similar donor is sought; how much better it must be to take the place
# Percentile of the tracked gaps at which a speaker's lips touch, and how much more, in eye distances, may be closed:
CLOSED_SHARE, CLOSED_RANGE = 5, 0.015
OPEN_PREFERENCE: Final = 0.1  # per eye distance of gap, when the collection is thinned out


@dataclass(frozen=True, slots=True)
class Donor:
    """One mouth. ``descriptor`` (21, 2): see ``mouth_descriptors``; ``gap``: the lips' distance in eye distances.

    A descriptor of NaN matches every target, and an infinite gap is wide enough for all. ``look``: None if it has no
    flaws. ``colours``: of the whole face, to recognise what covers it. ``cost``: added to the matching cost wherever
    the donor is used.
    """

    mouth: Mouth
    descriptor: Float32
    gap: float
    look: Look | None = None
    colours: FaceColours | None = None
    cost: float = 0.0


def mouth_descriptors(faces: Float32, rotation: Float32) -> Float32:
    """Descriptors (n, 21, 2) of face-frame meshes (n, >= 468, 3) on heads with rotations (n, 3, 3).

    The 20 inner lip points relative to their mean, in eye distances, then the nose's direction in radians, scaled so
    that a mean over the 21 points counts it with TURN_WEIGHT.
    """
    lips = faces[:, list(LIPS_INNER), :2]
    nose = rotation[:, :2, 2:].swapaxes(1, 2) * (TURN_WEIGHT * 21)
    return np.asarray(np.concatenate([lips - lips.mean(1, keepdims=True), nose], 1), np.float32)


def inner_gap(face: Float32) -> Float32:
    """The distance (...) of the inner lips of face-frame meshes (..., >= 468, 3), in eye distances."""
    return np.asarray(np.linalg.norm(face[..., INNER_TOP, :] - face[..., INNER_BOTTOM, :], axis=-1), np.float32)


def conditions(light: Float32, units: Float32) -> Float32:
    """Under which conditions mouths were filmed, (n, 4), such that differences are costs.

    ``light`` (n, 3): the skin's R'G'B'; ``units`` (n,): pixels per eye distance.
    """
    logarithms = np.log2(np.column_stack([light, units]))
    return np.asarray(logarithms * (*[LIGHT_COST / 3] * 3, SIZE_COST), np.float32)


def donor_conditions(donors: Sequence[Donor]) -> Float32:
    """The ``conditions`` of donors; those of a drawn mouth are unknown, NaN."""
    known = [donor.mouth.light is not None and donor.mouth.points is not None for donor in donors]
    lights = [donor.mouth.light.rgb if donor.mouth.light is not None else np.ones(3) for donor in donors]
    result = conditions(np.stack(lights), np.array([donor.mouth.lips.unit for donor in donors], np.float32))
    result[~np.array(known)] = np.nan
    return result


def typical_focus(donors: Sequence[Donor]) -> float:
    """The median focus of the donors."""
    focus = sorted(donor.look.focus for donor in donors if donor.look is not None)
    return focus[len(focus) // 2] if focus else 1.0


def flaw(look: Look | None, typical: float) -> float:
    """The cost of a look in a video with that ``typical_focus``."""
    if look is None:
        return 0.0
    unsharp = max(SHARP - look.focus / max(typical, 1e-6), 0)
    return FOCUS_COST * unsharp + LIPS_COST * max(look.lip_share - LIPS_ALLOWED, 0)


class DonorCollection:
    """The donors of one video: mouths that differ in shape or in the conditions under which they were filmed."""

    def __init__(self, limit: int = MAX_DONORS, limit_bytes: int = MAX_DONOR_BYTES) -> None:
        self._donors: list[Donor] = []
        self._limit, self._limit_bytes = limit, limit_bytes
        self._radius = INITIAL_RADIUS
        # Of the donors, in their order; the rows beyond are free.
        self._descriptors, self._conditions = (
            np.zeros((limit + 1, 21, 2), np.float32),
            np.zeros((limit + 1, 4), np.float32),
        )
        self._typical = 1.0

    @property
    def donors(self) -> Sequence[Donor]:
        """The donors so far, with the errors of their lips' edges."""
        gaps = [donor.mouth.lips.gap for donor in self._donors]
        most_closed = min(float(np.percentile(gaps, CLOSED_SHARE)) + CLOSED_RANGE, MOST_TRACKED) if gaps else 0.0
        self._donors = [_measured(donor, most_closed) for donor in self._donors]
        return tuple(self._donors)

    def offer(
        self,
        frame: Frame,
        points: Float32,
        face: Float32,
        pose: Pose,
        light: Light,
        colours: Callable[[], FaceColours | None] = lambda: None,
    ) -> None:
        """Keep this mouth if it is new, or looks better than a similar one.

        ``points`` (468, 2) in pixels, ``face`` (468, 3) the same in the face frame. ``colours``: of the face.
        """
        descriptor, unit = mouth_descriptors(face[None], pose.rotation)[0], float(pose.scale[0])
        condition = conditions(light.rgb[None], pose.scale)[0]
        slot = self._similar(descriptor, condition)
        allowed = np.inf if slot is None else flaw(self._donors[slot].look, self._typical) - BETTER
        if allowed < POOR - BETTER:
            return
        box = box_around(points[list(LIPS_OUTER)], SKIN_MARGIN * unit, frame)
        if box is None:
            return
        in_box, patch = points - np.array([box.left, box.top], np.float32), read_patch(frame, box)
        look = measure_look(patch, in_box, unit)
        if flaw(look, self._typical) > allowed:
            return
        jaws = measure_jaws(pose, face, box.left, box.top)
        mouth = Mouth(patch, measure_lips(in_box, unit), in_box, light, jaws=jaws)
        slot = len(self._donors) if slot is None else slot
        self._donors[slot : slot + 1] = [Donor(mouth, descriptor, float(inner_gap(face)), look, colours())]
        self._descriptors[slot], self._conditions[slot] = descriptor, condition
        while len(self._donors) > self._limit or self._bytes() > self._limit_bytes:
            self._thin_out()
        self._typical = typical_focus(self._donors)

    def _similar(self, descriptor: Float32, condition: Float32) -> int | None:
        """The number of the nearest donor if it is within the radius."""
        count = len(self._donors)
        if not count:
            return None
        distance = descriptor_distances(self._descriptors[:count], descriptor[None])[:, 0]
        distance += np.abs(self._conditions[:count] - condition).sum(1)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] < self._radius else None

    def _bytes(self) -> int:
        return sum(donor.mouth.patch.nbytes for donor in self._donors)

    def _thin_out(self) -> None:
        self._radius *= 2
        order = [flaw(donor.look, self._typical) - OPEN_PREFERENCE * donor.gap for donor in self._donors]
        kept: list[int] = []
        for k in np.argsort(order):
            distance = descriptor_distances(self._descriptors[kept], self._descriptors[k : k + 1])[:, 0]
            distance += np.abs(self._conditions[kept] - self._conditions[k]).sum(1)
            if (distance >= self._radius).all():
                kept.append(int(k))
        self._donors = [self._donors[k] for k in kept]
        self._descriptors[: len(kept)] = self._descriptors[kept]
        self._conditions[: len(kept)] = self._conditions[kept]


def _measured(donor: Donor, most_closed: float) -> Donor:
    """The donor with all measurements of its image, which are not worth their time for one that does not stay."""
    mouth = donor.mouth
    if mouth.points is None or mouth.lip_errors is not None:
        return donor
    opening = seen_lips(mouth.patch, mouth.points, mouth.lips)
    seam = find_seam(mouth.patch, mouth.lips, opening, most_closed)
    if seam is not None:
        return _closed(donor, closed_on(seam, mouth.points, mouth.lips))
    measured = replace(mouth, lip_errors=lip_errors(mouth.patch, mouth.points), opening=opening)
    return replace(donor, mouth=with_teeth_edge(measured))


def _closed(donor: Donor, points: Float32) -> Donor:
    """The donor whose lips touch, with the mesh ``points`` (468, 2) in pixels, whose inner edges are where they do."""
    mouth, descriptor = donor.mouth, donor.descriptor.copy()
    lips = measure_lips(points, mouth.lips.unit)
    if mouth.jaws is not None and mouth.points is not None:
        moved = (points - mouth.points)[list(LIPS_INNER)] @ np.linalg.inv(mouth.jaws.skull[:, :2]).T
        descriptor[:-1] += moved - moved.mean(0)
    mouth = replace(mouth, points=points, lips=lips, lip_errors=lip_errors(mouth.patch, points))
    return replace(donor, mouth=mouth, descriptor=descriptor, gap=lips.gap)


def descriptor_distances(a: Float32, b: Float32) -> Float32:
    """Mean point distances (n, m) between descriptors (n, 21, 2) and (m, 21, 2)."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1), np.float32)
