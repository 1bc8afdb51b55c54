"""Upscale without a model: windowed sinc interpolation of each plane at its own sample positions.

Duchon, "Lanczos filtering in one and two dimensions", Journal of Applied Meteorology 18(8), 1979.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.enhancers.upscale.tiles import blank_frame
from lipsync.models.session import RunInfo
from lipsync.types import Frame, Plane


class Lanczos:
    """See ``enhancers.base.Upscaler``."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @property
    def run_info(self) -> RunInfo | None:
        return None

    def begin(self) -> None:
        """Do nothing: there is no state."""

    def upscale(self, frame: Frame) -> Frame:
        large, max_value = blank_frame(frame, self.factor), (1 << frame.depth) - 1
        _resize(frame.y, large.y, self.factor, 0.0, max_value)
        # Chroma samples are at the even columns of luma, so the first one is left of where a plain resize of the plane
        # would put it.
        shift = (self.factor - 1) / 4
        _resize(frame.u, large.u, self.factor, shift, max_value)
        _resize(frame.v, large.v, self.factor, shift, max_value)
        return large


def _resize(plane: Plane, target: Plane, factor: int, shift: float, max_value: int) -> None:
    """``shift``: to the left, in samples of the target."""
    centre = (1 / factor - 1) / 2
    matrix = np.array([[1 / factor, 0, centre + shift / factor], [0, 1 / factor, centre]])
    size = (target.shape[1], target.shape[0])
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.minimum(large, max_value, out=target, casting="unsafe")
