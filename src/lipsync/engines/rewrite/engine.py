"""The built-in engine: the speaker's own video, re-animated by a network that maps speech to motion.

After Bregler, Covell and Slaney, "Video Rewrite: Driving Visual Speech with Audio", SIGGRAPH 1997: the mouth is built
from the video's own images. Here a mesh moves each frame's skin, and donor images supply the inside of the mouth.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from lipsync.engines.base import Engine, Rendered, Scene
from lipsync.engines.rewrite.animator import Animator
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.speech.motion import MotionModel, motion_checksum, open_motion_model
from lipsync.types import Face, Frame


class Rewrite(Engine):
    """An engine for one job; see ``engines.base.Engine``."""

    needs_faces = True

    def __init__(self, motion: MotionModel) -> None:
        self._motion = motion
        self._animator = Animator(motion.basis)

    @classmethod
    def open(cls, sessions: SessionCache) -> Rewrite:
        """Open with the bundled motion network. Raises ModelMissing or ModelCorrupt if it is damaged."""
        return cls(open_motion_model(sessions))

    @property
    def run_info(self) -> RunInfo:
        covered = self._animator.covered_frames
        notes = (f"frames copied unchanged because something covers the mouth: {covered}",) if covered else ()
        return RunInfo("cpu", "fp32", 1, notes, (("motion", motion_checksum()),))

    def observe(self, frame: Frame, face: Face | None) -> None:
        self._animator.observe(frame, face)

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        with closing(scene.speech.blocks(scene.av_offset)) as blocks:
            motion = self._motion.predict(blocks, scene.rate, scene.frame_count)
            with closing(self._animator.animate(frames, motion, scene.faces)) as rendered:
                yield from rendered
