"""Read pictures by Pillow: photos of any kind, and animations with their own delays."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from math import ceil, gcd
from pathlib import Path
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from lipsync.errors import InputTooLarge, MediaTruncated
from lipsync.media.frame_rate import MAX_RATE, snap_rate
from lipsync.media.limits import MediaLimits
from lipsync.media.picture_colour import to_srgb
from lipsync.media.timing import Timing

OPENERS: Final[dict[str, Callable[[Path], ImageFile.ImageFile]]] = {
    "AVIF": AvifImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "HEIF": HeifImageFile,
    "JPEG": JpegImageFile,
    "JPEG2000": Jpeg2KImageFile,
    "PNG": PngImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
ANIMATED: Final = ("AVIF", "GIF", "PNG", "WEBP")  # several pictures in other formats are no animation
UPRIGHT: Final = ("HEIF", "TIFF")  # formats that their readers turn upright
# By the orientation of Exif 2.32, 4.6.4.
TRANSPOSITIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
QUARTER_TURNS: Final = tuple(TRANSPOSITIONS[orientation] for orientation in (5, 6, 7, 8))
DAMAGE: Final = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error)
PILLOW_BYTES: Final = 4  # of a pixel, whatever its mode
HELD_COPIES: Final = {"AVIF": 2, "HEIF": 3}  # by readers that hand over a decoded copy
MILLISECOND: Final = Fraction(1, 1000)
OPAQUE: Final = 255
MIN_DELAY, DEFAULT_DELAY = 10, 100  # ms: browsers show a picture for the latter if its delay is not above the former
MIN_RATE, MAX_EXACT_RATE = 5, 60  # frames/s: slower animations would show no mouth; faster ones keep most times exact


class Picture:
    """An open picture or animation. ``format``: Pillow's name. Open it with ``open_picture`` in a ``with`` block."""

    def __init__(self, path: Path, image: ImageFile.ImageFile) -> None:
        self._path, self._image = path, image
        self.format: str = image.format or ""
        count = getattr(image, "n_frames", 1) if self.format in ANIMATED else 1
        first = 1 if count > 2 and getattr(image, "default_image", False) else 0  # of APNG, shown by other readers
        self._numbers = range(first, count)
        self._profile = image.info.get("icc_profile")
        self._turn = None if self.format in UPRIGHT else _transposition(image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture, as stated in the file."""
        width, height = self._image.size
        return (height, width) if self._turn in QUARTER_TURNS else (width, height)

    @property
    def pixel_bytes(self) -> int:
        """How much memory decoding takes, in bytes for each pixel."""
        return HELD_COPIES.get(self.format, 1) * PILLOW_BYTES

    @property
    def animated(self) -> bool:
        """Whether it is an animation."""
        return len(self._numbers) > 1

    def is_transparent(self) -> bool:
        """Decode the pictures until some part of one is transparent; return whether any is. Raises MediaTruncated."""
        if self.format == "JPEG":
            self._image.draft(None, (1, 1))  # a coarse decoding shows as well whether the file is complete
        for number in self._numbers:
            image = self._loaded(number)
            if image.has_transparency_data and np.asarray(image.convert("RGBA").getchannel("A")).min() < OPAQUE:
                return True
        return False

    def timing(self, limits: MediaLimits) -> Timing:
        """Return the times of an animation, all of whose pictures are decoded for that.

        Raises MediaTruncated, and InputTooLarge as soon as it is too long.
        """
        delays = list[int]()
        for number in self._numbers:
            delays.append(_delay(self._loaded(number)))
            limits.check_seconds(self._path, sum(delays) * MILLISECOND)
        return timing_of(delays)

    def frames(self, size: tuple[int, int], *, transparent: bool) -> Iterator[VideoFrame]:
        """Yield the pictures upright, in sRGB of 8 bits: rgb24, or rgba with straight alpha if ``transparent``.

        Their times are those at which they appear.

        ``size``: width and height to which larger pictures are reduced. Raises MediaTruncated.
        """
        stored = size[::-1] if self._turn in QUARTER_TURNS else size
        if self.format == "JPEG":
            self._image.draft(None, stored)  # decodes at a fraction of the size that is not below this one
        time = 0
        for number in self._numbers:
            loaded = self._loaded(number)
            image = to_srgb(loaded, self._profile, transparent=transparent)
            if image.size != stored:
                image = image.resize(stored, Image.Resampling.LANCZOS, reducing_gap=2.0)
            if self._turn is not None:
                image = image.transpose(self._turn)
            frame = VideoFrame.from_ndarray(np.asarray(image), format="rgba" if transparent else "rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            time += _delay(loaded)
            yield frame

    def _loaded(self, number: int) -> ImageFile.ImageFile:
        try:
            if number or self.animated:
                self._image.seek(number)
            self._image.load()
        except DAMAGE as exc:
            raise MediaTruncated(f"{self._path}: the picture is truncated or damaged") from exc
        return self._image


@contextmanager
def open_picture(path: Path, formats: Sequence[str]) -> Iterator[Picture | None]:
    """Open a picture that is in one of the ``formats``; None if it is in none of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata
        image = next(filter(None, (_opened(path, name) for name in formats)), None)
        picture = None if image is None else Picture(path, image)
    with nullcontext() if image is None else image:
        yield picture


def timing_of(delays: Sequence[int]) -> Timing:
    """Find the constant rate at which pictures with these ``delays``, in milliseconds, appear when they should.

    It is exact where the delays have a common divisor that is long enough; otherwise the most frequent one decides.
    """
    rate = Fraction(1000, gcd(*delays))
    if rate > MAX_EXACT_RATE:
        usual = Counter(delays).most_common(1)[0][0]
        rounded = [delay for delay in delays if abs(delay - usual) <= 1]
        rate = min(snap_rate(Fraction(1000 * len(rounded), sum(rounded))), MAX_RATE)
    rate *= ceil(MIN_RATE / rate)
    frame_count = max(1, round(sum(delays) * MILLISECOND * rate))
    return Timing(rate, frame_count, Fraction(0), variable=len(set(delays)) > 1)


def _delay(image: ImageFile.ImageFile) -> int:
    """How long the loaded picture of an animation is shown, in milliseconds."""
    stated = round(float(image.info.get("duration") or 0))
    return stated if stated > MIN_DELAY else DEFAULT_DELAY


def _opened(path: Path, name: str) -> ImageFile.ImageFile | None:
    try:
        return OPENERS[name](path)
    except Image.DecompressionBombError as exc:
        raise InputTooLarge(f"{path}: the picture is larger than Pillow decodes; use a smaller one") from exc
    except DAMAGE:
        return None


def _transposition(image: ImageFile.ImageFile) -> Image.Transpose | None:
    try:
        return TRANSPOSITIONS.get(image.getexif().get(Base.Orientation, 1))
    except DAMAGE:  # the picture is shown as it is stored
        return None
