"""The engine that changes nothing, so that everything around an engine can be tried without one."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from lipsync.engines.base import Rendered, Scene
from lipsync.models.session import RunInfo
from lipsync.types import Face, Frame


class Passthrough:
    """Hands every frame on as it is."""

    needs_faces = False

    @property
    def run_info(self) -> RunInfo | None:
        """Nothing is computed."""
        return None

    def observe(self, picture: Frame, face: Face | None) -> None:
        """Nothing to learn."""

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        for picture in pictures:
            yield Rendered(picture, edited=False)
