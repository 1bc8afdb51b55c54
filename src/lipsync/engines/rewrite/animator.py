"""The footage's own face, moved as rows of motion tell it, wherever those come from.

The skin of each frame stays that frame's own and is only moved; donors from elsewhere give the inside of the mouth.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lipsync.engines.base import Rendered
from lipsync.engines.rewrite.donors import Donor, DonorSelector, traits
from lipsync.engines.rewrite.drawn_mouth import cavity_colour, drawn_donor
from lipsync.engines.rewrite.footage_stats import FootageStats
from lipsync.engines.rewrite.render import WarpLayer, render
from lipsync.engines.rewrite.shape import influence, opened
from lipsync.engines.rewrite.warp import skin_triangles
from lipsync.faces.geometry import canonical_face
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track
from lipsync.frames.order import ping_pong_index
from lipsync.speech.motion import Basis
from lipsync.types import Face, Float32, Frame

AHEAD = 12  # frames that the choice of donors looks ahead
OPEN = 0.2  # eye distances by which the mouth is open when the mesh is cut into triangles
FADE = (0.25, 0.5, 0.25)  # shares of the previous, this and the next frame's donor


@dataclass(frozen=True, slots=True)
class Target:
    """One output frame's lower face: ``mesh`` (468, 3) in the face frame, and whose mouth fills it."""

    mesh: Float32
    layers: tuple[WarpLayer, ...]


class Animator:
    """One job's: ``observe`` sees all footage, then ``animate`` runs once."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        canonical = canonical_face()
        weight = influence(canonical)
        self._influence = weight[:, None]
        self._triangles = skin_triangles(opened(canonical, OPEN), weight)
        self._study = FootageStats(canonical)

    def observe(self, picture: Frame, face: Face | None) -> None:
        if face is not None:
            self._study.observe(picture, face)

    def closed(self) -> Float32:
        """The speaker's closed mouth, which motion is told from: (468, 3) in the face frame."""
        return self._study.closed()

    def animate(
        self, pictures: Iterable[Frame], motion: Iterator[Float32], track: Track, ahead: int = AHEAD
    ) -> Generator[Rendered, None, None]:
        """Each picture with its face moved by its row of ``motion``, which comes in pieces (m, K).

        A picture is taken after its row, and ``ahead`` rows and a piece behind the last row that was taken, at most.
        """
        donors, cavity = self._cast()
        window = SmoothedFaces(track)
        targets = self._targets(_looking_ahead(motion, ahead), donors, window)
        for target, picture in zip(targets, pictures, strict=True):
            yield Rendered(picture, self._render(picture, target, window, cavity))

    def _cast(self) -> tuple[list[Donor], Float32]:
        study = self._study
        cavity = cavity_colour(study.shelf.donors, study.depth)
        return [*study.shelf.donors, drawn_donor(study.closed(), study.skin(), cavity, study.depth)], cavity

    def _targets(
        self, runs: Iterator[tuple[Float32, int]], donors: list[Donor], window: SmoothedFaces
    ) -> Iterator[Target]:
        closed, casting = self._study.closed(), DonorSelector(donors)
        previous: int | None = None
        first = 0
        for rows, count in runs:
            meshes = closed + self._basis.displacement(rows)
            heads = window.rotations([ping_pong_index(first + k, window.length) for k in range(len(rows))])
            looks = traits(meshes, heads)
            chosen = casting.choose(meshes, looks, min(count + 1, len(rows)))
            first += count
            for i in range(count):
                before = chosen[i] if previous is None else previous
                after = chosen[min(i + 1, len(chosen) - 1)]
                yield Target(meshes[i], _layers(donors, (before, chosen[i], after)))
                previous = chosen[i]

    def _render(self, picture: Frame, target: Target, window: SmoothedFaces, cavity: Float32) -> bool:
        face = window.at(picture.index)
        if face is None:
            return False
        weight = self._influence * face.strength
        mesh = (1 - weight) * face.mesh + weight * target.mesh
        points = face.pose.to_frame(mesh[None])[0, :, :2]
        unit = float(face.pose.scale[0])
        return render(picture, face.points, points, unit, self._triangles, target.layers, cavity)


def _layers(donors: list[Donor], chosen: tuple[int, int, int]) -> tuple[WarpLayer, ...]:
    shares: dict[int, float] = {}
    for number, share in zip(chosen, FADE, strict=True):
        shares[number] = shares.get(number, 0) + share
    return tuple(WarpLayer(donors[number].mouth, share) for number, share in shares.items())


def _looking_ahead(motion: Iterator[Float32], ahead: int) -> Iterator[tuple[Float32, int]]:
    """Rows of motion in runs, each with ``ahead`` rows of what follows or less: (rows, how many are this run's)."""
    held: Float32 | None = None
    for rows in motion:
        held = rows if held is None else np.concatenate([held, rows])
        if len(held) > ahead:
            yield held, len(held) - ahead
            held = held[len(held) - ahead :]
    if held is not None and len(held):
        yield held, len(held)
