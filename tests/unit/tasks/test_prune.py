from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lipsync.errors import StorageFailed
from lipsync.tasks.prune import prune
from lipsync.tasks.store import migrate, open_store
from lipsync.tasks.task import NewTask, Output, Performance, Source, Status

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(seconds=30)


class RecordingStorage:
    """A storage that records the deleted keys."""

    def __init__(self, fails: bool = False) -> None:
        self.deleted: list[str] = []
        self._fails = fails

    def delete(self, key: str) -> None:
        if self._fails:
            raise StorageFailed("unavailable")
        self.deleted.append(key)


@pytest.fixture
def tasks(tmp_path):
    migrate(f"sqlite:///{tmp_path}/tasks.db")
    with open_store(f"sqlite:///{tmp_path}/tasks.db") as opened:
        yield opened


def done(tasks, when: datetime, upload: str) -> str:
    video, audio = Source("upload", f"{upload}/content"), Source("url", "https://example.org/a.wav")
    task = tasks.create(NewTask(video, audio, ("rewrite",), {}), now=when)
    tasks.claim(task.id, "w", LEASE, when)
    tasks.advance(task.id, "w", Status.UPLOADING, when)
    output = Output("rewrite", f"{task.id}/rewrite.mp4", "http://x/y", 1, "0" * 64, 2, 2, 1.0)
    tasks.add_output(task.id, "w", output, when)
    tasks.finish(task.id, "w", Performance(1, 1, 1, 1), {}, when)
    return task.id


def test_old_tasks_are_deleted_with_their_files_and_others_stay(tmp_path, tasks):
    uploads = tmp_path / "uploads"
    for name in ("one", "two"):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "content").write_bytes(b"video")
    old, young = done(tasks, NOW - timedelta(days=40), "one"), done(tasks, NOW - timedelta(days=3), "two")
    video = Source("upload", "three/content")
    waiting = tasks.create(NewTask(video, video, ("rewrite",), {}), now=NOW - timedelta(days=90))
    storage = RecordingStorage()
    assert prune(tasks, storage, uploads, NOW - timedelta(days=30)) == 1
    assert storage.deleted == [f"{old}/rewrite.mp4"]
    assert {task.id for task in tasks.list().tasks} == {young, waiting.id}
    assert [path.name for path in uploads.iterdir()] == ["two"]
    assert prune(tasks, storage, uploads, NOW - timedelta(days=30)) == 0


def test_an_upload_that_a_younger_task_uses_stays(tmp_path, tasks):
    uploads = tmp_path / "uploads"
    (uploads / "one").mkdir(parents=True)
    done(tasks, NOW - timedelta(days=40), "one")
    done(tasks, NOW - timedelta(days=3), "one")
    assert prune(tasks, RecordingStorage(), uploads, NOW - timedelta(days=30)) == 1
    assert [path.name for path in uploads.iterdir()] == ["one"]
    assert prune(tasks, RecordingStorage(), uploads, NOW) == 1
    assert list(uploads.iterdir()) == []


def test_files_that_cannot_be_deleted_are_found_again(tmp_path, tasks):
    old = done(tasks, NOW - timedelta(days=40), "one")
    with pytest.raises(StorageFailed):
        prune(tasks, RecordingStorage(fails=True), tmp_path, NOW)
    assert tasks.get(old).outputs
    assert prune(tasks, RecordingStorage(), tmp_path, NOW) == 1
