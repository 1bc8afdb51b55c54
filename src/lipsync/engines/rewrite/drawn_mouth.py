"""The inside of a mouth that the footage never shows: two rows of teeth, gums, a tongue and the cavity behind.

A small model in the face frame (see ``dental_arch``) is drawn in the pose of each frame's head. The upper row is fixed
to the skull, the lower row and the tongue follow the chin. The colours, the light, the blur and the grain are those of
the footage.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.appearance import Appearance, shading
from lipsync.engines.rewrite.dental_arch import LOWER_ROW, UPPER_ROW, WallView, build_wall, view_wall
from lipsync.engines.rewrite.mouth import Lips
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, Pose
from lipsync.frames.blend import smoothstep
from lipsync.types import Box, Float32

CHIN_POINTS: Final = (152, 175, 199, 148, 377)
# Places in the face frame, in eye distances.
EDGE_BELOW_SEAM: Final = 0.02  # the edge of the upper front teeth below the line where closed lips meet
EDGE_BEHIND_SEAM: Final = 0.06
LOWER_EDGE: Final = np.array([0, 0.0, 0.03], np.float32)  # of closed lips, from the upper edge: the teeth hardly part
DROP_BACK: Final = 0.8  # how far the lower teeth move back as they move down, as the jaw turns about its joint
TONGUE: Final = np.array([0, 0.05, 0.2], np.float32)  # its middle, from the edge of the lower front teeth
TONGUE_HALF: Final = (0.19, 0.1)  # half its width and height
# Light: shares of what falls on the face.
DEPTH_FADE: Final = 0.35  # eye distances behind the front teeth at which the light has fallen to 1 / e
LIP_SHADOW, LIP_SHADOW_REACH = 0.28, 0.04  # how much less light falls right below the upper lip, and how far down
LOWER_SHADOW, LOWER_REACH = 0.2, 0.03
TONGUE_LIGHT: Final = 0.75
TONGUE_BACK: Final = 0.5  # of that light, at its far end
GROOVE, GROOVE_WIDTH = 0.15, 0.15  # depth of the shade along its middle, and its width in half widths
TONGUE_CHROMA: Final = 1.5  # of the gums
LOWER_LIGHT: Final = 0.82  # of the lower teeth
BOUNCE: Final = 1.2  # of the lips' colour in the shade, where light has met lips, gums and tongue before
TOUCHING_GAP, NARROW_GAP = 0.015, 0.045  # eye distances between which light begins to fall between the lips
CONTACT_LIGHT: Final = 0.45  # of the lips where they touch
CONTACT_SHARE: Final = 0.95
SOFTNESS: Final = 1.0  # blur of the inside over that of the sharpest edges, where the footage shows no inside
COARSE_BLUR: Final = 1.3  # pixels of blur from which every second pixel suffices
COARSE_UNIT: Final = 60.0  # pixels per eye distance from which it suffices for what is behind the teeth


class DrawnMouth:
    """Draws the inside of one speaker's mouth. ``closed`` (468, 3): the closed mouth in the face frame.

    ``softness``: blur of the inside over that of the footage's sharpest edges.
    """

    def __init__(self, closed: Float32, appearance: Appearance, cavity: Float32, softness: float = SOFTNESS) -> None:
        self._look, self.cavity, self.blur = appearance, cavity, appearance.blur
        self._upper, self._lower = build_wall(UPPER_ROW), build_wall(LOWER_ROW)
        seam = (closed[INNER_TOP] + closed[INNER_BOTTOM]) / 2
        self._edge = seam + np.array([0, EDGE_BELOW_SEAM, EDGE_BEHIND_SEAM], np.float32)
        self._chin = closed[list(CHIN_POINTS), 1].mean()
        self._softness = softness

    @property
    def depth(self) -> int:
        """The bits of the code values of its colours."""
        return 8 if self._look.black[1] < 256 else 10

    def softened(self, softness: float) -> DrawnMouth:
        """The same mouth with another ``softness``."""
        other = copy(self)
        other._softness = softness
        return other

    def posed(self, pose: Pose, mesh: Float32, number: int) -> PosedMouth:
        """The mouth of frame ``number``, whose face has this pose and ``mesh`` (468, 3) in the face frame."""
        drop = float(mesh[list(CHIN_POINTS), 1].mean() - self._chin)
        return PosedMouth(self, pose, max(drop, 0.0), number)

    def draw(self, posed: PosedMouth, lips: Lips, box: Box, *, teeth: bool) -> Float32:
        """The inside of the mouth in the pixels of ``box``, (h, w, 3) Y'CbCr code values."""
        blur = max(0.4, self._softness * self._look.blur * lips.unit)
        step = 2 if blur > COARSE_BLUR or (not teeth and lips.unit > COARSE_UNIT) else 1
        x, y = np.meshgrid(_nodes(box.left, box.width, step), _nodes(box.top, box.height, step))
        image = self._picture(posed, lips, x, y, teeth=teeth)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur / step), np.float32)
        if step > 1:
            size = (x.shape[1] * step, x.shape[0] * step)
            image = np.asarray(cv2.resize(image, size)[: box.height, : box.width], np.float32)
        if self._look.grain > 0:
            noise = np.random.default_rng(posed.number).standard_normal(image.shape[:2], np.float32)
            image[..., 0] += np.float32(self._look.grain) * noise
        return image

    def _picture(self, posed: PosedMouth, lips: Lips, x: Float32, y: Float32, *, teeth: bool) -> Float32:
        """The picture at pixels ``x`` and ``y`` (h, w), without blur and grain."""
        lower_edge = self._edge + LOWER_EDGE + posed.drop * np.array([0, 1, DROP_BACK], np.float32)
        image = np.broadcast_to(self.cavity, (*x.shape, 3)).astype(np.float32)
        image = self._with_tongue(image, posed, lower_edge + TONGUE, x, y)
        rotation = posed.pose.rotation[0]
        rows = ((self._lower, lower_edge, LOWER_LIGHT), (self._upper, self._edge, 1.0)) if teeth else ()
        for wall, edge, light in rows:
            fade = light * np.exp(-wall.curve[:, 2] / DEPTH_FADE)
            bright = fade * shading(self._look.light, wall.normals @ rotation.T)
            image = self._with_teeth(image, view_wall(wall, rotation, posed.place(edge), posed.scale, bright, x, y))
        return self._shadowed(image, lips, x, y)

    def _with_teeth(self, image: Float32, view: WallView) -> Float32:
        gum = self._gum()
        colour = gum + view.enamel[..., None] * (self._look.enamel - gum)
        return np.asarray(image + view.coverage[..., None] * (self._lit(colour, view.light) - image), np.float32)

    def _with_tongue(self, image: Float32, posed: PosedMouth, centre: Float32, x: Float32, y: Float32) -> Float32:
        middle = posed.place(centre)
        across, along = posed.pose.rotation[0, :2, 0], posed.pose.rotation[0, :2, 1]
        right = ((x - middle[0]) * across[0] + (y - middle[1]) * across[1]) / (TONGUE_HALF[0] * posed.scale)
        below = ((x - middle[0]) * along[0] + (y - middle[1]) * along[1]) / (TONGUE_HALF[1] * posed.scale)
        radius = right**2 + below**2
        bulge = np.sqrt(np.maximum(1 - radius, 0))
        normal = np.stack([right, below, -bulge], -1)
        groove = 1 - GROOVE * np.exp(-((right / GROOVE_WIDTH) ** 2))
        towards_back = TONGUE_BACK + (1 - TONGUE_BACK) * smoothstep((below + 1) / 1.2)
        bright = TONGUE_LIGHT * groove * towards_back * (0.6 + 0.4 * bulge) * shading(self._look.light, normal)
        cover = smoothstep((1 - radius) / 0.5)
        return np.asarray(image + cover[..., None] * (self._lit(self._tongue(), bright) - image), np.float32)

    def _shadowed(self, image: Float32, lips: Lips, x: Float32, y: Float32) -> Float32:
        """The image in the shadow of the lips, and in their colour where they touch."""
        from_right = (x - lips.origin[0]) * lips.along[0] + (y - lips.origin[1]) * lips.along[1]
        height = (x - lips.origin[0]) * lips.down[0] + (y - lips.origin[1]) * lips.down[1]
        position = np.clip(from_right / np.float32(lips.width), 0, 1)
        upper = np.interp(position, lips.upper[:, 0], lips.upper[:, 1] / lips.unit).astype(np.float32)
        lower = np.interp(position, lips.lower[:, 0], lips.lower[:, 1] / lips.unit).astype(np.float32)
        height = height / np.float32(lips.unit)
        below, above, gap = height - upper, lower - height, lower - upper
        light = 1 - LIP_SHADOW * (1 - smoothstep(below / LIP_SHADOW_REACH))
        light = light * (1 - LOWER_SHADOW * (1 - smoothstep(above / LOWER_REACH)))
        contact = CONTACT_SHARE * smoothstep((NARROW_GAP - gap) / (NARROW_GAP - TOUCHING_GAP))[..., None]
        touching = self._lit(self._look.lips, np.float32(CONTACT_LIGHT))
        return np.asarray(self._lit(image, light) * (1 - contact) + contact * touching, np.float32)

    def _tongue(self) -> Float32:
        gum = self._gum()
        neutral = np.array([gum[0], *self._look.black[1:]], np.float32)
        return np.asarray(neutral + (gum - neutral) * TONGUE_CHROMA, np.float32)

    def _gum(self) -> Float32:
        return np.asarray((2 * self._look.lips + self._look.skin) / 3, np.float32)

    def _lit(self, colour: Float32, light: Float32 | np.float32) -> Float32:
        """Colours (..., 3) in less light (...): all of Y'CbCr scales about black, and the lips tint what is shaded."""
        light = np.asarray(light)[..., None]
        black = self._look.black
        tint = (self._look.lips - black) * np.array([0, BOUNCE, BOUNCE], np.float32)
        return np.asarray(black + (colour - black) * light + tint * light * np.maximum(1 - light, 0), np.float32)


def _nodes(first: int, count: int, step: int) -> Float32:
    """Middles of groups of ``step`` pixels that cover ``count`` pixels from ``first`` on."""
    return np.asarray(first + (step - 1) / 2 + np.arange(0, count, step), np.float32)


@dataclass(frozen=True, slots=True)
class PosedMouth:
    """A drawn mouth on the head of one frame. ``drop``: eye distances that the chin is below its place at rest."""

    drawing: DrawnMouth
    pose: Pose
    drop: float
    number: int

    @property
    def scale(self) -> float:
        return float(self.pose.scale[0])

    def place(self, point: Float32) -> Float32:
        """A point (3,) of the face frame in pixels of the frame, (2,)."""
        return np.asarray(self.pose.to_frame(point[None])[0, 0, :2], np.float32)

    def draw(self, lips: Lips, box: Box, *, teeth: bool = True) -> Float32:
        return self.drawing.draw(self, lips, box, teeth=teeth)
