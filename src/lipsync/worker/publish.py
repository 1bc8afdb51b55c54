"""Publish a task's files one by one, each as soon as it is complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lipsync.files import write_errors
from lipsync.monitor import Monitor
from lipsync.net.url import redact
from lipsync.pipeline.job import FINAL_VARIANT, EngineResult, Enhanced, EnhanceStatus, Job, Result
from lipsync.pipeline.manifest import manifest_of
from lipsync.storage.base import CONTENT_TYPES, Stored
from lipsync.storage.keys import ResultFields
from lipsync.tasks.task import Manifest, Output, Source, Status, Task, TaskFailure
from lipsync.worker.context import WorkerContext
from lipsync.worker.vram import VideoMemory

MANIFEST = "manifest"


class Publisher:
    """Publishes a job's files as it completes them; a ``pipeline.job.OutputObserver``.

    ``enter`` moves the task to another status. All methods raise StorageFailed, LeaseLost, TaskMissing,
    TransitionForbidden, Cancelled.
    """

    def __init__(self, task: Task, context: WorkerContext, monitor: Monitor, enter: Callable[[Status], Any]) -> None:
        self._task, self._context, self._monitor, self._enter = task, context, monitor, enter
        self._worker, self._store = context.worker, context.store
        self._published: dict[tuple[str, str], Stored] = {}

    def on_output(self, output: EngineResult) -> None:
        self._enter(Status.UPLOADING)
        name = output.engine if output.variant == FINAL_VARIANT else f"{output.engine}-{output.variant}"
        stored = self._put(output.output, name, self._monitor)
        size = (output.width, output.height, float(output.duration))
        published = Output(
            output.engine,
            stored.key,
            stored.url,
            stored.size,
            stored.sha256,
            *size,
            variant=output.variant,
            adapted=None if output.adapted is None else asdict(output.adapted),
        )
        self._store.add_output(self._task.id, self._worker, published, self._context.now())
        self._store.log(self._task.id, "info", f"published as {stored.key}", self._context.now(), output=name)
        self._published[output.engine, output.variant] = stored

    def on_enhancement(self, enhanced: Enhanced) -> None:
        if enhanced.status is EnhanceStatus.PROCESSING:
            self._enter(Status.ENHANCING)
        message = None if enhanced.status is EnhanceStatus.COMPLETED else enhanced.message
        code = enhanced.code or enhanced.status.value
        error = None if message is None else TaskFailure(code, message, retryable=False)
        self._store.set_enhancement(self._task.id, self._worker, enhanced.status, error, self._context.now())
        if enhanced.status is not EnhanceStatus.PROCESSING:
            self._enter(Status.UPLOADING)  # only copies and the manifest are left, which take little time

    def publish_manifest(self, job: Job, result: Result, path: Path, memory: VideoMemory | None) -> None:
        """Write the provenance manifest to ``path`` and publish it. Raises DiskFull, OutputUnwritable too."""
        self._enter(Status.UPLOADING)
        manifest = self._manifest(job, result, memory)
        with write_errors(path):
            path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
        stored = self._put(path, MANIFEST, Monitor())  # keeps the results' own progress
        published = Manifest(stored.key, stored.url, stored.size, stored.sha256)
        self._store.set_manifest(self._task.id, self._worker, published, self._context.now())

    def _manifest(self, job: Job, result: Result, memory: VideoMemory | None) -> dict[str, Any]:
        """The pipeline's manifest with the task's own facts added."""
        manifest = manifest_of(job, result, {name: stored.sha256 for name, stored in self._published.items()})
        manifest["task"] = self._task.id
        for name, source in self._task.inputs.items():
            manifest["inputs"][name]["source"] = _redacted(source)
        if memory is not None:
            manifest["performance"]["vram"] = {"peak": memory.peak, "mean": memory.mean, "total": memory.total}
        manifest["options"] = {"requested": dict(self._task.options), "job": manifest["options"]}
        for output in manifest["outputs"]:
            output["key"] = self._published[output["engine"], output["variant"]].key
        return manifest

    def _put(self, path: Path, name: str, monitor: Monitor) -> Stored:
        source = self._task.video.location.rpartition("/")[2]
        fields = ResultFields(self._task.id, name, path.suffix, self._task.created_at, source)
        key = self._context.key_template.render(fields)
        self._store.reserve(self._task.id, self._worker, key, self._context.now())
        return self._context.storage.put(path, key, CONTENT_TYPES[path.suffix], monitor)


def _redacted(source: Source) -> str:
    """Where an input came from, without credentials or query."""
    return "upload" if source.kind == "upload" else redact(source.location)
