"""The data types that all packages share: frozen, with no behaviour beyond what follows from their fields.

Coordinates are pixels of the upright frame, x to the right, y down; the centre of the top left pixel is (0, 0).
Rectangles have two orders: ``Box`` is left, top, right, bottom; ``Sides``, kept for compatibility with Wav2Lip's
command line, is top, bottom, left, right. Sizes are width, height; array shapes are height, width.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
# (478, 3) in MediaPipe's order: x and y in pixels, z in pixels, negative towards the viewer.
Landmarks = NDArray[np.float32]
Plane = NDArray[np.uint8] | NDArray[np.uint16]  # (height, width): 8 bits, or 10 bits in the low bits of 16
Rgb = tuple[int, int, int]  # 0..255 each
Sides = tuple[int, int, int, int]  # top, bottom, left, right, as in Wav2Lip's --crop, --pads and --box


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, left, top, right, bottom; ``right`` and ``bottom`` are excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def luma(self) -> tuple[slice, slice]:
        """Rows and columns of the box in a full-size plane."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def chroma(self) -> tuple[slice, slice]:
        """Rows and columns of the box in a 4:2:0 chroma plane; odd corners include the shared sample."""
        return slice(self.top // 2, (self.bottom + 1) // 2), slice(self.left // 2, (self.right + 1) // 2)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Rows and columns of this box in an array that covers ``outer``."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    def grown(self, margin: int) -> Box:
        """Extend every side by ``margin`` pixels."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def even(self) -> Box:
        """Move the corners outwards to even coordinates, so that no chroma sample is split."""
        return Box(self.left // 2 * 2, self.top // 2 * 2, (self.right + 1) // 2 * 2, (self.bottom + 1) // 2 * 2)

    def intersection(self, other: Box) -> Box:
        """The part that both boxes cover; its width or height is negative if they are apart."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )


@dataclass(frozen=True, slots=True)
class Colour:
    """FFmpeg's colour tags as numbers (ITU-T H.273). ``full_range``: black is 0 instead of 16 (8 bits)."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video stream as the reader delivers it: upright and at a constant rate.

    ``width``, ``height``: of the upright frame. ``rate``: frames per second. ``frame_count``: from the packets, so
    decoding may yield fewer. ``start``: time in seconds, by the file's clock, from which the
    first frame is shown. ``depth``: bits per sample in the file.
    ``mirrored``: the coded frame is flipped top to bottom first. ``rotation``: degrees counterclockwise that then make
    it upright. ``variable``: the file's own frame times are uneven. ``sample_aspect``: width of a pixel divided by its
    height. ``transparent``: the file has an alpha channel, and if it is a picture, something is transparent.
    """

    codec: str
    width: int
    height: int
    rate: Fraction
    frame_count: int
    duration: Fraction
    start: Fraction
    pixel_format: str
    depth: int
    mirrored: bool
    rotation: int
    variable: bool
    sample_aspect: Fraction
    colour: Colour
    transparent: bool = False


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The first audio stream as stored. ``rate``: samples per second. ``duration``: seconds, from the container.

    ``start``: time, by the file's clock, from which it plays; there is silence until its first sample. ``end``: the
    time at which the file says it ends; codecs pad their last samples beyond it. ``padding``: seconds of padding to be
    expected at its end, where the file does not mark it. ``language``: ISO 639-2 code; empty if unknown.
    ``stated``: the length in seconds that a truncated file states; None for a complete one.
    """

    codec: str
    rate: int
    channels: int
    layout: str
    duration: Fraction
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    padding: Fraction = Fraction(0)
    language: str = ""
    stated: Fraction | None = None


@dataclass(frozen=True, slots=True)
class FrameTransform:
    """Steps applied to each upright frame of ``source_size`` (width, height) while reading, in this order.

    Downscale by the whole number ``resize_factor``, rotate clockwise by 90 degrees if ``rotated``, keep ``crop``.
    ``nearest``: downscale by bilinear interpolation without averaging areas, as OpenCV's default does.
    """

    source_size: tuple[int, int]
    crop: Box
    resize_factor: int = 1
    rotated: bool = False
    nearest: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """A probed media file. ``container``: FFmpeg's name of the format. ``sha256``: in hexadecimal, if already known.

    ``still``: a photo; its VideoInfo has one frame and the requested rate. ``picture``: a photo or animation that
    ``media.picture`` reads, in which case ``container`` is Pillow's name. ``transform``: the step from the frame size
    in the file to the one in VideoInfo; None if they are the same. ``background``: the colour over which transparent
    frames are read; None keeps their transparency. ``joints``: if the file's clock starts again, as in
    recordings joined end to end, the seconds to add to the times of each part; empty otherwise.
    """

    path: Path
    container: str
    video: VideoInfo | None
    audio: AudioInfo | None
    still: bool = False
    transform: FrameTransform | None = None
    sha256: str | None = None
    picture: bool = False
    background: Rgb | None = (0, 0, 0)
    joints: tuple[Fraction, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoClip(Clip):
    """A probed video or photo: a clip that has a video stream."""

    video: VideoInfo

    @property
    def keeps_transparency(self) -> bool:
        """Whether its frames have alpha."""
        return self.video.transparent and self.background is None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in planar Y'CbCr 4:2:0: ``y`` (H, W), ``u`` (Cb) and ``v`` (Cr), both (ceil(H/2), ceil(W/2)).

    Planes are writable and not shared with other frames, unless the frame was read with ``read_only``. ``index``: the
    number of the source frame; it repeats where the video plays backwards or loops. ``depth``: 8 or 10 bits.
    ``alpha``: (H, W) at this depth, 0 where nothing shows; None if the whole frame is opaque.
    """

    index: int
    y: Plane
    u: Plane
    v: Plane
    depth: int
    colour: Colour
    alpha: Plane | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame. ``score``: the landmark network's confidence that this is a face, 0..1."""

    landmarks: Landmarks
    score: float


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames without a cut: ``start`` included, ``stop`` excluded."""

    start: int
    stop: int
