"""Whole pictures made larger by a network, tile by tile, and kept true to what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.enhancers.upscale.tiles import MARGIN, Grid, blank, grid, read_tile, write_tile
from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.frames.rgb import rgb_matrix, ycbcr_matrix
from lipsync.models.devices import Runtime
from lipsync.models.session import RunInfo, Session
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.types import Float32, Frame

SMALLEST: Final = 64  # pixels of a tile's side: with smaller ones almost all work is for what lies around them
ON_PROCESSOR, ON_CARD = 256, 512  # pixels of a tile's side
PASSES: Final = 1  # of the correction that keeps it true; more change nothing that can be seen
HARDER: Final = 0.15  # less of it is right at a scale than at the next coarser one; six clips agree within 0.1
FAINT: Final = 0.05  # a share that is no more than this is as good as none, which costs nothing
REMEMBERED: Final = 0.9  # of the last picture's share, so that it does not jump from one to the next


@dataclass(frozen=True, slots=True)
class UpscalerNetwork:
    """A network that makes pictures larger: RGB (1, 3, h, w), 0..1, to (1, 3, factor h, factor w).

    ``open`` gives it ready for pictures of a height and width. ``reach``: how far, in pixels, what a pixel becomes
    depends on others; even. ``plain``: it was trained to come near to the truth, not to look sharp at any price.
    ``weights``: name and SHA-256 of those that the store does not know.
    """

    open: Callable[[int, int], Session]
    factor: int
    reach: int
    plain: bool = False
    weights: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UpscaleParams:
    """How a picture is to be enlarged: ``factor`` is the network's or less; ``side``: pixels of a tile, None: what
    suits the device; ``strength`` 0..1, of it over a plain enlargement; ``passes`` of the correction."""

    factor: int
    side: int | None = None
    strength: float = 1.0
    passes: int = PASSES


class TiledUpscaler:
    """See ``enhancers.base.Upscaler``.

    Each tile is computed with everything that it depends on, so that there are no seams. What the network made is
    corrected until, made small again, it is what it was made from: iterative back-projection, Irani and Peleg,
    "Improving resolution by image registration", CVGIP 53(3), 1991.

    How right a ``plain`` network is differs from footage to footage: some has fine detail, some was enlarged before. So
    it is asked to restore the middle of each picture from a smaller one, and counts for as much as it was right there.
    """

    def __init__(self, network: UpscalerNetwork, wish: UpscaleParams, monitor: Monitor) -> None:
        self.factor = wish.factor
        self._network, self._wish, self._monitor = network, wish, monitor
        self._plain = Lanczos(wish.factor)
        self._asked = self._side = wish.side or 0
        self._session: Session | None = None
        self._open_for: tuple[int, int] | None = None
        self._share: float | None = None

    @property
    def run_info(self) -> RunInfo | None:
        if self._session is None:
            return None
        notes: tuple[str, ...] = ()
        if self._side < self._asked:
            notes = (f"memory ran short with tiles of {self._asked} pixels; it went on with {self._side}",)
        return RunInfo(self._session.device, self._session.precision, 1, notes, self._network.weights)

    def begin(self) -> None:
        self._share = None

    def upscale(self, picture: Frame) -> Frame:
        """Also raises what the monitor's check does, between two tiles."""
        if not self._wish.strength:
            return self._plain.upscale(picture)
        share = self._share
        while True:
            try:
                return self._tiled(picture)
            except OutOfMemory:
                if self._side <= SMALLEST:
                    raise
                self._session, self._share = None, share
                self._side = max(SMALLEST, self._side // 2)

    def _tiled(self, picture: Frame) -> Frame:
        session, tiles = self._ready(picture)
        large = blank(picture, self.factor)
        to_rgb = rgb_matrix(picture.colour, picture.y.shape[0], picture.depth)
        strength = self._wish.strength * (self._trusted(session, tiles, picture, to_rgb) if self._network.plain else 1)
        if not strength:
            return self._plain.upscale(picture)
        for top, left in tiles.corners():
            self._monitor.check()
            shown = read_tile(picture, top, left, (tiles.high, tiles.wide), self._network.reach)
            made = self._enlarged(session, shown, to_rgb)
            if strength < 1:
                plain = resize_lanczos(shown, self.factor)
                made = plain + (made - plain) * np.float32(strength)
            cut = self._network.reach * self.factor - MARGIN
            write_tile(large, top * self.factor, left * self.factor, made[cut:-cut, cut:-cut])
        return large

    def _ready(self, picture: Frame) -> tuple[Session, Grid]:
        """The session for the tiles of pictures of this size."""
        height, width = picture.y.shape
        session = self._session
        if not self._side:
            self._asked = self._side = ON_PROCESSOR
            session = self._network.open(*self._shape(grid(height, width, ON_PROCESSOR)))
            if session.device not in ("cpu", "onnxruntime", "ncnn"):
                self._asked = self._side = ON_CARD
        tiles = grid(height, width, self._side)
        if session is None or self._open_for != self._shape(tiles):
            session = self._network.open(*self._shape(tiles))
        self._session, self._open_for = session, self._shape(tiles)
        return session, tiles

    def _shape(self, tiles: Grid) -> tuple[int, int]:
        return tiles.high + 2 * self._network.reach, tiles.wide + 2 * self._network.reach

    def _enlarged(self, session: Session, shown: Float32, to_rgb: Float32) -> Float32:
        """A tile (h, w, 3) of code values, ``factor`` times as large."""
        rgb = np.clip(cv2.transform(shown, to_rgb), 0, 1)
        made = session.run([np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]])[0]
        high, wide = shown.shape[0] * self.factor, shown.shape[1] * self.factor
        if made.shape != (1, 3, shown.shape[0] * self._network.factor, shown.shape[1] * self._network.factor):
            raise InferenceFailed(f"the network made {made.shape} of {rgb.shape}")
        if not np.isfinite(made).all():
            raise InferenceFailed("the network gave values that are no numbers")
        large = np.ascontiguousarray(np.clip(made[0], 0, 1).transpose(1, 2, 0))  # SPAN makes great numbers of noise
        if self._network.factor != self.factor:
            large = cv2.resize(large, (wide, high), interpolation=cv2.INTER_AREA)
        return back_project(
            np.asarray(cv2.transform(large, ycbcr_matrix(to_rgb)), np.float32), shown, self._wish.passes
        )

    def _trusted(self, session: Session, tiles: Grid, picture: Frame, to_rgb: Float32) -> float:
        """How much of the network and how much of a plain enlargement come nearest to the truth, 0..1."""
        high, wide, reach = tiles.high * self.factor, tiles.wide * self.factor, self._network.reach * self.factor
        top, left = (max(0, length - side) // 4 * 2 for length, side in zip(picture.y.shape, (high, wide), strict=True))
        truth = read_tile(picture, top, left, (high, wide), reach)
        small = np.asarray(cv2.resize(truth, self._shape(tiles)[::-1], interpolation=cv2.INTER_AREA), np.float32)
        plain = back_project(
            resize_lanczos(small, self.factor), small, self._wish.passes
        )  # what the correction does counts not
        inside = tuple(
            slice(reach, reach + min(side, length - first))  # beyond the picture's edge there is nothing true
            for side, length, first in zip((high, wide), picture.y.shape, (top, left), strict=True)
        )
        better = (self._enlarged(session, small, to_rgb) - plain)[..., 0][inside]
        missing = (truth - plain)[..., 0][inside]
        power = float((better * better).sum())
        share = float((better * missing).sum()) / power - HARDER if power else 1.0
        share = min(max(share, 0.0), 1.0)
        self._share = share if self._share is None else self._share + (1 - REMEMBERED) * (share - self._share)
        return max(0.0, self._share - FAINT) / (1 - FAINT)


def resize_lanczos(small: Float32, factor: int) -> Float32:
    """A tile (h, w, 3) made larger without a network."""
    size = (small.shape[1] * factor, small.shape[0] * factor)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LANCZOS4), np.float32)


def back_project(large: Float32, small: Float32, passes: int) -> Float32:
    """``large`` (f h, f w, 3), changed as little as makes it ``small`` (h, w, 3) when areas of it are averaged."""
    for _ in range(passes):
        missing = small - cv2.resize(large, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
        large = large + cv2.resize(missing, (large.shape[1], large.shape[0]), interpolation=cv2.INTER_CUBIC)
    return large


def open_stored(
    find: Callable[[bool], Path], factor: int, reach: int, runtime: Runtime, sessions: SessionCache
) -> UpscalerNetwork:
    """A network of the store. ``find``: its graph, in half precision or not. Raises ModelError, OutOfMemory."""
    graph = find(runtime.precision == "fp16")

    def ready(high: int, wide: int) -> Session:
        shape = (1, 3, high, wide)
        return sessions.open(graph, device=runtime.device, precision=runtime.precision, shapes=shape)

    return UpscalerNetwork(ready, factor, reach)
