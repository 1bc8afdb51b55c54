"""The mouth in three layers: the upper lip with the skin above, the lower lip with the skin below, and the inside.

Donors supply the pixels of all three. They are added with the weights of their mattes, so that edges between the layers
are antialiased, and closed lips touch without a line of the inside between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from lipsync.engines.rewrite.contact import Gap
from lipsync.engines.rewrite.inside import CLOSED_GAP, MIN_SOFTNESS, warp_inside
from lipsync.engines.rewrite.lip_warp import FLAPS, LipSource, lip_maps, with_flaps
from lipsync.engines.rewrite.mattes import SAMPLES, Mattes, layer_mattes, lip_contours
from lipsync.engines.rewrite.mouth import Lips, Mouth, edge_depths, measure_lips
from lipsync.engines.rewrite.warp import Raster
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.blend import colour_shift, crossfade, outline_mask, smoothstep
from lipsync.types import Box, Float32

LIP_MARGIN, LIP_FEATHER = 0.05, 0.045  # eye distances of skin around a donor's lips, and its feather
MOUTH_MARGIN: Final = LIP_MARGIN + 2.5 * LIP_FEATHER  # eye distances around the lips that the layers reach
MASK_SIGMA: Final = 1.2  # samples: the mask is computed at the resolution that its feather needs
MASK_GAIN: Final = 1.15  # the mask is 1 on all of the lips, in spite of its feather
INSET: Final = 0.02  # eye distances: how far inside a lip that closes its edge is read
INSET_PIXELS: Final = 1.0  # more, because colour is coarser than brightness
SEAM_INSET: Final = 0.012  # the same for the edges of lips that touch in the donor and open
OPENING_RANGE, TOUCHING = 0.08, 0.03  # eye distances by which they open for the full inset; between lips that touch
CLOSING_RANGE: Final = 0.04  # eye distances by which the lips close from their donor's gap for the full inset


@dataclass(frozen=True, slots=True)
class WarpLayer:
    """A donor's mouth and its weight; the weights of a frame sum to one."""

    mouth: Mouth
    weight: float


@dataclass(frozen=True, slots=True)
class MouthLayers:
    """The donors of a frame's ``lips`` and ``inside`` of the mouth; ``back`` is drawn where these show nothing."""

    lips: tuple[WarpLayer, ...]
    inside: tuple[WarpLayer, ...]
    back: Mouth | None = None


class MouthPlace:
    """Where the mouth goes: its ``box`` in the frame, the target's ``lips``, and the maps and mattes of the layers.

    ``mask`` (h, w): how much of each pixel shows the mouth instead of the frame's skin.
    ``strip``: the rows of the box in which the layers meet. ``softness``: sigma in pixels of the edges between them.
    ``raster``: of the box, the skin's triangles and FLAP_TRIANGLES. ``target`` (468, 2): in pixels. ``unit``: the eye
    distance in pixels. ``blur``: sigma of the footage's sharpest edges in eye distances.
    """

    def __init__(self, raster: Raster, target: Float32, unit: float, blur: float) -> None:
        self.box, self.unit = raster.box, unit
        self.lips = measure_lips(target, unit)
        self._outline, self._inner = target[list(LIPS_OUTER)], target[list(LIPS_INNER)]
        self.softness = max(MIN_SOFTNESS, blur * unit)
        self.mask, self.strip = self._mask(), self._strip()
        top = self.box.top + (self.strip.top - self.box.top) // raster.step * raster.step
        upper = Box(self.box.left, self.box.top, self.box.right, self.strip.bottom)
        lower = Box(self.box.left, top, self.box.right, self.box.bottom)
        self._rasters = (
            raster.window(upper).covered_by(-2 * FLAPS, -FLAPS),
            raster.window(lower).covered_by(-FLAPS, 0),
        )

    def _mask(self) -> Float32:
        """How much of each pixel shows the mouth instead of the frame's skin, (h, w)."""
        middle = self._outline.mean(0)
        distance = np.linalg.norm(self._outline - middle, axis=1, keepdims=True)
        outer = middle + (self._outline - middle) * (1 + LIP_MARGIN * self.unit / np.maximum(distance, 1))
        feather = max(0.6, LIP_FEATHER * self.unit)
        step = max(1, int(feather / MASK_SIGMA))
        width, height = -(-self.box.width // step), -(-self.box.height // step)
        nodes = (outer - np.array([self.box.left, self.box.top], np.float32) + 0.5) / step - 0.5
        mask = outline_mask(nodes, Box(0, 0, width, height), feather / step)
        mask = np.minimum(mask * np.float32(MASK_GAIN), np.float32(1))
        full = cv2.resize(mask, (width * step, height * step), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full[: self.box.height, : self.box.width], np.float32)

    def hole(self) -> Box:
        """The box of the gap between the lips; its width or height may be negative."""
        margin = 3 * self.softness
        low, high = np.floor(self._inner.min(0) - margin).astype(int), np.ceil(self._inner.max(0) + margin).astype(int)
        return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])).intersection(self.box)

    def _strip(self) -> Box:
        """The rows of the box with pixels of both lips or of the gap; beyond the corners, both are the same skin."""
        margin = 3 * self.softness
        along = self.lips.along[1] / max(abs(float(self.lips.along[0])), 0.2)
        ends = self.lips.origin[1] + (np.array([self.box.left, self.box.right]) - self.lips.origin[0]) * along
        heights = np.concatenate([self._inner[:, 1], ends])
        top, bottom = int(np.floor(heights.min() - margin)), int(np.ceil(heights.max() + margin))
        top = min(max(top, self.box.top), self.box.bottom - 1)
        return Box(self.box.left, top, self.box.right, min(max(bottom, top + 1), self.box.bottom))

    def shown_lips(self, layers: Sequence[WarpLayer]) -> Lips:
        """The target's lips with the edges where the images of the ``layers`` show them, if the lips keep their gap."""
        depths = np.zeros((2, 11), np.float32)
        for layer in layers:
            depths += layer.weight * (1 - self.closing(layer.mouth)) * edge_depths(layer.mouth, self.lips)
        return self.lips.narrowed(depths)

    def mattes(self, lips: Lips, openness: float) -> Mattes:
        """The mattes of the strip for lips as the layers show them."""
        return layer_mattes(lip_contours(lips, openness), self.strip, self.softness)

    def closing(self, mouth: Mouth) -> float:
        """How much the lips close from those of a donor: 0 if they stay or open."""
        return float(smoothstep((mouth.lips.gap - self.lips.gap) / CLOSING_RANGE))

    def opening(self, mouth: Mouth) -> float:
        """How much lips that touch in a donor open, 0..1: the dark line between them must not become their edge."""
        opened = smoothstep((self.lips.gap - mouth.lips.gap) / OPENING_RANGE)
        return float(opened * smoothstep((TOUCHING - mouth.lips.gap) / TOUCHING * 2))

    def lip_images(self, mouth: Mouth) -> tuple[Float32, Float32]:
        """The upper layer from the top of the box to the end of the strip, and the lower one from the strip on."""
        assert mouth.points is not None
        errors = np.zeros((2, SAMPLES + 1), np.float32) if mouth.lip_errors is None else mouth.lip_errors
        insets = self.closing(mouth) * (errors + np.float32(INSET * mouth.lips.unit + INSET_PIXELS))
        insets += self.opening(mouth) * np.float32(SEAM_INSET * mouth.lips.unit + INSET_PIXELS)
        source = LipSource(with_flaps(mouth.points), lip_contours(mouth.lips), insets)
        upper, lower = lip_maps(self._rasters, source)
        return mouth.sample(upper), mouth.sample(lower[self.strip.top - self._rasters[1].box.top :])


def compose_mouth(
    skin: Float32, place: MouthPlace, layers: MouthLayers, own: Mouth | None, gap: Gap, depth: int
) -> Float32:
    """The frame's ``skin`` (h, w, 3) with the mouth over it, Y'CbCr code values of ``depth`` bits.

    ``own``: the frame's mouth before it was warped; it supplies the lips where a donor only has an inside.
    """
    mask, hole, lips = place.mask, place.hole(), place.shown_lips(layers.lips)
    visible = hole.width > 0 and hole.height > 0 and lips.gap > CLOSED_GAP
    donors = layers.inside if visible else ()
    insides = [warp_inside(layer.mouth, lips, hole, gap.cavity, layers.back, place.softness) for layer in donors]
    openness = insides[0][1] if insides else 0.0
    mattes, strip = place.mattes(lips, openness), place.strip.within(place.box)
    images = []
    for layer in layers.lips:
        mouth = own if layer.mouth.points is None else layer.mouth
        image = skin if mouth is None else _join_lips(*place.lip_images(mouth), mattes, strip[0])
        shift = 0 if mouth is None else colour_shift(skin, image, mask, depth)
        images.append(np.asarray(image + shift, np.float32))
    mixed = crossfade(images, [layer.weight for layer in layers.lips])
    closing = sum(layer.weight * place.closing(layer.mouth) for layer in layers.lips)
    mixed[strip][..., 0] *= 1 - gap.shade * closing * mattes.contact
    if openness > 0:
        inside = crossfade([image for image, _ in insides], [layer.weight for layer in layers.inside])
        within = hole.within(place.strip)
        share = mattes.inside[within] * (1 - mattes.contact[within])
        rows, columns = hole.within(place.box)
        mixed[rows, columns] += (inside - mixed[rows, columns]) * share[..., None]
    return np.asarray(cv2.blendLinear(mixed, skin, mask, 1 - mask), np.float32)


def _join_lips(upper: Float32, lower: Float32, mattes: Mattes, rows: slice) -> Float32:
    """The lips' layers in one image (h, w, 3), mixed in the ``rows`` that both cover; half of each in the gap."""
    first, last = rows.start, rows.stop
    half = mattes.inside / 2
    joined = cv2.blendLinear(upper[first:last], lower[: last - first], mattes.upper + half, mattes.lower + half)
    return np.concatenate([upper[:first], joined, lower[last - first :]])
