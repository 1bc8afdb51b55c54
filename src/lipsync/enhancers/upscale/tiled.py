"""Upscale whole frames with a model, tile by tile, and keep them consistent with the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from lipsync.enhancers.base import EnhancerContext, EnhancerOptions
from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.enhancers.upscale.tiles import WRITE_MARGIN, Grid, blank_frame, grid, read_tile, write_tile
from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.frames.rgb import rgb_matrix, ycbcr_matrix
from lipsync.models.devices import Runtime
from lipsync.models.finite import check_finite
from lipsync.models.session import RunInfo, Session
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.types import Float32, Frame

MIN_TILE: Final = 64  # pixels: with smaller tiles, almost all work is for the margins
CPU_TILE, GPU_TILE = 256, 512  # pixels
CPU_DEVICES: Final = ("cpu", "onnxruntime", "ncnn")
BACK_PROJECTIONS: Final = 1  # more have no visible effect
SCALE_PENALTY: Final = 0.15  # confidence lost from one scale to the next finer one; six clips agree within 0.1
MIN_CONFIDENCE: Final = 0.05  # below, the model is not run
CONFIDENCE_MEMORY: Final = 0.9  # weight of the previous frame's confidence


@dataclass(frozen=True, slots=True)
class UpscalerNetwork:
    """A model from RGB (1, 3, h, w) in 0..1 to (1, 3, scale h, scale w).

    ``open``: return a session for a height and width. ``margin``: distance in pixels beyond which the input has no
    effect on an output pixel; even. ``psnr_oriented``: trained to minimize the error, not to look sharp (GAN).
    ``checksums``: name and SHA-256 of weights outside the models folder.
    """

    open: Callable[[int, int], Session]
    scale: int
    margin: int
    psnr_oriented: bool = False
    checksums: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UpscaleParams:
    """``factor``: the model's scale or less. ``tile``: side of a tile in pixels; None: chosen for the device.

    ``strength`` 0..1: blend over Lanczos. ``back_projections``: number of corrections.
    """

    factor: int
    tile: int | None = None
    strength: float = 1.0
    back_projections: int = BACK_PROJECTIONS


def params_of(factor: int, options: EnhancerOptions) -> UpscaleParams:
    """Return the parameters for an upscaler's options."""
    return UpscaleParams(factor, options.tile, options.strength)


class TiledUpscaler:
    """See ``enhancers.base.Upscaler``.

    Tiles are computed with a margin that covers everything they depend on, so that there are no seams. Iterative
    back-projection corrects the output until downscaling it reproduces the input: Irani and Peleg, "Improving
    resolution by image registration", CVGIP 53(3), 1991.

    The accuracy of a ``psnr_oriented`` model depends on the video, which may have fine detail or may have been
    upscaled before. The model is therefore tested on a downscaled part of each frame, and blended in accordingly.
    """

    def __init__(self, network: UpscalerNetwork, params: UpscaleParams, monitor: Monitor) -> None:
        self.factor = params.factor
        self._network, self._params, self._monitor = network, params, monitor
        self._lanczos = Lanczos(params.factor)
        self._initial_tile = self._tile = params.tile or 0
        self._session: Session | None = None
        self._session_shape: tuple[int, int] | None = None
        self._confidence: float | None = None

    @property
    def run_info(self) -> RunInfo | None:
        if self._session is None:
            return None
        notes: tuple[str, ...] = ()
        if self._tile < self._initial_tile:
            notes = (f"out of memory with tiles of {self._initial_tile} pixels; continued with {self._tile}",)
        return RunInfo(self._session.device, self._session.precision, 1, notes, self._network.checksums)

    def begin(self) -> None:
        self._confidence = None

    def upscale(self, frame: Frame) -> Frame:
        """Return a new frame; also raises errors of the monitor's check, which runs between tiles."""
        if not self._params.strength:
            return self._lanczos.upscale(frame)
        confidence = self._confidence
        while True:
            try:
                return self._upscale_tiles(frame)
            except OutOfMemory:
                if self._tile <= MIN_TILE:
                    raise
                self._session, self._confidence = None, confidence
                self._tile = max(MIN_TILE, self._tile // 2)

    def _upscale_tiles(self, frame: Frame) -> Frame:
        session, tiles = self._prepare(frame)
        large = blank_frame(frame, self.factor)
        to_rgb = rgb_matrix(frame.colour, frame.y.shape[0], frame.depth)
        strength = self._params.strength
        if self._network.psnr_oriented:
            strength *= self._estimate_confidence(session, tiles, frame, to_rgb)
        if not strength:
            return self._lanczos.upscale(frame)
        for top, left in tiles.corners():
            self._monitor.check()
            tile = read_tile(frame, top, left, (tiles.tile_height, tiles.tile_width), self._network.margin)
            output = self._run(session, tile, to_rgb)
            if strength < 1:
                lanczos = resize_lanczos(tile, self.factor)
                output = lanczos + (output - lanczos) * np.float32(strength)
            cut = self._network.margin * self.factor - WRITE_MARGIN
            write_tile(large, top * self.factor, left * self.factor, output[cut:-cut, cut:-cut])
        return large

    def _prepare(self, frame: Frame) -> tuple[Session, Grid]:
        """Return the tiles of a frame of this size and a session for them."""
        height, width = frame.y.shape
        session = self._session
        if not self._tile:
            self._initial_tile = self._tile = CPU_TILE
            session = self._network.open(*self._input_shape(grid(height, width, CPU_TILE)))
            if session.device not in CPU_DEVICES:
                self._initial_tile = self._tile = GPU_TILE
        tiles = grid(height, width, self._tile)
        if session is None or self._session_shape != self._input_shape(tiles):
            session = self._network.open(*self._input_shape(tiles))
        self._session, self._session_shape = session, self._input_shape(tiles)
        return session, tiles

    def _input_shape(self, tiles: Grid) -> tuple[int, int]:
        return tiles.tile_height + 2 * self._network.margin, tiles.tile_width + 2 * self._network.margin

    def _run(self, session: Session, tile: Float32, to_rgb: Float32) -> Float32:
        """Upscale a tile (h, w, 3) of Y'CbCr code values by ``factor``."""
        (height, width), scale = tile.shape[:2], self._network.scale
        rgb = np.clip(cv2.transform(tile, to_rgb), 0, 1)
        output = session.run([np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]])[0]
        if output.shape != (1, 3, height * scale, width * scale):
            raise InferenceFailed(f"the upscaler produced shape {output.shape} from {rgb.shape}")
        check_finite(output, InferenceFailed, "the upscaler produced")
        large = np.ascontiguousarray(np.clip(output[0], 0, 1).transpose(1, 2, 0))  # SPAN's values explode on noise
        if scale != self.factor:
            size = (width * self.factor, height * self.factor)
            large = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
        ycbcr = np.asarray(cv2.transform(large, ycbcr_matrix(to_rgb)), np.float32)
        return back_project(ycbcr, tile, self._params.back_projections)

    def _estimate_confidence(self, session: Session, tiles: Grid, frame: Frame, to_rgb: Float32) -> float:
        """Return the blend 0..1 of model over Lanczos that best restores the middle of the frame, downscaled first.

        It is smoothed over time.
        """
        factor, params = self.factor, self._params
        size = tiles.tile_height * factor, tiles.tile_width * factor
        margin = self._network.margin * factor
        top, left = (max(0, length - side) // 4 * 2 for length, side in zip(frame.y.shape, size, strict=True))
        truth = read_tile(frame, top, left, size, margin)
        small = np.asarray(cv2.resize(truth, self._input_shape(tiles)[::-1], interpolation=cv2.INTER_AREA), np.float32)
        # Back-projected as well, so that the correction itself is not counted in favour of the model.
        lanczos = back_project(resize_lanczos(small, factor), small, params.back_projections)
        inside = tuple(  # beyond the edge of the frame there is no truth
            slice(margin, margin + min(side, length - start))
            for side, length, start in zip(size, frame.y.shape, (top, left), strict=True)
        )
        gain = (self._run(session, small, to_rgb) - lanczos)[..., 0][inside]
        missing = (truth - lanczos)[..., 0][inside]
        power = float((gain * gain).sum())
        confidence = float((gain * missing).sum()) / power - SCALE_PENALTY if power else 1.0
        confidence = min(max(confidence, 0.0), 1.0)
        if self._confidence is not None:
            confidence = self._confidence + (1 - CONFIDENCE_MEMORY) * (confidence - self._confidence)
        self._confidence = confidence
        return max(0.0, confidence - MIN_CONFIDENCE) / (1 - MIN_CONFIDENCE)


def resize_lanczos(small: Float32, factor: int) -> Float32:
    """Upscale a tile (h, w, 3) with Lanczos interpolation."""
    size = (small.shape[1] * factor, small.shape[0] * factor)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LANCZOS4), np.float32)


def back_project(large: Float32, small: Float32, passes: int) -> Float32:
    """Correct ``large`` (f h, f w, 3) so that averaging its areas reproduces ``small`` (h, w, 3)."""
    for _ in range(passes):
        missing = small - cv2.resize(large, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
        large = large + cv2.resize(missing, (large.shape[1], large.shape[0]), interpolation=cv2.INTER_CUBIC)
    return large


def load_stored(name: str, scale: int, margin: int, context: EnhancerContext) -> UpscalerNetwork:
    """Load a model from the models folder. Raises ModelError, OptionInvalid, OutOfMemory."""
    sessions = context.sessions
    runtime = sessions.runtime(context.options.device, context.options.precision)
    graph = context.resolve_weights(name, runtime.precision == "fp16")
    return UpscalerNetwork(session_opener(graph, runtime, sessions), scale, margin)


def session_opener(graph: Path | bytes, runtime: Runtime, sessions: SessionCache) -> Callable[[int, int], Session]:
    """Return a function that opens a graph for a height and width."""

    def open_for(height: int, width: int) -> Session:
        shape = (1, 3, height, width)
        return sessions.open(graph, device=runtime.device, precision=runtime.precision, shapes=shape)

    return open_for
