"""Add detail to one frame: from the source frame where it shows the same, else sharp edges and skin grain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.bands import (
    blurred,
    correlation,
    fine_energy,
    grain_of,
    laplacian,
    missing_detail,
    shock_filter,
    similarity,
    tiled,
)
from lipsync.enhancers.detail.warp import polygon_mask, source_map, unit_of
from lipsync.faces.geometry import INNER_TOP, LIPS_INNER, LIPS_OUTER
from lipsync.faces.region import Region, region_of
from lipsync.frames.difference import changed_box, changed_mask
from lipsync.frames.patch import quantise, remap
from lipsync.types import Box, Float32, Frame, Plane

GENERATOR_SIDE: Final = 96  # pixels across a face
EDGE: Final = 0.05  # eye distances in which the detail fades at the edge of the changed area
MARGIN: Final = 4.0  # generator pixels around the changed area, for the filters
CHEEKS: Final = (205, 425)
CHEEK: Final = 0.16  # eye distances: half the side of the patch that grain is taken from
TEETH_SHARPENING = 0.9  # of the lips': more would merge teeth and gaps
MAX_SHARPENING = 1.0  # more would cause halos
SIMILARITY_WEIGHT, SHARPENING_WEIGHT, SHARPNESS_WEIGHT = 0.5, 0.3, 0.1  # of a new frame in running averages


@dataclass(slots=True)
class TemporalState:
    """Running averages over the frames of a run without a cut.

    ``similarity``: of the source, within ``box``, for a head in ``region``. ``sharpness``: of the source's lips, as the
    mean square of the Laplacian. ``sharpening`` 0..1: of the edges.
    """

    similarity: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    box: Box = field(default_factory=lambda: Box(0, 0, 0, 0))
    region: Region = field(default_factory=lambda: Region(0, 0, 1, 0))
    sharpness: float | None = None
    sharpening: float | None = None


@dataclass(frozen=True, slots=True)
class _Patch:
    """A box of a frame: luma (h, w) in 8-bit code values, ``after`` and ``before`` the edit.

    ``after_mesh``, ``before_mesh``: (468, 2), in pixels of the frame. ``eye_distance``: pixels. ``pixel``: pixels per
    pixel of the generator.
    """

    box: Box
    after: Float32
    before: Float32
    after_mesh: Float32
    before_mesh: Float32
    eye_distance: float
    pixel: float


def transfer_detail(
    edit: EditedFrame, before_mesh: Float32, after_mesh: Float32, strength: float, state: TemporalState
) -> None:
    """Add the detail of ``edit.before`` to the changed part of ``edit.after``, in place.

    ``before_mesh``, ``after_mesh``: (468, 2), in pixels. Only luma is changed: it determines perceived sharpness, and
    4:2:0 chroma has little detail.
    """
    frame = edit.after
    changed = changed_box(edit.before, frame)
    if changed is None:
        return
    unit = unit_of(before_mesh)
    pixel = float(np.sqrt(np.prod(np.ptp(before_mesh, axis=0)))) / GENERATOR_SIDE
    height, width = frame.y.shape
    box = changed.grown(round(MARGIN * pixel) + 2).even().intersection(Box(0, 0, width, height))
    patch = _Patch(box, _luma(frame, box), _luma(edit.before, box), after_mesh, before_mesh, unit, pixel)
    mask = changed_mask(edit.before, frame, box, max(1.5, EDGE * unit)) * np.float32(strength)
    luma = patch.after + mask * (_add_detail(patch, state) - patch.after)
    scale = np.float32(1 << (frame.depth - 8))
    frame.y[box.luma] = quantise(luma * scale, frame.depth)


def _add_detail(patch: _Patch, state: TemporalState) -> Float32:
    """Return the luma of the patch with detail."""
    coordinates = source_map(patch.after_mesh, patch.before_mesh, patch.box)
    warped = np.asarray(remap(cast(Plane, patch.before), coordinates), np.float32)
    agreement = correlation(patch.after, warped, patch.pixel)
    same = _similarity(patch, warped, agreement, state)
    no_target = cast(Float32, None)  # as in frames.patch
    energy = cv2.remap(fine_energy(patch.before, patch.pixel), coordinates, no_target, cv2.INTER_LINEAR)
    detail = missing_detail(patch.after, warped, patch.pixel, np.asarray(energy, np.float32), agreement)
    textured = patch.after + same * detail + np.sqrt(1 - same * same) * _grain(patch)
    lips = _soft_mask(patch.after_mesh, LIPS_OUTER, patch, 1.0)
    inside = _soft_mask(patch.after_mesh, LIPS_INNER, patch, 0.4)
    edges = _edge_sharpening(patch, lips) * (1 - same) * (1 - (1 - TEETH_SHARPENING) * inside)
    return np.asarray(textured + _sharpening_strength(patch, textured, edges, state) * edges, np.float32)


def _edge_sharpening(patch: _Patch, lips: Float32) -> Float32:
    """Return the change that narrows the edges of lips and teeth, weighted by ``lips`` 0..1."""
    left, top, width, height = cv2.boundingRect((lips > 0).astype(np.uint8))
    rows, columns = slice(top, top + height), slice(left, left + width)
    change = np.zeros_like(lips)
    if width and height:
        luma = patch.after[rows, columns]
        change[rows, columns] = (shock_filter(luma, patch.pixel) - luma) * lips[rows, columns]
    return change


def _similarity(patch: _Patch, warped: Float32, agreement: Float32, state: TemporalState) -> Float32:
    """Return where the warped source shows the same as the frame, 0..1; inside the mouth it must also agree.

    Increases are smoothed over time, with the earlier values moved along with the head.
    """
    uncertain = _soft_mask(patch.after_mesh, LIPS_INNER, patch, 0.4) * (1 - agreement)
    same = similarity(patch.after, warped, patch.pixel) * (1 - uncertain)
    region, box = region_of(patch.before_mesh), patch.box
    if state.similarity.size:
        now = np.vstack([region.matrix(GENERATOR_SIDE), [0, 0, 1]])
        earlier = np.vstack([state.region.matrix(GENERATOR_SIDE), [0, 0, 1]])
        matrix = (earlier @ np.linalg.inv(now))[:2]
        matrix[:, 2] += matrix[:, :2] @ [box.left, box.top] - [state.box.left, state.box.top]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (box.width, box.height)
        previous = cv2.warpAffine(state.similarity, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        average = SIMILARITY_WEIGHT * same + (1 - SIMILARITY_WEIGHT) * np.asarray(previous, np.float32)
        same = np.minimum(same, average)
    state.similarity, state.box, state.region = np.asarray(np.clip(same, 0, 1), np.float32), box, region
    return state.similarity


def _sharpening_strength(patch: _Patch, textured: Float32, edges: Float32, state: TemporalState) -> float:
    """Return the share of ``edges`` that makes the lips as sharp as the source's, 0..1, smoothed over time."""
    after, before = (_around_lips(mesh, patch) for mesh in (patch.after_mesh, patch.before_mesh))
    sharpness = float(np.square(laplacian(patch.before)[before]).mean()) if before.any() else 0.0
    state.sharpness = (
        sharpness if state.sharpness is None else state.sharpness + SHARPNESS_WEIGHT * (sharpness - state.sharpness)
    )
    current, added = laplacian(textured)[after], laplacian(edges)[after]
    if not current.size:
        return 0.0
    # Solve mean((current + strength * added)^2) = sharpness.
    square, cross = float(np.square(added).mean()) + 1e-6, float((current * added).mean())
    missing = state.sharpness - float(np.square(current).mean())
    root = np.sqrt(max(cross * cross + square * missing, 0))
    strength = float(np.clip((root - cross) / square, 0, MAX_SHARPENING))
    state.sharpening = (
        strength if state.sharpening is None else state.sharpening + SHARPENING_WEIGHT * (strength - state.sharpening)
    )
    return state.sharpening


def _around_lips(mesh: Float32, patch: _Patch) -> NDArray[np.bool_]:
    side = 2 * round(patch.pixel) + 1
    return np.asarray(cv2.dilate(polygon_mask(mesh[list(LIPS_OUTER)], patch.box), np.ones((side, side), np.uint8)) > 0)


def _grain(patch: _Patch) -> Float32:
    """Return the grain of the smoother cheek, tiled over the patch; it moves with the head."""
    best: Float32 | None = None
    reach = max(4, round(CHEEK * patch.eye_distance))
    for landmark in CHEEKS:
        x, y = np.rint(patch.before_mesh[landmark] - [patch.box.left, patch.box.top]).astype(int)
        skin = patch.before[max(0, y - reach) : max(0, y + reach), max(0, x - reach) : max(0, x + reach)]
        if min(skin.shape) < reach:
            continue
        tile = grain_of(skin, patch.pixel)
        if best is None or np.abs(tile).mean() < np.abs(best).mean():
            best = tile
    if best is None:
        return np.zeros_like(patch.after)
    x, y = np.rint(patch.before_mesh[INNER_TOP] - [patch.box.left, patch.box.top]).astype(int)
    return tiled(best, (x, y), patch.after.shape)


def _soft_mask(mesh: Float32, outline: tuple[int, ...], patch: _Patch, softness: float) -> Float32:
    inside = np.asarray(polygon_mask(mesh[list(outline)], patch.box), np.float32) / np.float32(255)
    return blurred(inside, softness * patch.pixel)


def _luma(frame: Frame, box: Box) -> Float32:
    """Return the luma of a box in 8-bit code values."""
    return np.asarray(frame.y[box.luma], np.float32) / np.float32(1 << (frame.depth - 8))
