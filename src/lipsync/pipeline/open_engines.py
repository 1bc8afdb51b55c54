"""Open a job's engines: once before any work, and again for each further attempt."""

from __future__ import annotations

from collections.abc import Sequence

from lipsync.engines import ENGINES
from lipsync.engines.base import Engine, FrameRules
from lipsync.faces.landmarker import Landmarker
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job


class EngineOpener:
    """Opens the engines of a job. An engine serves one attempt, because it remembers the frames that it observed.

    ``frame_rules``: those of the job's engines, which differ only between jobs. Raises ModelError, ExtraMissing,
    OptionInvalid, OutOfMemory, Cancelled.
    """

    def __init__(self, job: Job, sessions: SessionCache, monitor: Monitor) -> None:
        self._sessions, self._monitor = sessions, monitor
        self._ready: Sequence[Engine] | None = self._open(job)
        self.frame_rules: FrameRules = self._ready[0].frame_rules
        if any(engine.needs_faces for engine in self._ready):
            Landmarker.prepare(sessions)  # while the inputs are probed

    def engines(self, job: Job) -> Sequence[Engine]:
        """Return the engines opened at first, or new ones if these were handed out before."""
        engines, self._ready = self._ready, None
        if engines is None:
            self._sessions.evict()  # the attempt before ran out of memory
            engines = self._open(job)
        return engines

    def _open(self, job: Job) -> Sequence[Engine]:
        return [ENGINES[name].open(job.options, self._sessions, self._monitor) for name in job.engines]
