"""The neural generator decides the mouth's shape; the footage's own pixels show it, as fine as they are.

Each generated face of 96 pixels is measured with the landmark network and told as motion, which then animates the
footage as ``rewrite`` does with the motion that it makes of sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from lipsync.engines.base import EngineOptions, Rendered, Scene
from lipsync.engines.hybrid.calibration import Sample
from lipsync.engines.hybrid.mouth_reader import MouthMeasurement, shown
from lipsync.engines.hybrid.smoothing import half_window, steadied
from lipsync.engines.rewrite.animator import AHEAD, Animator
from lipsync.engines.wav2lip.compose import Placement
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorRunner, batch_for
from lipsync.engines.wav2lip.inputs import Views
from lipsync.faces.landmarker import AT_ONCE, Landmarker
from lipsync.faces.region import region_of
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.models.session import RunInfo
from lipsync.models.session_cache import SessionCache
from lipsync.speech.motion import Basis, load_basis
from lipsync.types import Face, Float32, Frame

WAITING = 192 << 20  # bytes of pictures that may wait for the motion that follows theirs
FEWEST, MOST = 6, 2 * AHEAD  # of those that wait for the choice of donors


class Hybrid:
    """One job's engine; see ``engines.base.Engine``."""

    needs_faces = True

    def __init__(self, generator: GeneratorRunner, options: EngineOptions, batch: int, sessions: SessionCache) -> None:
        self._generator, self._networks = generator, sessions
        self._basis: Basis = load_basis()
        self._views, self._animator, self._sample = Views(options), Animator(self._basis), Sample()
        self._wished = self._batch = batch
        self._size = 1

    @property
    def run_info(self) -> RunInfo:
        return self._generator.run_info

    def observe(self, picture: Frame, face: Face | None) -> None:
        self._batch = batch_for(picture, self._wished)
        self._size = picture.y.nbytes + picture.u.nbytes + picture.v.nbytes
        crop = self._views.observe(picture, face)
        self._animator.observe(picture, face)
        if face is not None and crop is not None:
            self._sample.observe(picture, face, crop)

    def synthesise(self, pictures: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        spare = WAITING // self._size - half_window(scene.rate) - AT_ONCE - 2
        spare = min(MOST, max(FEWEST, spare))
        waiting: deque[Frame] = deque()
        with closing(self._motion(pictures, scene, waiting)) as rows:
            motion = steadied(rows, self._basis, scene.rate, spare - spare // 2)
            animated = self._animator.animate(_taken(waiting), motion, scene.track, spare // 2)
            with closing(animated) as rendered:
                yield from rendered

    def _motion(self, pictures: Iterable[Frame], scene: Scene, waiting: deque[Frame]) -> Generator[Float32, None, None]:
        """What the generator's faces do, a row (K,) for each picture, which is ``waiting`` from then on."""
        repeats = scene.frames > len(scene.track)
        works = self._views.works(pictures, scene)
        row = self._basis.neutral
        with (
            Landmarker.open(self._networks) as landmarker,
            closing(self._generator.run(works, self._batch, repeats)) as done,
            closing(self._read(done, scene, landmarker)) as read,
        ):
            for picture, seen in read:
                row = row if seen is None else seen
                waiting.append(picture)
                yield row

    def _read(
        self, done: Iterator[tuple[FrameJob[Placement | None], Float32 | None]], scene: Scene, landmarker: Landmarker
    ) -> Generator[tuple[Frame, Float32 | None], None, None]:
        """Each picture with the motion that was made for it, None if it has no face; a few are read side by side."""
        reading = MouthMeasurement(landmarker, self._basis, self._animator.closed())
        correction = self._sample.correction(reading)
        window = SmoothedFaces(scene.track)

        def measured(work: FrameJob[Placement | None], made: Float32 | None, points: Float32 | None) -> Float32 | None:
            if made is None or work.place is None or points is None:
                return None
            row = reading.seen(shown(work.frame, region_of(points), work.place.crop, made))
            return row if row is None or correction is None else correction(row)

        under_way: deque[tuple[Frame, Future[Float32 | None]]] = deque()
        pool = ThreadPoolExecutor(AT_ONCE, "reading")
        try:
            for work, made in done:
                face = window.at(work.frame.index)
                points = None if face is None else face.points
                under_way.append((work.frame, pool.submit(measured, work, made, points)))
                if len(under_way) > AT_ONCE:
                    picture, row = under_way.popleft()
                    yield picture, row.result()
            while under_way:
                picture, row = under_way.popleft()
                yield picture, row.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _taken(waiting: deque[Frame]) -> Iterator[Frame]:
    while waiting:
        yield waiting.popleft()
