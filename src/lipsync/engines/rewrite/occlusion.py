"""Keep what is in front of the mouth: hands, microphones, captions.

Cells of the face whose colour differs from the person's usual one, from the edge of the lower face inwards, belong to
something in front of it. A matte of them holds the source's pixels out of the edit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.engines.reservoir import Reservoir
from lipsync.engines.rewrite.face_grid import SIDE, FaceColours, FaceGrid
from lipsync.engines.rewrite.usual_look import LightFit, UsualLook, usual_look
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.frames.blend import smoothstep
from lipsync.types import Float32, Frame

T = TypeVar("T")

SAMPLE_SIZE: Final = 240  # faces of the whole video
SAMPLE_INTERVAL: Final = 2  # frames between two of them, which differ more than neighbours do
SHOT_SAMPLES: Final = 48  # of one shot that its look is computed from
NOISE_SIGMA: Final = 0.7  # cells
DIFFERENT, CLEARLY_DIFFERENT = 2.0, 3.0  # standard deviations
GLARING: Final = 9.0  # the same for letters and logos, which need not reach the edge of the lower face
LETTERS_SHARE: Final = 0.1  # of clearly different cells that glare, from which they are letters
MIN_SHARE: Final = 0.02  # of the lower face's cells that differ clearly
MIN_FURTHER: Final = 16  # such cells of a part that does not reach the edge, beside one that does
LARGE_SHARE: Final = 0.2  # of them that differ at all: then no part needs to reach the edge
GAP_CELLS: Final = 15  # up to which cells between parts belong to the same thing
MAX_COVERED: Final = 0.5  # of the mouth, from which a frame is not edited
MAX_HIDDEN: Final = 0.02  # of the mouth of a donor
NOTHING: Final = np.zeros((SIDE, SIDE), np.float32)
FADE_FRAMES: Final = 3  # over which the edit fades towards such frames


@dataclass(frozen=True, slots=True)
class Occlusion:
    """``matte`` (SIDE, SIDE): 0..1, how much of a cell something covers. ``covered``: share of the mouth.

    ``behind`` (SIDE, SIDE, 3): the face's usual Y'CbCr in the frame's light, 8-bit code values.
    ``strength``: 0..1, how much of the edit to show. ``letters``: whether it is a caption or a logo.
    """

    matte: Float32
    covered: float
    behind: Float32 | None = None
    strength: float = 1.0
    letters: bool = False


class Occluders:
    """Learns the look of the face in the first pass, and finds what covers it in the second."""

    def __init__(self, canonical: Float32) -> None:
        self.grid = FaceGrid(canonical)
        self._samples: Reservoir[FaceColours | None] = Reservoir(SAMPLE_SIZE)
        self._latest: tuple[int, FaceColours | None] | None = None
        self._looks: dict[int, UsualLook | None] | None = None
        self._lights: dict[int, LightFit] = {}  # of the last frame, by its shot
        self._found: tuple[int, Occlusion | None] | None = None  # in the last frame, by its index

    def observe(self, frame: Frame, points: Float32) -> None:
        """Learn from a frame with the face at ``points`` (468, >= 2) in pixels."""
        if frame.index % SAMPLE_INTERVAL == 0:
            self._samples.offer(lambda: self.colours(frame, points))

    def colours(self, frame: Frame, points: Float32) -> FaceColours | None:
        """The cells of a frame of the first pass; see ``FaceGrid.sample``. Computed once for each frame."""
        if self._latest is None or self._latest[0] != frame.index:
            self._latest = frame.index, self.grid.sample(frame, points)
        return self._latest[1]

    def over_mouth(self, colours: FaceColours | None, faces: SmoothedFaces) -> Occlusion | None:
        """The occlusion of a part of the mouth in a frame of the first pass; None if nothing covers it."""
        look = None if colours is None else self._look(faces.track.shot_number(colours.index), faces)
        if colours is None or look is None:
            return None
        found, _ = self._cover(colours, look)
        return found if found is not None and found.covered > MAX_HIDDEN else None

    def follow(
        self, frames: Iterable[tuple[Frame, T]], faces: SmoothedFaces
    ) -> Iterator[tuple[Frame, T, Occlusion | None]]:
        """Each frame, what came with it, and what covers its face, FADE_FRAMES behind the source."""
        window: deque[tuple[Frame, T]] = deque()
        found: deque[_Found] = deque()
        past: deque[_Found] = deque(maxlen=FADE_FRAMES)
        for frame, item, seen in self._examined(frames, faces):
            window.append((frame, item))
            found.append(seen)
            if len(window) > FADE_FRAMES:
                yield *window.popleft(), _settled(found, past)
        while window:
            yield *window.popleft(), _settled(found, past)

    def _examined(self, frames: Iterable[tuple[Frame, T]], faces: SmoothedFaces) -> Iterator[tuple[Frame, T, _Found]]:
        """Examine every other frame, and those between only if a neighbour shows something."""
        waiting: tuple[Frame, T, int] | None = None
        last: _Found | None = None
        for frame, item in frames:
            shot = faces.track.shot_number(frame.index)
            if waiting is None and last is not None and last.shot == shot:
                waiting = frame, item, shot
                continue
            found = _Found(shot, self._find(frame, shot, faces))
            if waiting is not None:
                covered = (last is not None and last.occlusion is not None) or found.occlusion is not None
                yield self._between(*waiting, covered, faces)
            waiting, last = None, found
            yield frame, item, found
        if waiting is not None:
            yield self._between(*waiting, True, faces)

    def _between(
        self, frame: Frame, item: T, shot: int, covered: bool, faces: SmoothedFaces
    ) -> tuple[Frame, T, _Found]:
        return frame, item, _Found(shot, self._find(frame, shot, faces) if covered else None)

    def _find(self, frame: Frame, shot: int, faces: SmoothedFaces) -> Occlusion | None:
        """The cover of the face, found once for a photo, which is the same frame again and again."""
        if self._found is None or self._found[0] != frame.index:
            self._found = frame.index, self._find_anew(frame, shot, faces)
        return self._found[1]

    def _find_anew(self, frame: Frame, shot: int, faces: SmoothedFaces) -> Occlusion | None:
        face, look = faces.at(frame.index), self._look(shot, faces)
        colours = None if face is None or look is None else self.grid.sample(frame, face.points)
        if colours is None or look is None:
            return None
        found, light = self._cover(colours, look, self._lights.get(shot))
        self._lights = {shot: light}
        return found

    def _cover(
        self, colours: FaceColours, look: UsualLook, last: LightFit | None = None
    ) -> tuple[Occlusion | None, LightFit]:
        """The occlusion of a face, None if nothing covers it, and its light; ``last``: that of the frame before."""
        difference, light = look.difference(colours, last)
        matte = covering(difference, self.grid)
        if matte is None:
            return None, light
        behind = look.lit(light).reshape(-1, 3)[self.grid.nearest]
        letters = _glaring_share(matte, difference, self.grid) > LETTERS_SHARE
        return Occlusion(matte, _mouth_share(matte, self.grid), behind, letters=letters), light

    def _look(self, shot: int, faces: SmoothedFaces) -> UsualLook | None:
        if self._looks is None:
            self._looks = {}
            of_shot: dict[int, list[FaceColours]] = {}
            for colours in self._samples.items:
                if colours is not None:
                    of_shot.setdefault(faces.track.shot_number(colours.index), []).append(colours)
            for number, samples in of_shot.items():
                self._looks[number] = usual_look(samples[:: -(-len(samples) // SHOT_SAMPLES)], self.grid)
        return self._looks.get(shot)


def _mouth_share(matte: Float32, grid: FaceGrid) -> float:
    return float(matte[grid.mouth].mean())


def _glaring_share(matte: Float32, difference: Float32, grid: FaceGrid) -> float:
    """The share of the cells under a matte that differ clearly and glare."""
    smooth = _smoothed(difference, grid)
    covered = (matte > 0.5) & grid.lower & (smooth > CLEARLY_DIFFERENT)
    return float((smooth > GLARING)[covered].mean()) if covered.any() else 0.0


def _smoothed(difference: Float32, grid: FaceGrid) -> Float32:
    return np.asarray(cv2.GaussianBlur(difference.reshape(-1)[grid.nearest], (0, 0), NOISE_SIGMA), np.float32)


def covering(difference: Float32, grid: FaceGrid) -> Float32 | None:
    """The matte (SIDE, SIDE) of what covers the face, from the cells' difference; None if nothing does."""
    smooth = _smoothed(difference, grid)
    different, clear, glaring = ((smooth > limit) & grid.skin for limit in (DIFFERENT, CLEARLY_DIFFERENT, GLARING))
    cells = int(grid.lower.sum())
    if max((clear & grid.lower).sum() / MIN_SHARE, (different & grid.lower).sum() / LARGE_SHARE) < cells:
        return None
    count, parts = cv2.connectedComponents(different.astype(np.uint8), connectivity=8)
    size, sizes, glares = (
        np.bincount(parts[some & grid.lower], minlength=count) for some in (different, clear, glaring)
    )
    reaching = np.bincount(parts[grid.edge], minlength=count) > 0
    main = ((sizes >= MIN_SHARE * cells) & reaching) | (glares >= MIN_SHARE * cells)
    if different[grid.lower].mean() > LARGE_SHARE:
        main |= size >= MIN_SHARE * cells
    main[0] = False
    if not main.any():
        return None
    kept = main | (sizes >= MIN_FURTHER)
    kept[0] = False
    mask = kept[parts].astype(np.uint8)
    whole = _joined(mask, grid)
    near = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
    soft = np.maximum(whole, smoothstep((smooth - DIFFERENT / 2) / (DIFFERENT / 2)) * near)
    return np.asarray(np.maximum(soft.reshape(-1)[grid.nearest], whole), np.float32)


def _joined(mask: NDArray[np.uint8], grid: FaceGrid) -> NDArray[np.uint8]:
    """Fill the gaps (SIDE, SIDE) between parts, and the hull of what reaches from above the mouth to below it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP_CELLS, GAP_CELLS))
    padded = cv2.copyMakeBorder(mask, *(4 * (GAP_CELLS,)), cv2.BORDER_REPLICATE)
    inner = slice(GAP_CELLS, -GAP_CELLS)
    closed = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[inner, inner], np.uint8)
    columns, mouth = grid.mouth.any(0), np.flatnonzero(grid.mouth.any(1))
    count, parts = cv2.connectedComponents(closed, connectivity=8)
    for number in range(1, count):
        rows = np.flatnonzero((parts == number)[:, columns].any(1))
        if len(rows) and rows[0] <= mouth[0] and rows[-1] > mouth[-1]:
            cells = np.argwhere(parts == number)[:, ::-1].astype(np.int32)
            cv2.fillConvexPoly(closed, cv2.convexHull(cells), 1)
    return closed


@dataclass(frozen=True, slots=True)
class _Found:
    shot: int
    occlusion: Occlusion | None


def _settled(found: deque[_Found], past: deque[_Found]) -> Occlusion | None:
    """Take the oldest frame, and decide on it with those before and after it in its shot."""
    now = found.popleft()
    before = [other.occlusion for other in reversed(past) if other.shot == now.shot]
    after = [other.occlusion for other in found if other.shot == now.shot]
    past.append(now)
    occlusion = now.occlusion
    if not any(other is not None for other in (*before[:1], *after[:1])):
        occlusion = None  # a single frame: noise
    earlier, later = ([k for k, other in enumerate(others, 1) if _blocked(other)] for others in (before, after))
    nearest = 0 if _blocked(occlusion) or (earlier and later) else min([*earlier, *later, FADE_FRAMES + 1])
    strength = min(nearest / (FADE_FRAMES + 1), 1.0)
    if occlusion is not None:
        return replace(occlusion, strength=strength)
    return None if strength == 1 else Occlusion(NOTHING, 0.0, strength=strength)


def _blocked(found: Occlusion | None) -> bool:
    return found is not None and found.covered > MAX_COVERED
