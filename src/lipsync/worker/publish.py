"""A task's files go out one by one, each as soon as it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsync.files import write_errors
from lipsync.monitor import Monitor
from lipsync.net.url import redact
from lipsync.pipeline.job import FINAL_VARIANT, EngineResult, Enhanced, EnhanceStatus, Job, Result
from lipsync.pipeline.manifest import manifest_of
from lipsync.storage.base import CONTENT_TYPES, Storage, Stored
from lipsync.storage.keys import KeyTemplate, ResultFields
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Manifest, Output, Source, Status, Task, TaskFailure
from lipsync.worker.vram import VideoMemory

MANIFEST = "manifest"


class Publisher:
    """Hears of a job's files; see ``pipeline.job.OutputObserver``. ``enter`` tells the store which stage begins.

    All raise StorageFailed, LeaseLost, TaskMissing, TransitionForbidden, Cancelled.
    """

    def __init__(
        self,
        task: Task,
        worker: str,
        store: TaskStore,
        storage: Storage,
        keys: KeyTemplate,
        monitor: Monitor,
        enter: Callable[[Status], Any],
        now: Callable[[], Any],
    ) -> None:
        self._task, self._worker, self._store, self._storage = task, worker, store, storage
        self._keys, self._monitor, self._enter, self._now = keys, monitor, enter, now
        self._published: dict[tuple[str, str], Stored] = {}

    def on_output(self, output: EngineResult) -> None:
        self._enter(Status.UPLOADING)
        name = output.engine if output.variant == FINAL_VARIANT else f"{output.engine}-{output.variant}"
        stored = self._put(output.output, name, self._monitor)
        size = (output.width, output.height, float(output.duration))
        told = Output(output.engine, stored.key, stored.url, stored.size, stored.sha256, *size, variant=output.variant)
        self._store.add_output(self._task.id, self._worker, told, self._now())
        self._store.log(self._task.id, "info", f"published as {stored.key}", self._now(), output=name)
        self._published[output.engine, output.variant] = stored

    def on_enhancement(self, enhanced: Enhanced) -> None:
        if enhanced.status is EnhanceStatus.PROCESSING:
            self._enter(Status.ENHANCING)
        told = None if enhanced.status is EnhanceStatus.COMPLETED else enhanced.message
        problem = None if told is None else TaskFailure(enhanced.code or enhanced.status.value, told, retryable=False)
        self._store.enhance(self._task.id, self._worker, enhanced.status, problem, self._now())
        if enhanced.status is not EnhanceStatus.PROCESSING:
            self._enter(Status.UPLOADING)  # what is left to be made is made in no time

    def manifest(self, job: Job, result: Result, path: Path, memory: VideoMemory | None) -> None:
        """Publish the file that tells what was made of what. Raises DiskFull, OutputUnwritable too."""
        self._enter(Status.UPLOADING)
        told = manifest_of(job, result, {name: stored.sha256 for name, stored in self._published.items()})
        told["task"] = self._task.id
        for name, source in (("video", self._task.video), ("audio", self._task.audio)):
            told["inputs"][name]["source"] = _told(source)
        if memory is not None:
            told["performance"]["vram"] = {"peak": memory.peak, "mean": memory.mean, "total": memory.total}
        told["options"] = {"asked": dict(self._task.options), "job": told["options"]}
        for output in told["outputs"]:
            stored = self._published[output["engine"], output["variant"]]
            output["key"] = stored.key
        with write_errors(path):
            path.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
        stored = self._put(path, MANIFEST, Monitor())  # its progress is of no interest
        manifest = Manifest(stored.key, stored.url, stored.size, stored.sha256)
        self._store.set_manifest(self._task.id, self._worker, manifest, self._now())

    def _put(self, path: Path, name: str, monitor: Monitor) -> Stored:
        source = self._task.video.location.rpartition("/")[2]
        key = self._keys.render(ResultFields(self._task.id, name, path.suffix, self._task.created_at, source))
        self._store.reserve(self._task.id, self._worker, key, self._now())
        return self._storage.put(path, key, CONTENT_TYPES[path.suffix], monitor)


def _told(source: Source) -> str:
    """Where an input came from, without what is secret in it."""
    return "upload" if source.kind == "upload" else redact(source.location)
