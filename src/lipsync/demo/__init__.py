"""The media of ``lipsync demo``: a short clip, a sentence by another speaker and a photo, all part of the package.

``data/README.md`` names their sources and licenses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from lipsync.media.encoding import Encoding
from lipsync.media.probe import probe_video
from lipsync.media.reader import ping_pong, read
from lipsync.media.writer import write
from lipsync.types import Frame, Plane

DATA = resources.files("lipsync.demo") / "data"
BEFORE, AFTER = "before", "after"  # captions
NEUTRAL_CHROMA = 128  # of 0..255
CAPTION_SHADE = 0.4  # share of the luma that remains behind a caption
WHITE = 235  # limited-range luma


@dataclass(frozen=True, slots=True)
class DemoMedia:
    """Files of the package. ``clip`` is 512x512 at 25 frames/s, 3 s; ``voice`` 3 s of mono AAC; ``photo`` 720x800."""

    clip: Path
    voice: Path
    photo: Path


@contextmanager
def demo_media() -> Iterator[DemoMedia]:
    """Make the files available on disk, even if the package is imported from an archive."""
    with ExitStack() as stack:
        clip, voice, photo = (
            stack.enter_context(resources.as_file(DATA / name)) for name in ("clip.mp4", "voice.m4a", "photo.jpg")
        )
        yield DemoMedia(clip, voice, photo)


def write_comparison(before: Path, after: Path, output: Path) -> None:
    """Encode ``before`` and ``after`` side by side, with captions and the audio of ``after``.

    Both have the same frame size. ``before`` is a video or a photo; it plays forwards and backwards if it is shorter.
    Raises InputError and OutputError.
    """
    result = probe_video(after)
    video = result.video
    original = probe_video(before, photo_rate=video.rate)
    wide = replace(result, video=replace(video, width=2 * video.width))
    with ExitStack() as stack:
        left = stack.enter_context(closing(ping_pong(original, video.frame_count, original.video.frame_count)))
        right = stack.enter_context(closing(read(result)))
        rows = ((_side_by_side(*pair),) for pair in zip(left, right, strict=True))
        write(rows, (output,), video=wide, audio=result, frame_count=video.frame_count, encoding=Encoding())


def _side_by_side(before: Frame, after: Frame) -> Frame:
    """Place two frames of the same height next to each other and caption both."""
    y, u, v = (
        np.ascontiguousarray(np.hstack(planes))
        for planes in ((before.y, after.y), (before.u, after.u), (before.v, after.v))
    )
    frame = replace(after, y=y, u=u, v=v)
    _caption(frame, BEFORE, 0)
    _caption(frame, AFTER, before.y.shape[1])
    return frame


def _caption(frame: Frame, text: str, left: int) -> None:
    """Draw white text on a darkened, grey box at the top left of the half that begins at column ``left``."""
    scale = frame.y.shape[0] / 700
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = height // 2
    right, bottom = left + width + 2 * margin, height + baseline + 2 * margin
    box = frame.y[:bottom, left:right]
    box[:] = (box * CAPTION_SHADE).astype(box.dtype)
    for plane in (frame.u, frame.v):
        _halved(plane, left, right, bottom)[:] = NEUTRAL_CHROMA
    origin = (left + margin, height + margin)
    cv2.putText(frame.y, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, 1, cv2.LINE_AA)


def _halved(plane: Plane, left: int, right: int, bottom: int) -> Plane:
    return plane[: (bottom + 1) // 2, left // 2 : (right + 1) // 2]
