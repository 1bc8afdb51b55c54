"""Pictures made smaller, turned and cut as they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from lipsync.errors import OptionInvalid
from lipsync.frames.rgb import HD_LINES, UNSPECIFIED, upsample_chroma
from lipsync.media.probe import BT709, SMALLEST, video_of
from lipsync.types import Clip, FrameTransform, Plane

WHOLE = (0, -1, 0, -1)  # a crop that leaves everything


def transformed(
    clip: Clip,
    *,
    shrink: int = 1,
    turned: bool = False,
    crop: tuple[int, int, int, int] = WHOLE,
    nearest: bool = False,
) -> Clip:
    """The clip as it is read with pictures ``shrink`` times smaller, then turned clockwise by 90 degrees, then cut.

    ``crop``: top, bottom, left, right in pixels of what is left by then; -1 is the bottom or right edge. ``nearest``:
    see ``FrameTransform``. The clip itself if nothing is asked for. Raises NoVideoStream, OptionInvalid.
    """
    if shrink == 1 and not turned and crop == WHOLE:
        return clip
    video = video_of(clip)
    width, height = video.width // shrink, video.height // shrink
    sample = video.sample_aspect
    if turned:
        width, height, sample = height, width, 1 / sample
    top, bottom, left, right = crop
    bottom, right = (height if bottom == -1 else bottom), (width if right == -1 else right)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise OptionInvalid(f"a crop from {top}, {left} to {bottom}, {right} does not fit into {width}x{height}")
    if min(bottom - top, right - left) < SMALLEST:
        raise OptionInvalid(f"{clip.path}: {right - left}x{bottom - top} would be left, too small to find a mouth in")
    transform = FrameTransform((video.width, video.height), (top, bottom, left, right), shrink, turned, nearest)
    colour = video.colour
    if not nearest and colour.matrix == UNSPECIFIED and video.height >= HD_LINES:
        colour = replace(colour, matrix=BT709.matrix)  # a smaller picture would be taken to have other colours
    shown = replace(video, width=right - left, height=bottom - top, sample_aspect=sample, colour=colour)
    return replace(clip, video=shown, transform=transform)


def apply_transform(planes: list[Plane], transform: FrameTransform) -> list[Plane]:
    """The three planes of a picture of 4:2:0 as the framing wants them."""
    width, height = (length // transform.shrink for length in transform.whole)
    sizes = [(width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2]
    if transform.shrink > 1:
        how = cv2.INTER_LINEAR if transform.nearest else cv2.INTER_AREA
        planes = [cast(Plane, cv2.resize(p, size, interpolation=how)) for p, size in zip(planes, sizes, strict=True)]
    if transform.turned:
        planes = [np.rot90(plane, -1) for plane in planes]
    return _cut(planes, transform.crop)


def _cut(planes: list[Plane], crop: tuple[int, int, int, int]) -> list[Plane]:
    top, bottom, left, right = crop
    luma, *chroma = planes
    if top % 2 == 0 and left % 2 == 0:
        half = slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2)
        return [luma[top:bottom, left:right], *(plane[half] for plane in chroma)]
    size = ((right - left + 1) // 2, (bottom - top + 1) // 2)
    return [luma[top:bottom, left:right], *(_cut_between(plane, crop, luma.shape[::-1], size) for plane in chroma)]


def _cut_between(plane: Plane, crop: tuple[int, int, int, int], whole: tuple[int, int], size: tuple[int, int]) -> Plane:
    """A chroma plane of a picture of ``whole`` (width, height), cut where the crop splits its samples, to ``size``."""
    top, bottom, left, right = crop
    full = upsample_chroma(cast(Plane, np.ascontiguousarray(plane)), whole)[top:bottom, left:right]
    even = cv2.copyMakeBorder(full, 0, full.shape[0] % 2, 0, full.shape[1] % 2, cv2.BORDER_REPLICATE)
    return cast(Plane, cv2.resize(even, size, interpolation=cv2.INTER_AREA))
