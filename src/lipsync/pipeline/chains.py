"""What each engine's frames go through on their way to its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from lipsync.engines import is_soft
from lipsync.engines.base import Engine
from lipsync.enhancers.detail.enhancer import DetailTransfer
from lipsync.faces.landmarker import Landmarker
from lipsync.files import scratch_file
from lipsync.models.session_cache import SessionCache
from lipsync.pipeline.edit_spool import EditSpool
from lipsync.pipeline.job import Job
from lipsync.pipeline.synthesise import EngineChain


@contextmanager
def engine_chains(
    job: Job, engines: Sequence[Engine], sessions: SessionCache, *, spooled: bool
) -> Iterator[list[EngineChain]]:
    """Soft mouths get the footage's detail; ``spooled``: what engines make is written down, to be enhanced later.

    Raises ModelError, DiskFull, OutputUnwritable.
    """
    with ExitStack() as stack:

        def line(name: str, engine: Engine) -> EngineChain:
            post_filter = spool = None
            if job.detail and is_soft(name, job.options):
                post_filter = DetailTransfer(stack.enter_context(Landmarker.open(sessions)), job.detail)
            if spooled:
                spool = EditSpool(stack.enter_context(scratch_file()))
            return EngineChain(engine, post_filter, spool)

        yield [line(name, engine) for name, engine in zip(job.engines, engines, strict=True)]
