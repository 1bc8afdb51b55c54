"""Prune tasks that ended long ago, with their published files and uploads."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from lipsync.storage.base import Storage
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Task


def prune(store: TaskStore, storage: Storage, uploads: Path, older_than: datetime) -> int:
    """Delete the tasks that ended before ``older_than``, files first; returns their number.

    ``uploads``: folder of uploaded inputs; those that no other task uses are deleted too. Raises StorageFailed,
    OutputUnwritable; the next call continues where this one stopped.
    """
    count = 0
    while tasks := store.expired_tasks(older_than):
        for task in tasks:
            _delete(task, store, storage, uploads)
            count += 1
    return count


def _delete(task: Task, store: TaskStore, storage: Storage, uploads: Path) -> None:
    for key in task.files:
        storage.delete(key)
    store.delete(task.id)
    for source in task.inputs.values():
        if source.kind == "upload" and not store.uses(source.location):
            folder = (uploads / source.location).parent
            if folder.parent == uploads:
                shutil.rmtree(folder, ignore_errors=True)
