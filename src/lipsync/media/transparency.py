"""Place transparent video and photos on a background, or keep their transparency without its hidden colours."""

from __future__ import annotations

from typing import Final, cast

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from lipsync.frames.rgb import rgb_matrix, ycbcr_matrix
from lipsync.media.video_frames import planes_of
from lipsync.types import Colour, Float32, Plane, Rgb

PLANAR: Final = "yuva"  # beginning of the names of Y'CbCr formats with an alpha plane
BLACK: Final[Rgb] = (0, 0, 0)
FAINT: Final = 16 / 255  # opacity below which a colour is doubted: codecs blur it into the hidden one


def is_transparent(form: VideoFormat) -> bool:
    """Return whether frames of this format have an alpha channel."""
    return any(component.is_alpha for component in form.components)


def may_be_transparent(frame: VideoFrame) -> bool:
    """Return whether the frame has an alpha channel, or a palette with transparent colours."""
    if not frame.format.has_palette:
        return is_transparent(frame.format)
    return int(frame.to_ndarray(format="rgba")[..., 3].min()) < 255


def is_planar(form: VideoFormat) -> bool:
    """Return whether frames of this format are Y'CbCr with a plane for alpha."""
    return form.name.startswith(PLANAR)


def flattened(frame: VideoFrame, colour: Colour, background: Rgb | None) -> tuple[VideoFrame, Plane | None]:
    """Return a transparent frame without its alpha, and the alpha as a plane unless there is a ``background``.

    Straight alpha is blended over ``background``. Without one, colours stay, except that where nothing shows, the
    hidden colour is replaced by black. ``colour``: that of planar Y'CbCr; other formats become rgb24, with 8 bits.
    """
    if is_planar(frame.format):
        return _flattened_planes(frame, colour, background)
    rgba = frame.to_ndarray(format="rgba")
    alpha = np.asarray(rgba[..., 3], np.uint8)
    shares = _shares(np.asarray(alpha / np.float32(255), np.float32), background)[..., None]
    behind = np.array(background or BLACK, np.float32)
    rgb = np.rint(behind + (rgba[..., :3] - behind) * shares).astype(np.uint8)
    return VideoFrame.from_ndarray(rgb, format="rgb24"), alpha if background is None else None


def scaled_alpha(alpha: Plane, size: tuple[int, int], max_value: int, target: int) -> Plane:
    """Return alpha at ``size`` (width, height), with ``target`` instead of ``max_value`` for opaque."""
    if alpha.shape[::-1] != size:
        alpha = cast(Plane, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    if max_value == target:
        return alpha
    scaled = np.rint(alpha * (np.float32(target) / np.float32(max_value)))
    return np.asarray(scaled, np.uint8) if target < 256 else np.asarray(scaled, np.uint16)


def _flattened_planes(frame: VideoFrame, colour: Colour, background: Rgb | None) -> tuple[VideoFrame, Plane | None]:
    *planes, alpha = planes_of(frame)
    depth = frame.format.components[0].bits
    to_codes = ycbcr_matrix(rgb_matrix(colour, frame.height, depth))
    behind = to_codes @ np.array([*(value / 255 for value in background or BLACK), 1.0])
    opacity = np.asarray(alpha / np.float32((1 << depth) - 1), np.float32)
    result = VideoFrame(frame.width, frame.height, frame.format.name.replace(PLANAR, "yuv", 1))
    result.color_range, result.colorspace = frame.color_range, frame.colorspace
    for plane, code, target in zip(planes, behind, planes_of(result), strict=True):
        size = plane.shape[::-1]
        full = opacity if opacity.shape == plane.shape else cv2.resize(opacity, size, interpolation=cv2.INTER_AREA)
        shares = _shares(np.asarray(full, np.float32), background)
        np.copyto(target, np.rint(code + (plane - np.float32(code)) * shares), casting="unsafe")
    return result, alpha if background is None else None


def _shares(opacity: Float32, background: Rgb | None) -> Float32:
    """How much of the frame's own colour is taken at each opacity."""
    return opacity if background is not None else np.minimum(opacity / np.float32(FAINT), np.float32(1))
