"""The choice of donors for each output frame, for the lips and for the inside of the mouth.

It minimises the sum of costs of matching and switching over time (Viterbi, IEEE Transactions on Information Theory
13(2), 1967), as unit selection does in speech synthesis (Hunt and Black, ICASSP 1996). Lips have to fit the shape. The
inside has to be open enough and stay the same, so that one set of teeth is seen as long as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from lipsync.engines.rewrite.donors import (
    Donor,
    descriptor_distances,
    donor_conditions,
    flaw,
    inner_gap,
    typical_focus,
)
from lipsync.engines.rewrite.jaws import UPPER_LIP
from lipsync.engines.rewrite.look import inside_detail
from lipsync.types import Float32

# Costs, comparable to a mean distance between lip points in eye distances:
SWITCH_COST, MAX_SWITCH_DISTANCE = 0.6, 0.05  # of another donor, per eye distance of difference up to a maximum
SWITCH_BASE_COST: Final = 0.006  # of any other donor
STRETCH_COST: Final = 0.3  # per eye distance that the donor is less open than the target
TEAR_COST: Final = 3.0  # per eye distance that the target exceeds the donor's gap times TEAR_RATIO
TEAR_RATIO: Final = 1.8
TEAR_SLACK: Final = 0.02  # eye distances
LIGHT_SLACK: Final = 0.004  # what the change of colour makes good
SMALL_SLACK, LARGE_SHARE = (
    0.003,
    0.25,
)  # for donors with fewer pixels than the target; share of the cost for more pixels
# The same for the inside:
INSIDE_SWITCH_COST: Final = 0.02  # of any other inside
PART_COST: Final = 2.0  # per eye distance that the donor is less open than the target
SQUEEZE_COST: Final = 0.06  # per eye distance that the donor is more open than the target
NARROW_COST: Final = 0.15  # per eye distance that the donor's mouth is narrower
CLENCHED_COST: Final = 0.15  # per eye distance of gap, where the donor does not show the edge of the upper teeth
HIDDEN_COST: Final = 0.2  # per eye distance of upper teeth that the donor's upper lip hides and the target's does not
INSIDE_FLAWS: Final = 2.0  # weight of the look's flaws
DETAIL_COST, MAX_DETAIL_COST = 0.06, 0.12  # per octave by which an inside's detail differs from the usual one; at most
SHUT, WIDE = 0.01, 0.08  # eye distances of gap between which costs rise, as more is seen
LEAST_SEEN: Final = 0.02  # of the costs while the lips are closed


class SteadyPath:
    """The cheapest sequence of choices, found with some lookahead and continued from run to run."""

    def __init__(self) -> None:
        self._last: int | None = None

    def extend(self, cost: Float32, switch: Float32, count: int) -> list[int]:
        """The first ``count`` choices of the next run.

        ``cost`` (n, k): of each choice at each time; ``switch`` (n, k, k) or (1, k, k): from one choice to another.
        """
        switch = np.broadcast_to(switch, (len(cost), *switch.shape[1:]))
        total = cost[0] + (0 if self._last is None else switch[0, self._last])
        previous = np.zeros(cost.shape, np.int32)
        for t in range(1, len(cost)):
            candidates = total[:, None] + switch[t]
            previous[t] = candidates.argmin(0)
            total = candidates[previous[t], np.arange(len(total))] + cost[t]
        path = [int(total.argmin())]
        for row in previous[:0:-1]:
            path.append(int(row[path[-1]]))
        path = path[::-1][:count]
        self._last = path[-1]
        return path


class DonorSelector:
    """Selects a donor for each frame: similar in shape, open enough, good in look, and steady over time."""

    def __init__(self, donors: Sequence[Donor]) -> None:
        self._descriptors, self._conditions = np.stack([donor.descriptor for donor in donors]), donor_conditions(donors)
        self._gaps = np.array([donor.gap for donor in donors], np.float32)
        typical = typical_focus(donors)
        self._costs = np.array([donor.cost + flaw(donor.look, typical) for donor in donors], np.float32)
        distance = np.nan_to_num(descriptor_distances(self._descriptors, self._descriptors))
        self._switch = SWITCH_COST * np.minimum(distance, MAX_SWITCH_DISTANCE) + SWITCH_BASE_COST * (distance > 0)
        self._path = SteadyPath()

    def choose(self, faces: Float32, descriptors: Float32, conditions: Float32, count: int) -> list[int]:
        """Numbers of the donors for the first ``count`` of the target faces (n, 468, 3); the others are lookahead.

        ``descriptors`` (n, 21, 2) and ``conditions`` (n, 4): those of the targets in the frames that they are rendered
        on.
        """
        cost = np.nan_to_num(descriptor_distances(descriptors, self._descriptors))
        cost += _opening_cost(inner_gap(faces)[:, None], self._gaps) + self._costs
        cost += _conditions_cost(conditions, self._conditions)
        return self._path.extend(cost, self._switch[None], count)


class InsideSelector:
    """Selects the donor of each frame's teeth, tongue and cavity: open enough, and the same as long as possible."""

    def __init__(self, donors: Sequence[Donor]) -> None:
        self._descriptors, self._conditions = np.stack([donor.descriptor for donor in donors]), donor_conditions(donors)
        self._gaps = np.array([_seen_gap(donor) for donor in donors], np.float32)
        self._tops = np.array([np.nan if donor.mouth.jaws is None else donor.mouth.jaws.top for donor in donors])
        parted = [donor.mouth.jaws is None or donor.mouth.jaws.parted for donor in donors]
        self._clenched = CLENCHED_COST * (1 - np.array(parted, np.float32))
        typical = typical_focus(donors)
        self._costs = np.array([donor.cost + INSIDE_FLAWS * flaw(donor.look, typical) for donor in donors], np.float32)
        self._costs += _detail_costs(donors)
        self._switch = INSIDE_SWITCH_COST * (1 - np.eye(len(donors), dtype=np.float32))
        self._path = SteadyPath()

    def choose(self, faces: Float32, descriptors: Float32, conditions: Float32, count: int) -> list[int]:
        """As ``DonorSelector.choose``."""
        gap = inner_gap(faces)[:, None]
        seen = np.clip((gap - SHUT) / (WIDE - SHUT), LEAST_SEEN, 1)
        tops = faces[:, list(UPPER_LIP), 1].mean(1)[:, None]
        squeezed = np.where(np.isfinite(self._gaps), np.maximum(self._gaps - gap, 0), 0)
        cost = PART_COST * np.maximum(gap - self._gaps, 0) + SQUEEZE_COST * squeezed
        narrower = np.nan_to_num(_widths(descriptors)[:, None] - _widths(self._descriptors))
        cost += NARROW_COST * np.maximum(narrower, 0)
        cost += self._clenched * gap
        cost += HIDDEN_COST * np.maximum(np.nan_to_num(self._tops - tops), 0)
        cost += np.nan_to_num(descriptor_distances(descriptors[:, 20:], self._descriptors[:, 20:])) / 21
        cost += self._costs + _conditions_cost(conditions, self._conditions)
        return self._path.extend(np.asarray(seen * cost, np.float32), seen[..., None] * self._switch, count)


def _seen_gap(donor: Donor) -> float:
    """The gap between the lips that the donor's image shows, in eye distances."""
    return donor.gap * donor.mouth.seen.gap / max(donor.mouth.lips.gap, 1e-3)


def _detail_costs(donors: Sequence[Donor]) -> Float32:
    """The costs (n,) of insides with unusual detail: motion blurs them, they are dim, or they glare."""
    detail = np.array([np.nan if donor.mouth.points is None else inside_detail(donor.mouth) for donor in donors])
    if not np.isfinite(detail).any():
        return np.zeros(len(donors), np.float32)
    detail = np.maximum(detail, 1)  # code value
    octaves = np.nan_to_num(np.log2(detail / np.nanmedian(detail)))
    return np.asarray(np.minimum(DETAIL_COST * np.abs(octaves), MAX_DETAIL_COST), np.float32)


def _widths(descriptors: Float32) -> Float32:
    """The widths (n,) of the mouths of ``descriptors`` (n, 21, 2)."""
    return np.asarray(np.linalg.norm(descriptors[:, 0] - descriptors[:, 10], axis=1), np.float32)


def _opening_cost(gap: Float32, gaps: Float32) -> Float32:
    stretch = np.maximum(gap - gaps, 0)
    tear = np.maximum(gap - TEAR_RATIO * gaps - TEAR_SLACK, 0)
    return np.asarray(STRETCH_COST * stretch + TEAR_COST * tear, np.float32)


def _conditions_cost(wanted: Float32, conditions: Float32) -> Float32:
    difference = np.nan_to_num(wanted[:, None] - conditions)
    light = np.maximum(np.abs(difference[..., :3]).sum(-1) - LIGHT_SLACK, 0)
    size = difference[..., 3]
    size = np.maximum(size, 0) + LARGE_SHARE * np.maximum(-size, 0)
    return np.asarray(light + np.maximum(size - SMALL_SLACK, 0), np.float32)
