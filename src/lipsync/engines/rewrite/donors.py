"""Real pictures of the speaker's open mouth: collected while the footage is read, chosen anew for every frame.

The shelf is bounded at any length of footage. It keeps the most different shapes by the doubling algorithm of
Charikar, Chekuri, Feder and Motwani, "Incremental clustering and dynamic information retrieval", STOC 1997: a picture
is kept if it is further than a radius from all others, and the radius doubles when the shelf is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS_INNER, LIPS_OUTER, Pose
from lipsync.frames.patch import box_around, read_patch
from lipsync.types import Float32, Frame

SHELF, SHELF_BYTES = 160, 96 << 20
FIRST_RADIUS = 0.004  # eye distances, mean over the inner lips
MARGIN = 0.14  # eye distances of skin kept around the lips
TURN = 0.1  # how many eye distances of shape one radian of head turn counts
JUMP, JUMP_LIMIT = 0.6, 0.05  # price of another donor per eye distance of difference, and where it stops growing
CHANGE = 0.006  # price of any change of donor
STRETCH, TORN = 0.3, 3.0  # price per eye distance that a donor is less open than the target; that it is far less open
TEARS = 1.8  # a donor stretched by more than this is far less open


@dataclass(frozen=True, slots=True)
class Donor:
    """One kept picture. ``traits`` say how it looks, see ``traits``; ``gap`` is the opening in eye distances.

    ``price``: what showing it costs, beside how well it fits.
    """

    mouth: Mouth
    traits: Float32
    gap: float
    price: float = 0.0


def traits(faces: Float32, rotation: Float32) -> Float32:
    """What makes two mouths look alike: (n, 21, 2) from face-frame meshes (n, >= 468, 3) and heads' turns (n, 3, 3).

    20 inner lip points around their middle, in eye distances; last, where the nose points, in radians x TURN x 21.
    """
    lips = faces[:, list(LIPS_INNER), :2]
    nose = rotation[:, :2, 2:].swapaxes(1, 2) * (TURN * 21)
    return np.asarray(np.concatenate([lips - lips.mean(1, keepdims=True), nose], 1), np.float32)


def inner_gap(face: Float32) -> Float32:
    """Opening of face-frame meshes (..., >= 468, 3), (...)."""
    return np.asarray(np.linalg.norm(face[..., INNER_TOP, :] - face[..., INNER_BOTTOM, :], axis=-1), np.float32)


class DonorPictures:
    """The donors of one footage."""

    def __init__(self, limit: int = SHELF, limit_bytes: int = SHELF_BYTES) -> None:
        self._donors: list[Donor] = []
        self._limit, self._limit_bytes = limit, limit_bytes
        self._radius = FIRST_RADIUS
        self._looks = np.zeros((0, 0, 2), np.float32)

    @property
    def donors(self) -> Sequence[Donor]:
        return tuple(self._donors)

    def offer(self, picture: Frame, points: Float32, face: Float32, pose: Pose) -> None:
        """Keep this mouth if it is new. ``points`` (468, 2) pixels, ``face`` (468, 3) the same in the face frame."""
        looks, unit = traits(face[None], pose.rotation)[0], float(pose.scale[0])
        if self._donors and float(_distances(self._looks, looks[None]).min()) < self._radius:
            return
        box = box_around(points[list(LIPS_OUTER)], MARGIN * unit, picture)
        if box is None:
            return
        placed = points - np.array([box.left, box.top], np.float32)
        mouth = Mouth(read_patch(picture, box), measure_lips(placed, unit), placed)
        self._donors.append(Donor(mouth, looks, float(inner_gap(face))))
        while len(self._donors) > self._limit or self._bytes() > self._limit_bytes:
            self._thin_out()
        self._looks = np.stack([donor.traits for donor in self._donors])

    def _bytes(self) -> int:
        return sum(d.mouth.patch.nbytes for d in self._donors)

    def _thin_out(self) -> None:
        self._radius *= 2
        kept: list[Donor] = []
        for donor in sorted(self._donors, key=lambda d: -d.gap):
            if not kept or _distances(np.stack([d.traits for d in kept]), donor.traits[None]).min() >= self._radius:
                kept.append(donor)
        self._donors = kept


def _distances(a: Float32, b: Float32) -> Float32:
    """Mean distance between the traits of (n, 21, 2) and (m, 21, 2): (n, m)."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1), np.float32)


class DonorSelector:
    """Chooses a donor for each frame: near in shape, open enough, and as steady as that allows (Viterbi)."""

    def __init__(self, donors: Sequence[Donor]) -> None:
        self._traits = np.stack([d.traits for d in donors])
        self._gaps = np.array([d.gap for d in donors], np.float32)
        self._prices = np.array([d.price for d in donors], np.float32)
        apart = _distances(self._traits, self._traits)
        self._jump = JUMP * np.minimum(apart, JUMP_LIMIT) + CHANGE * (apart > 0)
        self._last: int | None = None

    def choose(self, faces: Float32, looks: Float32, count: int) -> list[int]:
        """Donor numbers of the first ``count`` of the target faces (n, 468, 3); the rest is looked at ahead.

        ``looks`` (n, 21, 2): their traits on the heads of the frames that they will be put on.
        """
        cost = _distances(looks, self._traits)
        cost += self._stretch(inner_gap(faces)[:, None]) + self._prices
        best = cost[0] + (0 if self._last is None else self._jump[self._last])
        back = np.zeros((len(cost), len(self._gaps)), np.int32)
        for t in range(1, len(cost)):
            reach = best[:, None] + self._jump
            back[t] = reach.argmin(0)
            best = reach[back[t], np.arange(len(best))] + cost[t]
        path = [int(best.argmin())]
        for step in back[:0:-1]:
            path.append(int(step[path[-1]]))
        path = path[::-1][:count]
        self._last = path[-1]
        return path

    def _stretch(self, wanted: Float32) -> Float32:
        little = np.maximum(wanted - self._gaps, 0)
        much = np.maximum(wanted - TEARS * self._gaps - 0.02, 0)
        return np.asarray(STRETCH * little + TORN * much, np.float32)
