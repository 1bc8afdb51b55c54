"""What time has made superfluous: tasks that ended long ago, with what was published and uploaded for them."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from lipsync.storage.base import Storage
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Task


def prune(store: TaskStore, storage: Storage, uploads: Path, older_than: datetime) -> int:
    """Delete the tasks that ended before then, files first; gives how many.

    ``uploads``: the folder of uploaded inputs, of which those of these tasks go too. Raises StorageFailed,
    OutputUnwritable; then what is not deleted yet is found again next time.
    """
    gone = 0
    while tasks := store.expired_outputs(older_than):
        for task in tasks:
            _delete(task, store, storage, uploads)
            gone += 1
    return gone


def _delete(task: Task, store: TaskStore, storage: Storage, uploads: Path) -> None:
    for key in task.files:
        storage.delete(key)
    store.delete(task.id)
    for source in (task.video, task.audio):
        if source.kind == "upload" and not store.uses(source.location):
            folder = (uploads / source.location).parent
            if folder.parent == uploads:
                shutil.rmtree(folder, ignore_errors=True)
