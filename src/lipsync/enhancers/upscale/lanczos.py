"""Pictures made larger without a network: windowed sinc interpolation (Duchon, "Lanczos filtering in one and two
dimensions", 1979), each plane where its samples lie."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.enhancers.upscale.tiles import blank
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
        """Nothing is remembered."""

    def upscale(self, picture: Frame) -> Frame:
        large, top = blank(picture, self.factor), (1 << picture.depth) - 1
        _enlarge(picture.y, large.y, self.factor, 0.0, top)
        # Chroma lies on the even columns of luma, so that its first sample is a little left of where a plain resize
        # of the plane would have it.
        shift = (self.factor - 1) / 4
        _enlarge(picture.u, large.u, self.factor, shift, top)
        _enlarge(picture.v, large.v, self.factor, shift, top)
        return large


def _enlarge(plane: Plane, into: Plane, factor: int, shift: float, top: int) -> None:
    """``shift``: samples of the larger plane by which everything moves to the left."""
    middle = (1 / factor - 1) / 2
    where = np.array([[1 / factor, 0, middle + shift / factor], [0, 1 / factor, middle]])
    size = (into.shape[1], into.shape[0])
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(plane, where, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.minimum(large, top, out=into, casting="unsafe")
