"""Combine both families of engines: the neural generator decides the mouth's shape, the video's own pixels show it.

Each generated face of 96 pixels is measured with the landmark network and expressed as motion coefficients, which
animate the video as in ``rewrite``, at the video's own resolution.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Final

from lipsync.engines.base import Engine, EngineOptions, Rendered, Scene
from lipsync.engines.hybrid.calibration import FaceSample
from lipsync.engines.hybrid.mouth_reader import MouthReader, landmarker_view
from lipsync.engines.hybrid.smoothing import half_window, smooth_motion
from lipsync.engines.rewrite.animator import LOOKAHEAD_FRAMES, Animator
from lipsync.engines.wav2lip.compose import Placement
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorRunner, limited_batch
from lipsync.engines.wav2lip.inputs import GeneratorInputs
from lipsync.faces.landmarker import PARALLEL_FRAMES, Landmarker
from lipsync.faces.region import region_of
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.speech.motion import Basis, load_basis
from lipsync.types import Face, Float32, Frame

BUFFER_BYTES: Final = 192 << 20  # frames waiting for the motion of later ones
MIN_LOOKAHEAD, MAX_LOOKAHEAD = 6, 2 * LOOKAHEAD_FRAMES  # frames for smoothing and for the choice of donors


class Hybrid(Engine):
    """An engine for one job; see ``engines.base.Engine``."""

    needs_faces = True

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int, sessions: SessionCache) -> None:
        self._generator, self._sessions = generator, sessions
        self._basis: Basis = load_basis()
        self._inputs, self._animator, self._sample = GeneratorInputs(options), Animator(self._basis), FaceSample()
        self._requested_batch = self._batch = batch
        self._frame_bytes = 1

    @property
    def run_info(self) -> RunInfo:
        info = self._generator.run_info
        return replace(info, notes=(*info.notes, *self._animator.notes))

    def observe(self, frame: Frame, face: Face | None) -> None:
        self._batch = limited_batch(self._requested_batch, frame)
        self._frame_bytes = frame.y.nbytes + frame.u.nbytes + frame.v.nbytes
        crop = self._inputs.observe(frame, face)
        self._animator.observe(frame, face)
        if face is not None and crop is not None:
            self._sample.observe(frame, face, crop)

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        lookahead = BUFFER_BYTES // self._frame_bytes - half_window(scene.rate) - PARALLEL_FRAMES - 2
        lookahead = min(MAX_LOOKAHEAD, max(MIN_LOOKAHEAD, lookahead))
        pending: deque[Frame] = deque()
        with closing(self._motion(frames, scene, pending)) as rows:
            motion = smooth_motion(rows, self._basis, scene.rate, lookahead - lookahead // 2)
            animated = self._animator.animate(_popped(pending), motion, scene.faces, lookahead // 2)
            with closing(animated) as rendered:
                yield from rendered

    def _motion(self, frames: Iterable[Frame], scene: Scene, pending: deque[Frame]) -> Generator[Float32, None, None]:
        """The motion (K,) of each generated face; also appends each frame to ``pending``."""
        repeats = scene.frame_count > len(scene.track)
        jobs = self._inputs.jobs(frames, scene)
        last = self._basis.neutral
        with (
            Landmarker.open(self._sessions) as landmarker,
            closing(self._generator.run(jobs, self._batch, repeats)) as results,
            closing(self._read(results, scene, landmarker)) as readings,
        ):
            for frame, row in readings:
                last = last if row is None else row
                pending.append(frame)
                yield last

    def _read(
        self, results: Iterator[tuple[FrameJob[Placement | None], Float32 | None]], scene: Scene, landmarker: Landmarker
    ) -> Generator[tuple[Frame, Float32 | None], None, None]:
        """Each frame with the motion of its generated face, None without a face; read in parallel."""
        reader = MouthReader(landmarker, self._basis, self._animator.closed_mouth())
        correction = self._sample.correction(reader)
        faces = scene.faces

        def read(job: FrameJob[Placement | None], generated: Float32 | None, points: Float32 | None) -> Float32 | None:
            if generated is None or job.placement is None or points is None:
                return None
            row = reader.read(landmarker_view(job.frame, region_of(points), job.placement.crop, generated))
            return row if row is None or correction is None else correction(row)

        readings: deque[tuple[Frame, Future[Float32 | None]]] = deque()
        pool = ThreadPoolExecutor(PARALLEL_FRAMES, "reading")
        try:
            for job, generated in results:
                face = faces.at(job.frame.index)
                points = None if face is None else face.points
                readings.append((job.frame, pool.submit(read, job, generated, points)))
                if len(readings) > PARALLEL_FRAMES:
                    frame, row = readings.popleft()
                    yield frame, row.result()
            while readings:
                frame, row = readings.popleft()
                yield frame, row.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _popped(pending: deque[Frame]) -> Iterator[Frame]:
    while pending:
        yield pending.popleft()
