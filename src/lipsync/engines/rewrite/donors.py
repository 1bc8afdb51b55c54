"""Donors: images of the speaker's open mouth, collected in the first pass and selected for each output frame.

The collection is bounded at any length of the video. It keeps the most different mouths by the doubling algorithm of
Charikar, Chekuri, Feder and Motwani, "Incremental Clustering and Dynamic Information Retrieval", STOC 1997: a mouth is
kept if it is farther than a radius from all others, and the radius doubles when the collection is full. The selection
minimises the sum of matching and switching costs over time (Viterbi, IEEE Transactions on Information Theory 13(2),
1967), as unit selection does in speech synthesis (Hunt and Black, ICASSP 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS_INNER, LIPS_OUTER, Pose
from lipsync.frames.patch import box_around, read_patch
from lipsync.types import Float32, Frame

MAX_DONORS, MAX_DONOR_BYTES = 160, 96 << 20
INITIAL_RADIUS: Final = 0.004  # eye distances, mean over the inner lips
SKIN_MARGIN: Final = 0.14  # eye distances of skin kept around the lips
TURN_WEIGHT: Final = 0.1  # eye distances of lip shape that one radian of head turn counts as
# Costs, comparable to a mean distance between lip points in eye distances:
SWITCH_COST, MAX_SWITCH_DISTANCE = 0.6, 0.05  # of another donor, per eye distance of difference up to a maximum
SWITCH_BASE_COST: Final = 0.006  # of any other donor
STRETCH_COST: Final = 0.3  # per eye distance that the donor is less open than the target
TEAR_COST: Final = 3.0  # per eye distance that the target exceeds the donor's gap times TEAR_RATIO
TEAR_RATIO: Final = 1.8
TEAR_SLACK: Final = 0.02  # eye distances


@dataclass(frozen=True, slots=True)
class Donor:
    """One mouth. ``descriptor`` (21, 2): see ``mouth_descriptors``; ``gap``: the lips' distance in eye distances.

    ``cost``: added to the matching cost wherever the donor is used.
    """

    mouth: Mouth
    descriptor: Float32
    gap: float
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


class DonorCollection:
    """The donors of one video."""

    def __init__(self, limit: int = MAX_DONORS, limit_bytes: int = MAX_DONOR_BYTES) -> None:
        self._donors: list[Donor] = []
        self._limit, self._limit_bytes = limit, limit_bytes
        self._radius = INITIAL_RADIUS
        self._descriptors = np.zeros((0, 0, 2), np.float32)

    @property
    def donors(self) -> Sequence[Donor]:
        return tuple(self._donors)

    def offer(self, frame: Frame, points: Float32, face: Float32, pose: Pose) -> None:
        """Keep this mouth if it is new. ``points`` (468, 2) in pixels, ``face`` (468, 3) the same in the face frame."""
        descriptor, eye_distance = mouth_descriptors(face[None], pose.rotation)[0], float(pose.scale[0])
        if self._donors and float(_distances(self._descriptors, descriptor[None]).min()) < self._radius:
            return
        box = box_around(points[list(LIPS_OUTER)], SKIN_MARGIN * eye_distance, frame)
        if box is None:
            return
        in_box = points - np.array([box.left, box.top], np.float32)
        mouth = Mouth(read_patch(frame, box), measure_lips(in_box, eye_distance), in_box)
        self._donors.append(Donor(mouth, descriptor, float(inner_gap(face))))
        while len(self._donors) > self._limit or self._bytes() > self._limit_bytes:
            self._thin_out()
        self._descriptors = np.stack([donor.descriptor for donor in self._donors])

    def _bytes(self) -> int:
        return sum(donor.mouth.patch.nbytes for donor in self._donors)

    def _thin_out(self) -> None:
        self._radius *= 2
        kept: list[Donor] = []
        for donor in sorted(self._donors, key=lambda donor: -donor.gap):
            others = [other.descriptor for other in kept]
            if not kept or _distances(np.stack(others), donor.descriptor[None]).min() >= self._radius:
                kept.append(donor)
        self._donors = kept


def _distances(a: Float32, b: Float32) -> Float32:
    """Mean point distances (n, m) between descriptors (n, 21, 2) and (m, 21, 2)."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1), np.float32)


class DonorSelector:
    """Selects a donor for each frame: similar in shape, open enough, and steady over time."""

    def __init__(self, donors: Sequence[Donor]) -> None:
        self._descriptors = np.stack([donor.descriptor for donor in donors])
        self._gaps = np.array([donor.gap for donor in donors], np.float32)
        self._costs = np.array([donor.cost for donor in donors], np.float32)
        distance = _distances(self._descriptors, self._descriptors)
        self._switch = SWITCH_COST * np.minimum(distance, MAX_SWITCH_DISTANCE) + SWITCH_BASE_COST * (distance > 0)
        self._last: int | None = None

    def choose(self, faces: Float32, descriptors: Float32, count: int) -> list[int]:
        """Numbers of the donors for the first ``count`` of the target faces (n, 468, 3); the others are lookahead.

        ``descriptors`` (n, 21, 2): those of the targets, on the heads of the frames that they are rendered on.
        """
        cost = _distances(descriptors, self._descriptors)
        cost += self._opening_cost(inner_gap(faces)[:, None]) + self._costs
        total = cost[0] + (0 if self._last is None else self._switch[self._last])
        previous = np.zeros((len(cost), len(self._gaps)), np.int32)
        for t in range(1, len(cost)):
            candidates = total[:, None] + self._switch
            previous[t] = candidates.argmin(0)
            total = candidates[previous[t], np.arange(len(total))] + cost[t]
        path = [int(total.argmin())]
        for row in previous[:0:-1]:
            path.append(int(row[path[-1]]))
        path = path[::-1][:count]
        self._last = path[-1]
        return path

    def _opening_cost(self, gap: Float32) -> Float32:
        stretch = np.maximum(gap - self._gaps, 0)
        tear = np.maximum(gap - TEAR_RATIO * self._gaps - TEAR_SLACK, 0)
        return np.asarray(STRETCH_COST * stretch + TEAR_COST * tear, np.float32)
