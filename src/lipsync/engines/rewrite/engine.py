"""The built-in engine: the speaker's own video, re-animated by a network that maps speech to motion.

After Bregler, Covell and Slaney, "Video Rewrite: Driving Visual Speech with Audio", SIGGRAPH 1997: the mouth is built
from the video's own images. Here a mesh moves each frame's skin, and donor images supply the inside of the mouth.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from lipsync.engines.base import Engine, OwnSound, Rendered, Scene
from lipsync.engines.rewrite.animator import Animator
from lipsync.engines.rewrite.speaker import Speaker
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.frames.prefetch import prefetch
from lipsync.models.session import Adapted, RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.speech.encoder import encoder_checksum
from lipsync.speech.motion import motion_checksum
from lipsync.speech.personal_motion import PersonalMotion
from lipsync.types import Face, Frame


class Rewrite(Engine):
    """An engine for one job; see ``engines.base.Engine``."""

    needs_faces = True
    adapts = True

    def __init__(self, motion: PersonalMotion) -> None:
        self._motion, self._speaker = motion, Speaker(motion)
        self._animator = Animator(motion.basis)
        self._adapted: Adapted | None = None

    @classmethod
    def open(cls, sessions: SessionCache) -> Rewrite:
        """Open with the bundled motion network. Raises ModelMissing or ModelCorrupt if it is damaged."""
        return cls(PersonalMotion.open(sessions))

    @property
    def run_info(self) -> RunInfo:
        weights = (("encoder", encoder_checksum()), ("motion", motion_checksum()))
        return RunInfo("cpu", "fp32", 1, self._animator.notes, weights, self._adapted)

    def observe(self, frame: Frame, face: Face | None) -> None:
        self._animator.observe(frame, face)

    def listen(self, sound: OwnSound) -> None:
        self._speaker.listen(sound)

    def study(self, faces: SmoothedFaces) -> None:
        self._speaker.study(faces)

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        adaptation = self._speaker.adaptation(scene.faces, self._animator.closed_mouth())
        self._adapted = None if adaptation is None else adaptation.adapted
        with closing(scene.speech.blocks(scene.av_offset)) as blocks:
            motion = self._motion.predict(blocks, scene.rate, scene.frame_count, adaptation)
            with (
                prefetch(motion, depth=2) as rows,  # computed while the animator prepares its donors
                closing(self._animator.animate(frames, rows, scene.faces)) as rendered,
            ):
                yield from rendered
