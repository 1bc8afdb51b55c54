"""Lip-sync: a video or a photo and a voice go in, the same video comes out with its mouth moved to the voice.

    import lipsync

    result = lipsync.sync("speaker.mp4", "voice.wav", "out.mp4", on_progress=print)

Failures are LipsyncError subclasses with a stable ``code``; see ``lipsync.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync.errors import Cancelled, LipsyncError
from lipsync.monitor import Monitor, Progress

if TYPE_CHECKING:
    from lipsync.engines.base import EngineOptions
    from lipsync.media.encoding import Encoding
    from lipsync.pipeline.job import Result

try:
    __version__ = metadata.version("lip-sync-service")
except metadata.PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0+unknown"

__all__ = ["Cancelled", "LipsyncError", "Monitor", "Progress", "__version__", "sync"]


def sync(
    video: str | Path,
    audio: str | Path,
    output: str | Path,
    *,
    engine: str | Sequence[str] = "rewrite",
    face_select: str = "largest",
    encoding: Encoding | None = None,
    photo_rate: int | Fraction = 25,
    allow_clipped: bool = False,
    options: EngineOptions | None = None,
    av_offset: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    monitor: Monitor | None = None,
) -> Result:
    """Move the mouth in ``video`` (a video or a photo) to the sound of ``audio`` (a sound file or a video).

    ``output`` is replaced if it exists, whole or not at all; of several engines each adds its name to it.
    ``face_select``: whose mouth, of several people: largest, left, right or centre.
    ``photo_rate``: frames per second made of a photo.
    ``options``: see ``lipsync.engines.base.EngineOptions``. ``av_offset``: milliseconds by which the mouth is later
    than the sound. ``on_progress`` is called after every frame of every stage. ``monitor`` brings a callback of its
    own; its ``cancel()`` may be called from any thread.

    Raises InputError, OutputError, ModelError, ExtraMissing or OutOfMemory with one line for a person, and Cancelled.
    """
    from lipsync.engines.base import EngineOptions
    from lipsync.media.encoding import Encoding
    from lipsync.pipeline.job import Job
    from lipsync.pipeline.run import run

    job = Job(
        Path(video),
        Path(audio),
        Path(output),
        engines=(engine,) if isinstance(engine, str) else tuple(engine),
        face_select=face_select,
        encoding=encoding or Encoding(),
        photo_rate=Fraction(photo_rate),
        allow_clipped=allow_clipped,
        options=options or EngineOptions(),
        av_offset=Fraction(av_offset, 1000),
    )
    return run(job, monitor or Monitor(on_progress))
