"""Worker processes on every broker: completed tasks, and the state left after a stop or a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lipsync.bootstrap import now, open_tasks
from lipsync.errors import StorageFailed
from lipsync.settings import Settings, load_settings
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import NewTask, Source, Status, Task
from lipsync.worker import broker as broker_module
from lipsync.worker.broker import TaskNotifier, make_app

BROKERS = {"files": "", "redis": "redis://127.0.0.1:6379/9", "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//"}
PORTS = {"redis": 6379, "rabbitmq": 5672}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=sorted(BROKERS))
def broker(request) -> str:
    port = PORTS.get(request.param)
    if port is not None and not answers(port):
        if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{request.param} must run at 127.0.0.1:{port}")
        pytest.skip(f"no {request.param} at 127.0.0.1:{port}")
    return BROKERS[request.param]


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("LIPSYNC_")]:
        monkeypatch.delenv(name)
    return load_settings(data_dir=tmp_path / "data", lease_seconds=5)


@pytest.fixture
def store(settings) -> Iterator[TaskStore]:
    with open_tasks(settings) as opened:
        yield opened


@pytest.fixture
def worker(settings, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a worker; what still runs at the end is killed."""
    running = []

    def start(broker: str = "", **environment_too: str) -> subprocess.Popen[str]:
        variables = {
            "DATA_DIR": str(settings.data_dir),
            "BROKER_URL": broker,
            "LEASE_SECONDS": "5",
            "LOG_FORMAT": "json",
        }
        environment = os.environ | {f"LIPSYNC_{name}": value for name, value in variables.items()} | environment_too
        call = [sys.executable, "-m", "lipsync", "worker"]
        log = (tmp_path / f"worker{len(running)}.log").open("w")
        process = subprocess.Popen(call, env=environment, stderr=log, stdout=log, text=True, cwd=tmp_path)
        running.append((process, log))
        return process

    yield start
    for process, log in running:
        process.kill()
        process.wait(30)
        log.close()


@pytest.fixture
def new(store, speaker, voice) -> Callable[..., Task]:
    def make(audio: Path = voice, engines=("passthrough",)) -> Task:
        sources = Source("upload", str(speaker)), Source("upload", str(audio))
        return store.create(NewTask(*sources, engines, {}), now=now())

    return make


def becomes(store: TaskStore, task: Task, *statuses: Status, within: float = 60) -> Task:
    limit = time.monotonic() + within
    while (current := store.get(task.id)).status not in statuses and time.monotonic() < limit:
        time.sleep(0.05)
    assert current.status in statuses, (current.status, current.error)
    return current


def begins(store: TaskStore, task: Task, attempt: int, within: float = 60) -> Task:
    """Wait for an attempt; its first statuses may pass unnoticed."""
    limit = time.monotonic() + within
    while (current := store.get(task.id)).attempts < attempt and time.monotonic() < limit:
        time.sleep(0.05)
    assert current.attempts == attempt, (current.status, current.error)
    return current


def published(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "results").rglob("*.mp4"))


def work_in_progress(settings: Settings) -> list[Path]:
    folder = settings.data_dir / "work"
    return list(folder.iterdir()) if folder.is_dir() else []


def test_an_announced_task_is_executed(broker, settings, store, worker, new):
    notifier = TaskNotifier(make_app(broker, settings.data_dir / "queue"))
    process = worker(broker)
    first, second = new(), new()
    for task in (first, second):
        notifier.notify(task.id)
    for task in (first, second):
        done = becomes(store, task, Status.COMPLETED, Status.FAILED)
        assert done.status is Status.COMPLETED, done.error
    assert len(published(settings)) == 2
    assert work_in_progress(settings) == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_unread_messages_are_counted(broker, tmp_path, monkeypatch):
    name = f"lipsync-test-{uuid.uuid4().hex}"
    monkeypatch.setattr(broker_module, "QUEUE", name)
    monkeypatch.setattr(broker_module, "MAX_MESSAGES", 3)
    app = make_app(broker, tmp_path / "queue")
    notifier = TaskNotifier(app)
    assert not notifier.is_full()
    for _ in range(3):
        assert not notifier.is_full()
        notifier.notify("0" * 32)
    limit = time.monotonic() + 10
    while not notifier.is_full() and time.monotonic() < limit:  # RabbitMQ's count lags behind
        time.sleep(0.05)
    assert notifier.is_full()
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)


def test_a_task_that_was_not_announced_is_found(store, worker, new):
    task = new()
    worker()
    assert becomes(store, task, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED


@pytest.fixture
def long(tmp_path, make_audio) -> Path:
    return make_audio(tmp_path / "long.wav", np.zeros(16_000 * 900, np.int16))


def test_a_worker_that_is_stopped_returns_its_task_at_once(settings, store, worker, new, long):
    task = new(audio=long)
    process = worker()
    becomes(store, task, Status.PROCESSING)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    back = store.get(task.id)
    assert (back.status, back.attempts) == (Status.QUEUED, 0)
    assert work_in_progress(settings) == []
    assert published(settings) == []


def test_a_worker_that_is_killed_loses_nothing(settings, store, worker, new, long):
    task = new(audio=long)
    process = worker()
    becomes(store, task, Status.PROCESSING)
    process.kill()
    process.wait(30)
    assert store.get(task.id).status is Status.PROCESSING
    worker()
    again = begins(store, task, attempt=2)
    assert again.error is not None
    assert again.error.code == "worker_lost"
    store.request_cancel(task.id, now())
    becomes(store, task, Status.CANCELLED, within=15)
    time.sleep(0.5)
    assert work_in_progress(settings) == []
    assert published(settings) == []


def test_invalid_settings_end_a_worker_with_one_line(tmp_path):
    environment = os.environ | {"LIPSYNC_STORAGE": "s3", "LIPSYNC_DATA_DIR": str(tmp_path / "data")}
    call = [sys.executable, "-m", "lipsync", "worker"]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 60
    assert "LIPSYNC_S3_BUCKET" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def lines_about(task: Task, log: Path) -> list[str]:
    """The messages about a task in a worker's log, without its id. Celery adds a line that is not JSON."""
    records = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["message"].removeprefix(f"task {task.id}: ") for line in records if line.get("task") == task.id]


def test_the_log_has_the_start_and_the_end_of_each_task(store, worker, new, tmp_path):
    good, bad = new(), new(engines=("no-such-engine",))
    process = worker()
    for task in (good, bad):
        becomes(store, task, Status.COMPLETED, Status.FAILED)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    began, ended = lines_about(good, tmp_path / "worker0.log")
    assert (began, ended.split()[0]) == ("attempt 1 of 3 with passthrough", "completed")
    assert lines_about(bad, tmp_path / "worker0.log")[-1].endswith("[option_invalid]")


NVML = """
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card) { *card = 0; return index == 3 ? 0 : 2; }
int nvmlDeviceGetMemoryInfo(void *card, unsigned long long *info) {
    info[0] = 80ULL << 30; info[1] = 78ULL << 30; info[2] = 2ULL << 30;
    return 0;
}
"""


def test_video_memory_is_in_the_completed_task(store, worker, new, tmp_path):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc to compile a substitute for NVML")
    (tmp_path / "nvml.c").write_text(NVML)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "nvml.c"], check=True, timeout=60)
    task = new()
    worker(LD_LIBRARY_PATH=str(tmp_path), LIPSYNC_GPU="3")
    performance = becomes(store, task, Status.COMPLETED, Status.FAILED).performance
    assert performance is not None
    assert (performance.vram_peak, performance.vram_mean, performance.vram_total) == (2 << 30, 2 << 30, 80 << 30)


HANGS = """
import ctypes, dataclasses, sys
from lipsync.cli.runtime import service_settings
from lipsync.worker.run import WorkerLoop
from lipsync.worker.context import worker_context

class Hangs:
    def put(self, *_):
        ctypes.CDLL(None).pause()

with service_settings() as settings, worker_context(settings) as context:
    limits = dataclasses.replace(context.time_limits, grace=1)
    WorkerLoop(dataclasses.replace(context, storage=Hangs(), time_limits=limits)).work(sys.argv[1])
"""


def test_a_worker_whose_native_code_hangs_ends_and_its_task_has_failed(settings, store, worker, new, tmp_path):
    task = new()
    variables = {"DATA_DIR": str(settings.data_dir), "TASK_TIMEOUT": "4", "LOG_FORMAT": "json"}
    environment = os.environ | {f"LIPSYNC_{name}": value for name, value in variables.items()}
    call = [sys.executable, "-c", HANGS, task.id]
    with (tmp_path / "hung.log").open("w") as log:
        done = subprocess.run(call, env=environment, stdout=log, stderr=log, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 70
    failed = store.get(task.id)
    assert (failed.status, failed.error.code) == (Status.FAILED, "timed_out")
    _, given_up, ended = lines_about(task, tmp_path / "hung.log")
    assert given_up == "timed out, but the work did not stop within 1 s; giving it up"
    assert ended.endswith("[timed_out]")
    next_one = new()
    worker()
    becomes(store, next_one, Status.COMPLETED)
    assert work_in_progress(settings) == []


def test_a_broker_that_does_not_answer_is_reported(tmp_path):
    with pytest.raises(StorageFailed, match="the broker does not accept messages"):
        TaskNotifier(make_app("redis://127.0.0.1:9/0", tmp_path)).notify("x")
