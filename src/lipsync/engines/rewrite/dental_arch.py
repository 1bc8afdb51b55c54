"""Two rows of teeth as a small model in the face frame, drawn in the pose of any head.

A row is a vertical wall along half an ellipse, the usual first model of a dental arch (see Braun, Hnat, Fender and
Legan, "The form of the human dental arch", Angle Orthodontist 68(1), 1998). Teeth are painted on the unrolled wall.
In an orthographic view each column of the picture meets one place of the wall, so that the picture is a look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.frames.blend import smoothstep
from lipsync.types import Float32

TEXTURE_SCALE: Final = 512  # pixels per eye distance of the finest texture
LEVELS: Final = 5  # of textures, each half as large as the one before
ABOVE, BELOW = 0.26, 0.03  # eye distances of the wall above (towards the gum) and below the line of the edges
COLUMNS: Final = 257  # samples of the arch
ROUNDNESS: Final = 0.011  # eye distances that the corners of a tooth are shorter than its middle
PAPILLA: Final = 0.035  # eye distances that the gum reaches further between the teeth
GAP_WIDTH: Final = 0.004  # eye distances
SOFT: Final = 0.005  # eye distances: edges on the texture


@dataclass(frozen=True, slots=True)
class Row:
    """Sizes of one row of teeth in eye distances, for one side, from the middle to the back.

    ``widths``, ``heights`` and ``shorter`` (how far the tooth's edge is from the line of the edges) per tooth; ``half``
    and ``depth``: the semi-axes of the arch; ``gum_side``: -1 if the gum is above the teeth, 1 if it is below.
    """

    widths: tuple[float, ...]
    heights: tuple[float, ...]
    shorter: tuple[float, ...]
    half: float
    depth: float
    gum_side: int


# Mean sizes of adult teeth (Wheeler's Dental Anatomy), at 89 mm between the outer corners of the eyes.
UPPER_ROW: Final = Row(
    (0.096, 0.073, 0.084, 0.079, 0.076, 0.112),
    (0.115, 0.100, 0.112, 0.096, 0.085, 0.085),
    (0, 0.013, 0.003, 0.014, 0.018, 0.02),
    0.325,
    0.5,
    -1,
)
LOWER_ROW: Final = Row(
    (0.058, 0.062, 0.077, 0.079, 0.080, 0.124),
    (0.098, 0.098, 0.115, 0.095, 0.085, 0.085),
    (0, 0, 0, 0.004, 0.008, 0.01),
    0.295,
    0.46,
    1,
)


@dataclass(frozen=True, slots=True)
class Wall:
    """One row, ready to be drawn. ``curve`` (COLUMNS, 3): the line of the edges, in the face frame, its middle at 0.

    ``normals`` (COLUMNS, 3) point out of the mouth. ``arc`` (COLUMNS,): the position along the curve in eye distances.
    ``textures``: (h, w, 3), finest first: light, share of enamel against gum, coverage; all 0..1.
    """

    row: Row
    curve: Float32
    normals: Float32
    arc: Float32
    textures: tuple[Float32, ...]


@dataclass(frozen=True, slots=True)
class WallView:
    """The view of a wall at each pixel, all (h, w): ``light``, ``enamel`` and ``coverage`` in 0..1."""

    light: Float32
    enamel: Float32
    coverage: Float32


def build_wall(row: Row) -> Wall:
    angle = np.linspace(-0.5, 0.5, COLUMNS) * np.pi * 0.98
    x, z = row.half * np.sin(angle), row.depth * (1 - np.cos(angle))
    steps = np.hypot(np.diff(x), np.diff(z))
    arc = np.concatenate([[0], np.cumsum(steps)])
    normals = np.stack([np.sin(angle) / row.half, np.zeros_like(x), -np.cos(angle) / row.depth], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    curve = np.stack([x, np.zeros_like(x), z], 1)
    textures = [paint(row)]
    for _ in range(LEVELS - 1):
        height, width = textures[-1].shape[:2]
        textures.append(
            np.asarray(cv2.resize(textures[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)
        )
    return Wall(
        row,
        curve.astype(np.float32),
        normals.astype(np.float32),
        (arc - arc[-1] / 2).astype(np.float32),
        tuple(textures),
    )


def paint(row: Row) -> Float32:
    """The unrolled wall, (h, w, 3): light, share of enamel, coverage. The line of the edges is ABOVE from the gum."""
    length = sum(row.widths)
    size = [round(side * TEXTURE_SCALE / 16) * 16 for side in (ABOVE + BELOW, 2 * length)]
    along = (np.arange(size[1]) + 0.5) / size[1] * 2 * length - length
    down = ((np.arange(size[0]) + 0.5) / TEXTURE_SCALE - ABOVE)[:, None]  # 0 at the edges, negative towards the gum
    borders = np.concatenate([[0], np.cumsum(row.widths)])
    number = np.clip(np.searchsorted(borders, np.abs(along)) - 1, 0, len(row.widths) - 1)
    width, height, shorter = (np.array(values)[number] for values in (row.widths, row.heights, row.shorter))
    across = (np.abs(along) - borders[number]) / width * 2 - 1
    edge = -shorter - ROUNDNESS * np.abs(across) ** 3
    gum = -height + PAPILLA * across**2
    coverage = smoothstep((edge - down) / SOFT + 0.5)
    enamel = smoothstep((down - gum) / SOFT + 0.5)
    gap = smoothstep(1.5 - (1 - np.abs(across)) * width / 2 / GAP_WIDTH)
    bulge = 0.86 + 0.14 * np.sqrt(1 - (0.95 * across) ** 2)
    light = bulge * (1 - 0.25 * gap) * (1 - 0.12 * smoothstep((gum - down) / 0.05 + 1))
    light = light * (1 - 0.10 * smoothstep((down - edge) / 0.02 + 1))
    light = enamel * light + (1 - enamel) * 0.8
    return np.stack([light, enamel, coverage], -1).astype(np.float32)


def view_wall(
    wall: Wall, rotation: Float32, origin: Float32, scale: float, light: Float32, x: Float32, y: Float32
) -> WallView:
    """A wall seen at pixels ``x`` and ``y`` (h, w), by a head with ``rotation`` (3, 3) and ``scale`` pixels per unit.

    ``origin`` (2,): where the middle of the edges is, in pixels. ``light`` (COLUMNS,): on each place of the curve.
    """
    down = rotation[:2, 1]
    shortening = max(float(np.linalg.norm(down)), 0.2)
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    side = np.array([down[1], -down[0]], np.float32)
    flat = wall.curve @ rotation[:2].T
    front = _facing(wall.normals @ rotation[2])
    at_side = np.maximum.accumulate(flat[front] @ side)
    across = ((x - origin[0]) * side[0] + (y - origin[1]) * side[1]) / np.float32(scale)
    height = ((x - origin[0]) * down[0] + (y - origin[1]) * down[1]) / np.float32(scale)
    column = np.interp(across, at_side, np.arange(len(at_side), dtype=np.float32)).astype(np.float32)
    table = np.stack([flat[front] @ down, wall.arc[front], light[front]], 1).astype(np.float32)
    line, arc, bright = _look_up(table, column)
    from_edge = (height - line) * np.float32(-wall.row.gum_side / shortening)
    shade, enamel, coverage = _sample(wall, arc, from_edge, scale)
    outside = np.maximum(at_side[0] - across, across - at_side[-1])
    return WallView(shade * bright, enamel, coverage * smoothstep(1 - outside * np.float32(scale)))


def _facing(toward: Float32) -> slice:
    """The part of the arch around its middle that faces the viewer."""
    middle = len(toward) // 2
    hidden = np.flatnonzero(toward > -0.02)
    first = hidden[hidden < middle].max(initial=-1) + 1
    last = hidden[hidden > middle].min(initial=len(toward))
    return slice(int(first), int(max(last, first + 2)))


def _look_up(table: Float32, column: Float32) -> tuple[Float32, Float32, Float32]:
    """The values of ``table`` (n, 3) at ``column`` (h, w), interpolated."""
    looked_up = cv2.remap(table[None], column, np.zeros_like(column), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    first, second, third = cv2.split(looked_up)
    return np.asarray(first, np.float32), np.asarray(second, np.float32), np.asarray(third, np.float32)


def _sample(wall: Wall, arc: Float32, down: Float32, scale: float) -> tuple[Float32, Float32, Float32]:
    level = int(np.clip(np.floor(np.log2(TEXTURE_SCALE / max(scale, 1.0))), 0, LEVELS - 1))
    texture = wall.textures[level]
    height, width = texture.shape[:2]
    columns = arc * np.float32(width / (2 * sum(wall.row.widths))) + np.float32(width / 2 - 0.5)
    rows = down * np.float32(height / (ABOVE + BELOW)) + np.float32(ABOVE * height / (ABOVE + BELOW) - 0.5)
    mapped = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light, enamel, coverage = cv2.split(mapped)
    return np.asarray(light, np.float32), np.asarray(enamel, np.float32), np.asarray(coverage, np.float32)
