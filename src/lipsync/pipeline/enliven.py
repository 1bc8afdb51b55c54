"""Let a photo live: blinks and slight head motion, after the engine and everything that works on the still face.

The engines, the detail transfer, the face restorers and the kept edits all see the photo as it is, so that its tracked
landmarks stay right for them. The head moves as the last step before the frames are enlarged or encoded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lipsync.engines.base import Engine
from lipsync.enhancers.base import EditedFrame
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.files import read_errors, sha256_of
from lipsync.media.reader import read
from lipsync.types import Float32, VideoClip

if TYPE_CHECKING:
    from lipsync.liveliness.photo import LivelyPhoto, Moment


def prepare_photo(
    video: VideoClip, faces: SmoothedFaces, liveliness: float, voice: Iterable[Float32] = ()
) -> LivelyPhoto | None:
    """Return the photo ready to move; None for a video, without a tracked face, or for a ``liveliness`` of 0.

    The same file with the same ``voice``, mono samples at 16 kHz, always moves in the same way. Raises FileMissing,
    NotAFile, FileUnreadable, and what ``media.reader.read`` raises.
    """
    if not video.still or not liveliness:
        return None
    from lipsync.liveliness.photo import lively_photo  # most jobs have a video

    with read_errors(video.path):
        checksum = video.sha256 or sha256_of(video.path)
    (frame,) = read(video, stop=1, read_only=True)
    return lively_photo(frame, faces, video.video.rate, liveliness, int(checksum[:16], 16), voice)


def enliven(edits: Iterable[EditedFrame], photo: LivelyPhoto) -> Generator[EditedFrame, None, None]:
    """Yield all frames of a photo with ``after`` moved in place."""
    for edit, moment in zip(edits, photo.moments(), strict=False):
        yield _moved(edit, photo, moment)


def enliven_sets(
    frame_sets: Iterable[Sequence[EditedFrame]], photo: LivelyPhoto, engines: Sequence[Engine]
) -> Generator[tuple[EditedFrame, ...], None, None]:
    """Do the same for sets of one frame of each engine, unless the engine wants photos to be still."""
    movable = [engine.frame_rules.enlivens_photos for engine in engines]
    for frame_set, moment in zip(frame_sets, photo.moments(), strict=False):
        yield tuple(
            _moved(edit, photo, moment) if moves else edit for edit, moves in zip(frame_set, movable, strict=True)
        )


def _moved(edit: EditedFrame, photo: LivelyPhoto, moment: Moment) -> EditedFrame:
    changed = photo.show(edit.after, moment)
    return replace(edit, edited=edit.edited or changed)
