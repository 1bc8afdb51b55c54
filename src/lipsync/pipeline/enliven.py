"""Let a photo live: blinks and slight head motion, after the engine and everything that works on the still face.

The engines, the detail transfer, the face restorers and the kept edits all see the photo as it is, so that its tracked
landmarks stay right for them. The head moves as the last step before the frames are enlarged or encoded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

from lipsync.enhancers.base import EditedFrame
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.files import read_errors, sha256_of
from lipsync.liveliness.photo import LivelyPhoto, lively_photo
from lipsync.media.reader import read
from lipsync.types import Float32, VideoClip


def prepare_photo(
    video: VideoClip, faces: SmoothedFaces, liveliness: float, voice: Iterable[Float32] = ()
) -> LivelyPhoto | None:
    """Return the photo ready to move; None for a video, without a tracked face, or for a ``liveliness`` of 0.

    The same file with the same ``voice``, mono samples at 16 kHz, always moves in the same way. Raises FileMissing,
    NotAFile, FileUnreadable, and what ``media.reader.read`` raises.
    """
    if not video.still or not liveliness:
        return None
    with read_errors(video.path):
        checksum = video.sha256 or sha256_of(video.path)
    (frame,) = read(video, stop=1, read_only=True)
    return lively_photo(frame, faces, video.video.rate, liveliness, int(checksum[:16], 16), voice)


def enliven(edits: Iterable[EditedFrame], photo: LivelyPhoto) -> Generator[EditedFrame, None, None]:
    """Yield all frames of a photo with ``after`` moved in place."""
    for edit, moment in zip(edits, photo.moments(), strict=False):
        changed = photo.show(edit.after, moment)
        yield replace(edit, edited=edit.edited or changed)
