"""The nouns that the whole package speaks in. Frozen data, no behaviour beyond what follows from the fields.

Coordinates are pixels of the upright picture, x to the right, y down, the centre of the top left pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
# (478, 3): x and y in pixels, z in pixels, towards the viewer negative, in MediaPipe's order
Landmarks = NDArray[np.float32]
Plane = NDArray[np.uint8] | NDArray[np.uint16]  # (height, width), 8 bit or 10 bit in the low bits


@dataclass(frozen=True, slots=True)
class Colour:
    """FFmpeg's colour tags, by number (ITU-T H.273). ``full_range``: black is 0, not 16."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The video stream, as the reader delivers it: upright and at a constant rate.

    ``frames`` is what the packets promise, not yet what could be decoded; ``start`` is the first one's time, seconds.
    ``variable`` tells that the file's own frame times are uneven. ``rotation``, degrees, counter-clockwise, makes the
    coded picture upright; width and height are those of the upright one. ``depth``: bits of a sample in the file.
    """

    codec: str
    width: int
    height: int
    rate: Fraction
    frames: int
    duration: Fraction
    start: Fraction
    pixel_format: str
    depth: int
    rotation: int
    variable: bool
    sample_aspect: Fraction
    colour: Colour


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The first sound stream as it is in the file; ``duration`` as the container tells it."""

    codec: str
    rate: int
    channels: int
    layout: str
    duration: Fraction


@dataclass(frozen=True, slots=True)
class FrameTransform:
    """What is done to every picture of ``whole`` (width, height) as it is read: made ``shrink`` times smaller, turned
    clockwise by 90 degrees, cut to ``crop`` (top, bottom, left, right; pixels, bottom and right excluded).

    ``nearest``: made smaller by looking between the nearest pixels, instead of averaging areas.
    """

    whole: tuple[int, int]
    crop: tuple[int, int, int, int]
    shrink: int = 1
    turned: bool = False
    nearest: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """A media file and what is in it. ``still``: one photo; its VideoInfo has one frame and the rate asked for.

    ``transform`` tells how pictures of the size in the file become pictures of VideoInfo's; None: they have it already.
    """

    path: Path
    container: str
    video: VideoInfo | None
    audio: AudioInfo | None
    still: bool = False
    transform: FrameTransform | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in planar 4:2:0. ``y`` (H, W), ``u`` and ``v`` (ceil(H/2), ceil(W/2)); writable and nobody else's.

    ``index`` is the number of the footage's frame, which repeats where the footage bounces.
    """

    index: int
    y: Plane
    u: Plane
    v: Plane
    depth: int
    colour: Colour


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame. ``score``: the network's belief that this is a face, 0..1."""

    landmarks: Landmarks
    score: float


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames without a cut: ``start`` included, ``stop`` excluded."""

    start: int
    stop: int
