"""The engine that changes nothing, to try and test everything around an engine."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from lipsync.engines.base import Engine, FrameRules, Rendered, Scene
from lipsync.models.session import RunInfo
from lipsync.types import Face, Frame


class Passthrough(Engine):
    """Yields every frame unchanged; see ``engines.base.Engine``."""

    needs_faces = False
    frame_rules = FrameRules(enlivens_photos=False)

    @property
    def run_info(self) -> RunInfo | None:
        return None

    def observe(self, frame: Frame, face: Face | None) -> None:
        pass

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        for frame in frames:
            yield Rendered(frame, edited=False)
