"""Wav2Lip with its known faults mended: crops that turn with the head and do not shake, no mouth of the footage in
silence, nothing rounded on the way, and only what lies between lips and jaw put back."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from lipsync.engines.base import EngineOptions, Rendered, Scene
from lipsync.engines.wav2lip.compose import compose
from lipsync.engines.wav2lip.inference import GeneratorRunner, batch_for
from lipsync.engines.wav2lip.inputs import Views
from lipsync.models.session import RunInfo
from lipsync.types import Face, Frame


class Wav2Lip:
    """One job's engine; see ``engines.base.Engine``."""

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int) -> None:
        self._generator, self._views = generator, Views(options)
        self._wished = self._batch = batch
        self.needs_faces = self._views.needs_faces

    @property
    def run_info(self) -> RunInfo:
        return self._generator.run_info

    def observe(self, picture: Frame, face: Face | None) -> None:
        self._batch = batch_for(picture, self._wished)
        self._views.observe(picture, face)

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        repeats = scene.frames > len(scene.track)
        with closing(self._generator.run(self._views.works(pictures, scene), self._batch, repeats)) as done:
            for work, made in done:
                edited = made is not None and work.place is not None and compose(work.frame, made, work.place)
                yield Rendered(work.frame, edited)
