"""Animate the video's own face from motion coefficients, whatever their source.

Each frame keeps its own skin, which a mesh only moves. Donor images from elsewhere in the video fill the mouth.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lipsync.engines.base import Rendered
from lipsync.engines.rewrite.closing import without_overlap
from lipsync.engines.rewrite.contact import Gap, contact_shade
from lipsync.engines.rewrite.donor_choice import DonorSelector, InsideSelector
from lipsync.engines.rewrite.donors import Donor, conditions, mouth_descriptors
from lipsync.engines.rewrite.drawn_mouth import DrawnMouth
from lipsync.engines.rewrite.footage_stats import FootageStats
from lipsync.engines.rewrite.hold_out import hold_out, painted
from lipsync.engines.rewrite.jaws import Jaws, measure_jaws
from lipsync.engines.rewrite.mouth import Drawing, Mouth
from lipsync.engines.rewrite.mouth_layers import MouthLayers, WarpLayer
from lipsync.engines.rewrite.occlusion import Occlusion
from lipsync.engines.rewrite.render import render_face
from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.synthetic_mouth import cavity_colour, drawn_donor, teeth_colour, with_usual_detail
from lipsync.engines.rewrite.typical_lips import with_lip_costs
from lipsync.engines.rewrite.warp import skin_triangles
from lipsync.faces.geometry import canonical_face
from lipsync.faces.smoothed_faces import FrameFace, SmoothedFaces
from lipsync.frames.order import ping_pong_index
from lipsync.frames.prefetch import prefetch
from lipsync.speech.motion import Basis
from lipsync.types import Face, Float32, Frame

LOOKAHEAD_FRAMES: Final = 12  # for the choice of donors
TRIANGULATION_GAP: Final = 0.2  # eye distances: the mouth's opening in the mesh that is triangulated
CROSSFADE: Final = (0.25, 0.5, 0.25)  # weights of the previous, the current and the next frame's donor


@dataclass(frozen=True, slots=True)
class Target:
    """One output frame's lower face: its ``mesh`` (468, 3) in the face frame, and the donors that fill its mouth."""

    mesh: Float32
    layers: MouthLayers


class Animator:
    """Animates one video: call ``observe`` with every frame in order, then ``animate`` once."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        canonical = canonical_face()
        weight = influence(canonical)
        self._influence = weight[:, None]
        self._triangles = skin_triangles(open_lips(canonical, TRIANGULATION_GAP), weight)
        self._stats = FootageStats(canonical, basis)
        self._covered_frames = 0

    def observe(self, frame: Frame, face: Face | None) -> None:
        if face is not None:
            self._stats.observe(frame, face)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on frames that were not animated, for ``RunInfo``."""
        count = self._covered_frames
        return (f"frames copied unchanged because something covers the mouth: {count}",) if count else ()

    def closed_mouth(self) -> Float32:
        """The speaker's closed mouth, the origin of the motion: (468, 3) in the face frame."""
        return self._stats.closed_mouth()

    def animate(
        self,
        frames: Iterable[Frame],
        motion: Iterator[Float32],
        faces: SmoothedFaces,
        lookahead: int = LOOKAHEAD_FRAMES,
    ) -> Generator[Rendered, None, None]:
        """Yield each frame with its face moved by its row of ``motion``, an iterator of chunks (m, K).

        Each frame is read after its row of motion, at most ``lookahead`` rows and one chunk later, in a thread that
        is a few frames ahead.
        """
        stats = self._stats
        filmed = self._uncovered_donors(faces)
        drawn = self._drawn_mouth(filmed)
        gap = Gap(drawn.cavity, contact_shade([donor.mouth for donor in filmed]), drawn.blur)
        donors = [*filmed, drawn_donor(filmed, stats.closed_mouth(), stats.typical_light())]
        targets = self._targets(_with_lookahead(motion, lookahead), donors, faces)
        pairs = ((frame, target) for target, frame in zip(targets, frames, strict=True))
        with prefetch(stats.occluders.follow(pairs, faces), depth=4) as examined:  # while other frames are rendered
            for frame, target, occlusion in examined:
                face = faces.at(frame.index)
                edited = face is not None and self._render_behind(occlusion, frame, face, target, drawn, gap)
                yield Rendered(frame, edited)

    def _uncovered_donors(self, faces: SmoothedFaces) -> Sequence[Donor]:
        """The donors whose mouth nothing covers; if it is covered in each, all, without what covers it."""
        donors, occluders = self._stats.filmed_donors(), self._stats.occluders
        covers = [occluders.over_mouth(donor.colours, faces) for donor in donors]
        uncovered = [donor for donor, cover in zip(donors, covers, strict=True) if cover is None]
        if not uncovered:
            uncovered = [self._painted(donor, cover) for donor, cover in zip(donors, covers, strict=True)]
        return with_lip_costs(uncovered)

    def _painted(self, donor: Donor, cover: Occlusion | None) -> Donor:
        mouth = donor.mouth
        if cover is None or cover.behind is None or not cover.letters or mouth.points is None:
            return donor
        grid = self._stats.occluders.grid
        patch = painted(mouth.patch, mouth.points, cover.matte, cover.behind, grid, mouth.lips.unit)
        return replace(donor, mouth=replace(mouth, patch=patch))

    def _drawn_mouth(self, donors: Sequence[Donor]) -> DrawnMouth:
        """The drawn inside of the mouth, in the footage's colours, for what the donors do not show."""
        stats = self._stats
        look = stats.appearance()
        teeth = teeth_colour(donors, look.lips, look.black)
        look = look if teeth is None else replace(look, enamel=teeth)
        closed = stats.closed_mouth()
        drawn = DrawnMouth(closed, look, cavity_colour(donors, look.lips, look.black))
        return with_usual_detail(drawn, closed, donors)

    def _targets(
        self, runs: Iterator[tuple[Float32, int]], donors: list[Donor], faces: SmoothedFaces
    ) -> Iterator[Target]:
        closed, selectors = self._stats.closed_mouth(), (DonorSelector(donors), InsideSelector(donors))
        previous: list[int | None] = [None, None]
        first = 0
        for rows, count in runs:
            meshes = closed + self._basis.displacement(without_overlap(rows, self._basis))
            shown = [ping_pong_index(first + k, faces.length) for k in range(len(rows))]
            pose, light = faces.poses(shown), self._stats.lights.smoothed(shown)
            descriptors, filmed = mouth_descriptors(meshes, pose.rotation), conditions(light, pose.scale)
            ahead = min(count + 1, len(rows))
            chosen = [selector.choose(meshes, descriptors, filmed, ahead) for selector in selectors]
            first += count
            for i in range(count):
                mixes = [crossfade_weights(path, i, last) for path, last in zip(chosen, previous, strict=True)]
                lips, inside = (_layers(donors, mix, light[i]) for mix in mixes)
                yield Target(meshes[i], MouthLayers(lips, inside, donors[-1].mouth.lit(light[i])))
                previous = [path[i] for path in chosen]

    def _render_behind(
        self,
        occlusion: Occlusion | None,
        frame: Frame,
        face: FrameFace,
        target: Target,
        drawn: DrawnMouth,
        gap: Gap,
    ) -> bool:
        """Render behind what covers the face; a frame whose mouth is covered stays unchanged."""
        if occlusion is None:
            return self._render(frame, face, target, drawn, gap)
        if occlusion.strength == 0:
            self._covered_frames += 1
            return False
        unit = float(face.pose.scale[0])
        grid, matte, behind = self._stats.occluders.grid, occlusion.matte, occlusion.behind
        kept = hold_out(frame, face.points, matte, behind, grid, unit, letters=occlusion.letters)
        weakened = replace(face, strength=face.strength * occlusion.strength)
        edited = self._render(frame, weakened, target, drawn, gap)
        if kept is not None:
            kept.restore(frame)
        return edited

    def _render(self, frame: Frame, face: FrameFace, target: Target, drawn: DrawnMouth, gap: Gap) -> bool:
        weight = self._influence * face.strength
        mesh = (1 - weight) * face.mesh + weight * target.mesh
        points = face.pose.to_frame(mesh[None])[0, :, :2]
        eye_distance = float(face.pose.scale[0])
        jaws = measure_jaws(face.pose, mesh)
        posed = drawn.posed(face.pose, mesh, frame.index)
        inside = tuple(replace(layer, mouth=_in_head(layer.mouth, jaws, posed)) for layer in target.layers.inside)
        back = None if target.layers.back is None else _in_head(target.layers.back, jaws, posed)
        layers = replace(target.layers, inside=inside, back=back)
        return render_face(frame, face.points, points, eye_distance, self._triangles, layers, gap)


def _in_head(mouth: Mouth, jaws: Jaws, posed: Drawing) -> Mouth:
    """The mouth placed in a head; if it has no image, it is drawn."""
    return replace(mouth, drawing=posed) if mouth.points is None else mouth.placed(jaws)


def _layers(donors: Sequence[Donor], weights: dict[int, float], light: Float32) -> tuple[WarpLayer, ...]:
    return tuple(WarpLayer(donors[k].mouth.lit(light), weight) for k, weight in weights.items())


def crossfade_weights(chosen: Sequence[int], index: int, previous: int | None) -> dict[int, float]:
    """The weight of each donor number in frame ``index``; ``previous`` is the donor of the frame before."""
    current = chosen[index]
    before = current if previous is None else previous
    after = chosen[min(index + 1, len(chosen) - 1)]
    weights: dict[int, float] = {}
    for number, weight in zip((before, current, after), CROSSFADE, strict=True):
        weights[number] = weights.get(number, 0) + weight
    return weights


def _with_lookahead(motion: Iterator[Float32], lookahead: int) -> Iterator[tuple[Float32, int]]:
    """Runs of motion rows, each followed by at most ``lookahead`` rows of the next: (rows, length of the run)."""
    buffer: Float32 | None = None
    for rows in motion:
        buffer = rows if buffer is None else np.concatenate([buffer, rows])
        if len(buffer) > lookahead:
            yield buffer, len(buffer) - lookahead
            buffer = buffer[len(buffer) - lookahead :]
    if buffer is not None and len(buffer):
        yield buffer, len(buffer)
