"""The built-in engine: the speaker's own footage, re-animated by a sound-to-motion network.

The idea is that of Bregler, Covell and Slaney, "Video Rewrite: driving visual speech with audio", SIGGRAPH 1997.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from lipsync.engines.base import Rendered, Scene
from lipsync.engines.rewrite.animator import Animator
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.speech.motion import MotionModel, motion_checksum, open_motion
from lipsync.types import Face, Frame


class Rewrite:
    """One job's engine; see ``engines.base.Engine``."""

    needs_faces = True

    def __init__(self, motion: MotionModel) -> None:
        self._motion = motion
        self._animator = Animator(motion.basis)

    @classmethod
    def open(cls, sessions: SessionCache) -> Rewrite:
        """With the network that the package brings; ModelMissing or ModelCorrupt if it is damaged."""
        return cls(open_motion(sessions))

    @property
    def run_info(self) -> RunInfo:
        """Its network is small and runs as it was trained."""
        return RunInfo("cpu", "fp32", 1, weights=(("motion", motion_checksum()),))

    def observe(self, picture: Frame, face: Face | None) -> None:
        self._animator.observe(picture, face)

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        with closing(scene.voice.blocks(scene.av_offset)) as blocks:
            motion = self._motion.predict(blocks, scene.rate, scene.frames)
            with closing(self._animator.animate(pictures, motion, scene.track)) as rendered:
                yield from rendered
