"""The default Wav2Lip mode, which avoids the original's artefacts.

Crops turn with the head and are smoothed over time, the mouth stays closed in silence, pixels are not rounded between
steps, and only the area from the lips to the jaw is replaced.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from lipsync.engines.base import Engine, EngineOptions, FrameRules, Rendered, Scene
from lipsync.engines.wav2lip.compose import compose
from lipsync.engines.wav2lip.inference import GeneratorRunner, limited_batch
from lipsync.engines.wav2lip.inputs import GeneratorInputs
from lipsync.models.session import RunInfo
from lipsync.types import Face, Frame


class Wav2Lip(Engine):
    """An engine for one job; see ``engines.base.Engine``."""

    frame_rules = FrameRules(transfers_detail=True)

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int) -> None:
        self._generator, self._inputs = generator, GeneratorInputs(options)
        self._requested_batch = self._batch = batch
        self.needs_faces = self._inputs.needs_faces

    @property
    def run_info(self) -> RunInfo:
        return self._generator.run_info

    def observe(self, frame: Frame, face: Face | None) -> None:
        self._batch = limited_batch(self._requested_batch, frame)
        self._inputs.observe(frame, face)

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        repeats = scene.frame_count > len(scene.track)
        with closing(self._generator.run(self._inputs.jobs(frames, scene), self._batch, repeats)) as results:
            for job, generated in results:
                placement = job.placement
                edited = generated is not None and placement is not None and compose(job.frame, generated, placement)
                yield Rendered(job.frame, edited)
