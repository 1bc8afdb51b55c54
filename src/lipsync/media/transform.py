"""Downscale, rotate and crop frames while they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from lipsync.errors import OptionInvalid
from lipsync.frames.rgb import HD_LINES, UNSPECIFIED, upsample_chroma
from lipsync.media.probe import BT709, MIN_SIDE
from lipsync.types import Box, Clip, FrameTransform, Plane, Sides, VideoClip

NO_CROP: Sides = (0, -1, 0, -1)


def transformed(
    clip: VideoClip, *, resize_factor: int = 1, rotated: bool = False, crop: Sides = NO_CROP, nearest: bool = False
) -> VideoClip:
    """Return the clip with a transform that ``read`` applies: downscale, rotate clockwise by 90 degrees, then crop.

    ``crop``: top, bottom, left, right in pixels of the downscaled and rotated frame; -1 is the bottom or right edge.
    ``nearest``: see ``FrameTransform``. Returns the same clip if nothing changes. Raises OptionInvalid.
    """
    if resize_factor == 1 and not rotated and crop == NO_CROP:
        return clip
    video = clip.video
    width, height = video.width // resize_factor, video.height // resize_factor
    sample_aspect = video.sample_aspect
    if rotated:
        width, height, sample_aspect = height, width, 1 / sample_aspect
    box = _crop_box(clip, crop, width, height)
    transform = FrameTransform((video.width, video.height), box, resize_factor, rotated, nearest)
    colour = video.colour
    if not nearest and colour.matrix == UNSPECIFIED and video.height >= HD_LINES:
        colour = replace(colour, matrix=BT709.matrix)  # players assume another matrix for smaller untagged video
    video = replace(video, width=box.width, height=box.height, sample_aspect=sample_aspect, colour=colour)
    return replace(clip, video=video, transform=transform)


def _crop_box(clip: Clip, crop: Sides, width: int, height: int) -> Box:
    top, bottom, left, right = crop
    bottom, right = (height if bottom == -1 else bottom), (width if right == -1 else right)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise OptionInvalid(
            f"crop {top} {bottom} {left} {right} does not fit into a frame of {width}x{height}; "
            "expected TOP BOTTOM LEFT RIGHT in pixels, -1 for the bottom or right edge"
        )
    box = Box(left, top, right, bottom)
    if min(box.width, box.height) < MIN_SIDE:
        raise OptionInvalid(
            f"{clip.path}: the frame would be only {box.width}x{box.height} after resizing and cropping; "
            f"at least {MIN_SIDE}x{MIN_SIDE} is needed"
        )
    return box


def apply_transform(planes: list[Plane], transform: FrameTransform) -> list[Plane]:
    """Transform the planes (Y', Cb, Cr, and alpha if there is one) of an upright 4:2:0 frame of the source's size."""
    width, height = (length // transform.resize_factor for length in transform.source_size)
    sizes = [(width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2, (width, height)][: len(planes)]
    if transform.resize_factor > 1:
        method = cv2.INTER_LINEAR if transform.nearest else cv2.INTER_AREA
        planes = [cast(Plane, cv2.resize(p, size, interpolation=method)) for p, size in zip(planes, sizes, strict=True)]
    if transform.rotated:
        planes = [np.rot90(plane, -1) for plane in planes]
    return _cropped(planes, transform.crop)


def _cropped(planes: list[Plane], crop: Box) -> list[Plane]:
    luma, blue, red, *alpha = planes
    chroma, alpha = (blue, red), [plane[crop.luma] for plane in alpha]
    if crop.top % 2 == 0 and crop.left % 2 == 0:
        return [luma[crop.luma], *(plane[crop.chroma] for plane in chroma), *alpha]
    between = (_cropped_between_samples(plane, crop, luma.shape[::-1]) for plane in chroma)
    return [luma[crop.luma], *between, *alpha]


def _cropped_between_samples(plane: Plane, crop: Box, luma_size: tuple[int, int]) -> Plane:
    """Crop a chroma plane of a frame of ``luma_size`` (width, height) at odd coordinates by resampling it."""
    full = upsample_chroma(cast(Plane, np.ascontiguousarray(plane)), luma_size)[crop.luma]
    even = cv2.copyMakeBorder(full, 0, full.shape[0] % 2, 0, full.shape[1] % 2, cv2.BORDER_REPLICATE)
    size = (crop.width + 1) // 2, (crop.height + 1) // 2
    return cast(Plane, cv2.resize(even, size, interpolation=cv2.INTER_AREA))
