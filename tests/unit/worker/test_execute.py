"""Tasks from claim to end, with real inputs over HTTP and real files published, in good and bad cases."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.errors import EncodeFailed, LeaseLost, NoFaceFound, StorageFailed
from lipsync.media.probe import probe_video
from lipsync.pipeline.job import EnhanceStatus
from lipsync.storage.base import LocalOptions, Stored
from lipsync.storage.local import LocalStorage
from lipsync.tasks.events import Event
from lipsync.tasks.prune import prune
from lipsync.tasks.task import EnhancementRecord, NewTask, Source, Status, Task, TaskProgress
from lipsync.types import Frame
from lipsync.worker import execute as worker_execute
from lipsync.worker.context import WorkerContext
from lipsync.worker.execute import execute
from lipsync.worker.lease import LeaseKeeper, TimeLimits

LEASE = timedelta(seconds=30)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def files(tmp_path, make_video, voice, make_audio) -> Iterator[str]:
    """The URL of a server of inputs, one of which fails."""
    folder = tmp_path / "served"
    folder.mkdir()
    make_video(folder / "bars.mp4", frames=30)
    (folder / "voice.wav").write_bytes(voice.read_bytes())
    (folder / "page.mp4").write_text("<html>log in</html>")
    make_audio(folder / "long.wav", np.zeros(16_000 * 900, np.int16))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            self.send_error(503) if self.path == "/busy.mp4" else super().do_GET()

        def log_message(self, *_: object) -> None:
            """Keep stderr clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def claimed(store, files) -> Callable[..., Task]:
    """Create a task that the worker has claimed."""

    def make(video: str = "bars.mp4", audio: str = "voice.wav", engines=("passthrough",), **options) -> Task:
        sources = (Source("url", f"{files}/{name}" if "://" not in name else name) for name in (video, audio))
        task = store.create(NewTask(*sources, engines, options), now=now())
        claimed = store.claim(task.id, "tester", LEASE, now())
        assert claimed is not None
        return claimed

    return make


def published(context: WorkerContext) -> list[str]:
    folder = context.work_root.parent / "published"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix == ".mp4")


def is_clean(context: WorkerContext) -> bool:
    return not context.work_root.exists() or not list(context.work_root.iterdir())


def test_a_task_is_done_and_its_result_published(context, store, claimed):
    task = claimed(crf=30)
    execute(task, context)
    done = store.get(task.id)
    assert (done.status, done.error, done.lease_owner) == (Status.COMPLETED, None, None)
    (output,) = done.outputs
    assert (output.engine, output.width, output.height) == ("passthrough", 192, 96)
    assert published(context) == [f"{task.id}/passthrough.mp4"]
    path = context.work_root.parent / "published" / output.key
    assert (path.stat().st_size, probe_video(path).video.frame_count) == (output.size, 50)
    assert output.url.startswith("http://localhost:8000/")
    assert set(done.timings) >= {"analyse", "track", "render", "total"}
    assert done.performance.frames == 50
    assert done.performance.peak_memory > 1 << 20
    assert is_clean(context)
    assert any("published as" in line.message for line in store.logs(task.id))


def test_uploads_are_used_in_place(context, store, speaker, voice):
    sources = Source("upload", str(speaker)), Source("upload", str(voice))
    task = store.create(NewTask(*sources, ("rewrite", "passthrough"), {}), now=now())
    execute(store.claim(task.id, "tester", LEASE, now()), context)
    done = store.get(task.id)
    assert done.status is Status.COMPLETED, done.error
    assert [output.engine for output in done.outputs] == ["rewrite", "passthrough"]
    assert speaker.is_file()
    assert is_clean(context)


def test_a_reference_is_an_input_like_the_others(context, store, speaker, voice):
    sources = Source("upload", str(speaker)), Source("upload", str(voice))
    task = store.create(NewTask(*sources, ("rewrite",), {}, reference=Source("upload", str(speaker))), now=now())
    execute(store.claim(task.id, "tester", LEASE, now()), context)
    done = store.get(task.id)
    assert done.status is Status.FAILED
    assert done.error.code == "no_audio_stream"


@pytest.mark.parametrize(
    ("video", "options", "code"),
    [
        ("page.mp4", {}, "not_media"),
        ("missing.mp4", {}, "fetch_failed"),
        ("voice.wav", {}, "no_video_stream"),
        ("http://169.254.169.254/latest/meta-data", {}, "address_forbidden"),
        ("ftp://127.0.0.1/a.mp4", {}, "option_invalid"),
        ("bars.mp4", {"face_select": "nicest", "engine": "x"}, "option_invalid"),
        ("bars.mp4", {"crf": 99}, "option_invalid"),
    ],
)
def test_an_impossible_task_fails_with_its_code_and_is_not_retried(context, store, claimed, video, options, code):
    task = claimed(video, **options)
    execute(task, context)
    failed = store.get(task.id)
    assert (failed.status, failed.error.code, failed.error.retryable) == (Status.FAILED, code, False)
    assert published(context) == []
    assert is_clean(context)
    assert any(code in line.message for line in store.logs(task.id))


def test_an_error_names_the_address_and_says_that_a_web_page_came(context, store, claimed, files):
    task = claimed("page.mp4")
    execute(task, context)
    message = store.get(task.id).error.message
    assert message.startswith(f"{files}/page.mp4: a web page")
    assert str(context.work_root) not in message


def test_an_error_names_an_upload_by_its_role(tmp_path, context, store, voice):
    video = tmp_path / "0123456789.mp4"
    video.write_bytes(b"no video at all")
    task = store.create(
        NewTask(Source("upload", str(video)), Source("upload", str(voice)), ("passthrough",), {}), now=now()
    )
    execute(store.claim(task.id, "tester", LEASE, now()), context)
    assert store.get(task.id).error.message.startswith("the uploaded video: not a video")


def square(count: int) -> np.ndarray:
    return np.where(np.arange(count) % 40 < 20, 32767, -32768).astype(np.int16)


def not_a_number(count: int) -> np.ndarray:
    return np.full(count, np.nan, np.float32)


@pytest.mark.parametrize(
    ("video", "audio", "code"),
    [
        ("empty.mp4", "voice.wav", "file_empty"),
        ("noise.mp4", "voice.wav", "not_media"),
        ("cut.mp4", "voice.wav", "media_truncated"),
        ("tiny.mp4", "voice.wav", "frame_too_small"),
        ("bars.mp4", "bars.mp4", "no_audio_stream"),
        ("bars.mp4", "short.wav", "audio_too_short"),
        ("bars.mp4", "nan.wav", "audio_invalid"),
        ("bars.mp4", "square.wav", "audio_clipped"),
    ],
)
def test_every_bad_input_of_the_library_fails_with_its_code(
    tmp_path, context, store, claimed, make_video, make_audio, video, audio, code
):
    served = tmp_path / "served"
    (served / "empty.mp4").write_bytes(b"")
    (served / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (served / "cut.mp4").write_bytes((served / "bars.mp4").read_bytes()[:1500])
    make_video(served / "tiny.mp4", size=(16, 16))
    make_audio(served / "short.wav", np.zeros(160, np.int16))
    make_audio(served / "nan.wav", not_a_number(16_000))
    make_audio(served / "square.wav", square(16_000))
    task = claimed(video, audio)
    execute(task, context)
    failed = store.get(task.id)
    assert (failed.status, failed.error.code) == (Status.FAILED, code), failed.error
    assert published(context) == []
    assert is_clean(context)


@pytest.mark.parametrize("limit", ["max_scratch_bytes", "max_output_pixels", "max_decoded_bytes"])
def test_a_task_beyond_a_limit_of_the_worker_fails_with_the_name_of_the_setting(context, store, claimed, limit):
    task = claimed()
    execute(task, replace(context, **{limit: 1024}))
    error = store.get(task.id).error
    assert (error.code, f"(LIPSYNC_{limit.upper()})" in error.message) == ("input_too_large", True), error.message
    assert is_clean(context)


def test_a_video_without_a_face(context, store, claimed):
    task = claimed(engines=("rewrite",))
    execute(task, context)
    assert store.get(task.id).error.code == "no_face_found"


def test_an_input_that_is_too_long(context, store, claimed):
    task = claimed(audio="long.wav")
    execute(task, replace(context, limits=replace(context.limits, max_seconds=60)))
    assert store.get(task.id).error.code == "input_too_large"


def test_a_temporary_failure_is_retried_a_limited_number_of_times(context, store, claimed):
    task = claimed("busy.mp4")
    for attempt in range(1, task.max_attempts + 1):
        before = now()
        execute(task, context)
        after = store.get(task.id)
        assert after.error.code == "fetch_failed"
        if attempt < task.max_attempts:
            assert after.status is Status.QUEUED
            assert after.available_at - before >= context.retry_delay * 2 ** (attempt - 1)
            task = store.claim(task.id, "tester", LEASE, after.available_at)
            assert task is not None
    assert after.status is Status.FAILED


class Broken:
    """A storage that raises the given error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put(self, *_: object) -> None:
        raise self._error


def test_a_storage_that_is_unavailable_for_a_while(context, store, claimed):
    task = claimed()
    execute(task, replace(context, storage=Broken(StorageFailed("the bucket does not answer"))))
    assert (store.get(task.id).status, store.get(task.id).error.code) == (Status.QUEUED, "storage_failed")
    again = store.claim(task.id, "tester", LEASE, now() + timedelta(hours=1))
    execute(again, context)
    assert store.get(task.id).status is Status.COMPLETED
    assert store.get(task.id).error is None


def test_an_unexpected_exception_fails_the_task_and_is_in_its_log(context, store, claimed):
    task = claimed()
    execute(task, replace(context, storage=Broken(ZeroDivisionError("by nothing"))))
    assert (store.get(task.id).status, store.get(task.id).error.code) == (Status.FAILED, "bug")
    assert any("Traceback" in line.message for line in store.logs(task.id))


@pytest.fixture
def running(context, store) -> Iterator[Callable[..., tuple[LeaseKeeper, threading.Thread]]]:
    """Execute a task in a thread; returns its lease once it processes frames."""
    threads = []

    def run(task: Task) -> tuple[LeaseKeeper, threading.Thread]:
        leases: list[LeaseKeeper] = []
        thread = threading.Thread(target=execute, args=(task, context, leases.append))
        thread.start()
        threads.append(thread)
        limit = time.monotonic() + 60
        while store.get(task.id).status is not Status.PROCESSING and time.monotonic() < limit:
            time.sleep(0.05)
        return leases[0], thread

    yield run
    for thread in threads:
        thread.join(60)


def test_cancelling_stops_it_within_two_seconds(context, store, claimed, running):
    task = claimed(audio="long.wav")
    _, thread = running(task)
    store.request_cancel(task.id, now())
    began = time.monotonic()
    thread.join(30)
    assert time.monotonic() - began < 10  # two seconds, on a machine that does nothing else
    assert store.get(task.id).status is Status.CANCELLED
    assert published(context) == []
    assert is_clean(context)


def test_a_worker_that_stops_returns_the_task_without_counting_the_attempt(context, store, claimed, running):
    task = claimed(audio="long.wav")
    lease, thread = running(task)
    lease.release()
    thread.join(30)
    back = store.get(task.id)
    assert (back.status, back.attempts, back.lease_owner) == (Status.QUEUED, 0, None)
    assert is_clean(context)


def test_a_task_has_a_time_limit(context, store, claimed):
    task = claimed(audio="long.wav")
    execute(task, replace(context, time_limits=TimeLimits(0.5)))
    failed = store.get(task.id)
    assert (failed.status, failed.error.code) == (Status.FAILED, "timed_out")
    assert failed.error.message == "the task took longer than 0 s"
    assert published(context) == []


def test_a_status_has_a_time_limit(context, store, claimed):
    task = claimed(audio="long.wav")
    execute(task, replace(context, time_limits=TimeLimits(600, {Status.PROCESSING: 0.5})))
    failed = store.get(task.id)
    assert (failed.status, failed.error.code, published(context)) == (Status.FAILED, "timed_out", [])
    assert failed.error.message.startswith("processing took longer")


def test_sessions_stay_open_for_the_next_task(context, store, speaker, files, claimed):
    (context.work_root.parent / "served" / "speaker.mp4").write_bytes(speaker.read_bytes())
    first, second = (claimed("speaker.mp4", engines=("rewrite",)) for _ in range(2))
    execute(first, context)
    opened = len(context.sessions)
    execute(second, context)
    assert opened == len(context.sessions) == 2  # the speech encoder and the motion network
    assert {store.get(task.id).status for task in (first, second)} == {Status.COMPLETED}


def test_a_worker_that_lost_the_task_publishes_nothing(context, store, claimed, running):
    task = claimed(audio="long.wav")
    _, thread = running(task)
    store.reap(now() + 2 * LEASE)
    other = store.claim(task.id, "another", LEASE, now() + 2 * LEASE)
    assert other is not None
    thread.join(30)
    assert not thread.is_alive()
    assert (store.get(task.id).status, store.get(task.id).lease_owner) == (Status.DOWNLOADING, "another")
    assert published(context) == []
    assert (context.work_root / task.id).is_dir()  # its new owner may be using it


def test_progress_is_stored_while_a_task_runs(store, claimed, running):
    task = claimed(audio="long.wav")
    lease, thread = running(task)
    limit, progress = time.monotonic() + 30, None
    while progress is None and time.monotonic() < limit:
        progress = store.get(task.id).progress
        time.sleep(0.1)
    assert progress is not None
    assert progress.done > 0
    lease.release()
    thread.join(30)


class Stubborn:
    """A storage that ignores stop requests, like native code that hangs, until ``end`` is set."""

    def __init__(self) -> None:
        self.end, self.reached = threading.Event(), threading.Event()

    def put(self, *_: object) -> None:
        self.reached.set()
        self.end.wait(60)
        raise StorageFailed("released by the test")


@pytest.fixture
def hanging(context) -> Iterator[Callable[..., tuple[list[LeaseKeeper], threading.Event]]]:
    """Execute a task that hangs in its storage; returns its lease, and an event set when it is given up."""
    storages, threads = [], []

    def run(task: Task, seconds: float = 600) -> tuple[list[LeaseKeeper], threading.Event]:
        storage, leases, stuck = Stubborn(), [], threading.Event()
        at = replace(context, storage=storage, time_limits=TimeLimits(seconds, grace=0.5))
        thread = threading.Thread(target=execute, args=(task, at, leases.append, stuck.set))
        thread.start()
        storages.append(storage)
        threads.append(thread)
        assert storage.reached.wait(60)
        return leases, stuck

    yield run
    for storage, thread in zip(storages, threads, strict=True):
        storage.end.set()
        thread.join(60)
        assert not thread.is_alive()


def test_work_that_hangs_beyond_its_time_limit_has_failed_before_the_worker_exits(store, claimed, hanging):
    task = claimed()
    _, stuck = hanging(task, seconds=2)
    assert stuck.wait(60)
    failed = store.get(task.id)
    assert (failed.status, failed.error.code, failed.error.retryable) == (Status.FAILED, "timed_out", False)
    assert any("self.end.wait(60)" in line.message for line in store.logs(task.id))


def test_work_that_hangs_when_it_is_cancelled_is_cancelled_before_the_worker_exits(store, claimed, hanging):
    task = claimed()
    _, stuck = hanging(task)
    store.request_cancel(task.id, now())
    assert stuck.wait(60)
    assert store.get(task.id).status is Status.CANCELLED


def test_work_that_hangs_when_the_worker_stops_is_left_to_recovery_which_counts_the_attempt(store, claimed, hanging):
    task = claimed()
    leases, stuck = hanging(task)
    leases[0].release()
    assert stuck.wait(60)
    left = store.get(task.id)
    assert (left.status, left.lease_owner) == (Status.UPLOADING, "tester")
    store.reap(left.lease_until)
    back = store.get(task.id)
    assert (back.status, back.attempts, back.error.code) == (Status.QUEUED, 1, "worker_lost")


def test_the_final_progress_is_that_of_the_last_stage(context, store, claimed):
    task = claimed()
    execute(task, context)
    done = store.get(task.id)
    assert done.progress == TaskProgress("upload", done.outputs[0].size, done.outputs[0].size)


def lines(caplog: pytest.LogCaptureFixture, task: Task) -> list[tuple[str, str]]:
    """Level and text of the records about a task; each carries its id, attempt and event."""
    records = [record for record in caplog.records if record.name.startswith("lipsync.worker.outcome")]
    assert {(record.task, record.attempt) for record in records} == {(task.id, task.attempts)}
    assert {record.event for record in records} <= set(Event)
    texts = [record.getMessage() for record in records]
    assert all(text.startswith(f"task {task.id}: ") and "\n" not in text for text in texts)
    return [(record.levelname, text.partition(": ")[2]) for record, text in zip(records, texts, strict=True)]


@pytest.fixture
def logged(caplog) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "lipsync"):
        yield caplog


def test_a_completed_task_is_two_records_of_the_log(context, claimed, logged):
    task = claimed()
    execute(task, context)
    first, last = lines(logged, task)
    assert first == ("INFO", "attempt 1 of 3 with passthrough")
    assert last[0] == "INFO"
    assert re.fullmatch(r"completed after [\d.]+ s: 50 frames, [\d.]+ frames/s", last[1])
    started, completed = (record for record in logged.records if hasattr(record, "event"))
    assert (started.event, completed.event) == ("task.started", "task.completed")
    assert completed.seconds == pytest.approx(float(last[1].split()[2]), abs=0.06)


@pytest.mark.parametrize(
    ("error", "level", "text", "event"),
    [
        (
            StorageFailed("unavailable"),
            "WARNING",
            r"failed after [\d.]+ s, retrying in 10 s: unavailable \[storage_failed\]",
            "task.retried",
        ),
        (NoFaceFound("no face"), "WARNING", r"failed after [\d.]+ s: no face \[no_face_found\]", "task.failed"),
        (EncodeFailed("no codec"), "ERROR", r"failed after [\d.]+ s: no codec \[encode_failed\]", "task.failed"),
        (
            ZeroDivisionError("0"),
            "ERROR",
            r"failed after [\d.]+ s: unexpected ZeroDivisionError: 0 \[bug\]",
            "task.failed",
        ),
        (LeaseLost("gone"), "WARNING", "lease lost; discarding this attempt", "lease.lost"),
    ],
)
def test_the_end_of_a_task_is_one_record_of_the_log_with_its_code(context, claimed, logged, error, level, text, event):
    task = claimed()
    execute(task, replace(context, storage=Broken(error)))
    _, last = lines(logged, task)
    assert last[0] == level
    assert re.fullmatch(text, last[1])
    record = logged.records[-1]
    assert (record.event, record.code, record.seconds >= 0) == (event, getattr(error, "code", "bug"), True)


def test_a_stopped_task_is_one_record_of_the_log(context, store, claimed, logged):
    for stop, text in (("cancel", "cancelled"), ("release", "returned to queue")):
        logged.clear()
        task = claimed(audio="long.wav")
        if stop == "cancel":
            store.request_cancel(task.id, now())
        execute(task, context, (lambda lease: None) if stop == "cancel" else LeaseKeeper.release)
        _, last = lines(logged, task)
        assert last[0] == "INFO"
        assert re.fullmatch(rf"{text} after [\d.]+ s", last[1])
        assert logged.records[-1].event == ("task.cancelled" if stop == "cancel" else "task.released")


def outputs_of(task: Task) -> dict[tuple[str, str], tuple[int, int]]:
    return {(output.engine, output.variant): (output.width, output.height) for output in task.outputs}


def test_the_enhanced_result_is_published_beside_the_plain_one(context, store, claimed):
    task = claimed(upscale="2:lanczos")
    assert store.get(task.id).enhancement.status is EnhanceStatus.PENDING
    execute(task, context)
    done = store.get(task.id)
    assert (done.status, done.error) == (Status.COMPLETED, None)
    assert outputs_of(done) == {("passthrough", "plain"): (192, 96), ("passthrough", "final"): (384, 192)}
    assert published(context) == [f"{task.id}/passthrough-plain.mp4", f"{task.id}/passthrough.mp4"]
    large = probe_video(context.work_root.parent / "published" / f"{task.id}/passthrough.mp4").video
    assert (large.width, large.height, large.frame_count) == (384, 192, 50)
    assert (done.enhancement.status, done.enhancement.error) == (EnhanceStatus.COMPLETED, None)
    assert task.created_at < done.enhancement.started_at < done.enhancement.finished_at <= done.finished_at
    assert "enhance" in done.timings
    assert is_clean(context)


def test_if_enhancing_fails_the_task_is_completed_with_the_plain_result(context, store, claimed):
    task = claimed(enhance="gfpgan-1.4:0.5")
    execute(task, replace(context, models_dir=context.work_root.parent / "no models"))
    done = store.get(task.id)
    assert (done.status, done.error) == (Status.COMPLETED, None)
    assert outputs_of(done) == {("passthrough", "plain"): (192, 96)}
    assert (done.enhancement.status, done.enhancement.error.code) == (EnhanceStatus.FAILED, "model_missing")
    assert any(line.message.startswith("not enhanced: ") for line in store.logs(task.id))


def test_enhancing_has_a_time_limit_and_the_plain_result_stays(context, store, claimed):
    task = claimed(upscale="4:lanczos")
    execute(task, replace(context, time_limits=TimeLimits(600, {Status.ENHANCING: 0.001})))
    done = store.get(task.id)
    assert (done.status, done.enhancement.error.code) == (Status.COMPLETED, "timed_out")
    assert set(outputs_of(done)) == {("passthrough", "plain")}


def test_one_frame_that_exceeds_the_limit_of_enhancing_costs_only_the_enhancement(context, store, claimed, monkeypatch):
    def upscale(self: Lanczos, frame: Frame) -> Frame:
        time.sleep(2)
        return original(self, frame)

    original = Lanczos.upscale
    monkeypatch.setattr(Lanczos, "upscale", upscale)
    task = claimed(upscale="2:lanczos", offset_copies=[80])
    execute(task, replace(context, time_limits=TimeLimits(600, {Status.ENHANCING: 0.5})))
    done = store.get(task.id)
    assert (done.status, done.enhancement.error.code) == (Status.COMPLETED, "timed_out")
    assert set(outputs_of(done)) == {("passthrough", "plain"), ("passthrough", "audio-80ms-earlier")}


@pytest.mark.parametrize("why", ["cancelled", "released", "timed_out"])
def test_stopping_during_enhancing_stops_the_task(context, store, claimed, monkeypatch, why):
    def upscale(self: Lanczos, frame: Frame) -> Frame:
        if why == "cancelled":
            store.request_cancel(task.id, now())
        if why == "released":
            leases[0].release()
        limit = time.monotonic() + 30
        while not leases[0].monitor.cancelled and time.monotonic() < limit:
            time.sleep(0.02)
        return original(self, frame)

    original, leases = Lanczos.upscale, list[LeaseKeeper]()
    monkeypatch.setattr(Lanczos, "upscale", upscale)
    task = claimed(upscale="2:lanczos")
    execute(task, replace(context, time_limits=TimeLimits(4 if why == "timed_out" else 600)), leases.append)
    after = store.get(task.id)
    statuses = {"cancelled": Status.CANCELLED, "released": Status.QUEUED, "timed_out": Status.FAILED}
    assert after.status is statuses[why]
    assert after.enhancement.status is (EnhanceStatus.PENDING if why == "released" else EnhanceStatus.FAILED)
    assert set(outputs_of(after)) == {("passthrough", "plain")}
    assert is_clean(context)


def test_a_failed_enhancement_is_in_the_last_record_and_in_the_manifest(context, claimed, logged):
    task = claimed(upscale="2:lanczos", enhance="codeformer")
    execute(task, replace(context, models_dir=context.work_root.parent / "no models"))
    level, text = lines(logged, task)[-1]
    assert level == "WARNING"
    assert re.fullmatch(r"completed after .*; not enhanced: .*codeformer.* \[model_missing\]", text)
    manifest = json.loads((context.work_root.parent / "published" / f"{task.id}/manifest.json").read_text())
    (step,) = (step for step in manifest["steps"] if step["name"] == "enhance")
    assert (step["by"]["status"], step["by"]["code"]) == ("failed", "model_missing")


def test_a_task_that_asks_for_no_enhancement_has_skipped_it(context, store, claimed):
    task = claimed()
    execute(task, context)
    assert store.get(task.id).enhancement == EnhancementRecord(EnhanceStatus.SKIPPED)


def test_a_task_that_is_cancelled_before_it_is_enhanced_has_skipped_that(store, claimed):
    task = claimed(upscale="2:lanczos")
    store.cancel(task.id, "tester", now())
    assert store.get(task.id).enhancement.status is EnhanceStatus.SKIPPED
    store.retry(task.id, now())
    assert store.get(task.id).enhancement == EnhancementRecord(EnhanceStatus.PENDING)


def test_copies_with_another_offset_follow_the_exact_result(context, store, claimed):
    task = claimed(offset_copies=[-80, 80])
    execute(task, context)
    done = store.get(task.id)
    variants = ["final", "audio-80ms-later", "audio-80ms-earlier"]
    assert [output.variant for output in done.outputs] == variants
    assert len(published(context)) == 3


def test_a_manifest_records_inputs_outputs_and_steps(context, store, claimed):
    task = claimed(upscale="2:lanczos", crf=30)
    execute(task, context)
    done = store.get(task.id)
    path = context.work_root.parent / "published" / done.manifest.key
    manifest = json.loads(path.read_text())
    assert (manifest["task"], manifest["options"]["requested"]["crf"]) == (task.id, 30)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done.manifest.sha256
    assert manifest["inputs"]["video"]["source"].endswith("/bars.mp4")
    assert {output["key"]: output["sha256"] for output in manifest["outputs"]} == {
        output.key: output.sha256 for output in done.outputs
    }
    assert {step["name"] for step in manifest["steps"]} >= {"analyse", "track", "render", "enhance"}
    assert manifest["versions"]["lipsync"]
    assert set(done.files) == {*keys_of(manifest), done.manifest.key}


def keys_of(manifest: dict) -> list[str]:
    return [output["key"] for output in manifest["outputs"]]


def test_a_file_of_a_worker_that_died_while_publishing_is_deleted_with_the_task(context, store, claimed):
    class Dies(LocalStorage):
        def put(self, *given: object) -> Stored:
            super().put(*given)
            raise SystemExit("killed")

    task = claimed()
    options = LocalOptions(context.work_root.parent / "published", "http://localhost:8000", "a secret of the tests")
    with pytest.raises(SystemExit):
        execute(task, replace(context, storage=Dies.open(options)))
    assert published(context) == [f"{task.id}/passthrough.mp4"]
    store.cancel(task.id, "tester", now())
    assert store.get(task.id).outputs == ()
    prune(store, context.storage, context.uploads, now() + timedelta(days=1))
    assert published(context) == []


def test_each_input_is_opened_demuxed_and_hashed_once(context, claimed, input_counts, tmp_path, monkeypatch):
    snapshots = []

    def observed_run(*arguments):
        snapshots.append((dict(input_counts.opened), dict(input_counts.demuxed)))
        result = run(*arguments)
        snapshots.append((dict(input_counts.opened), dict(input_counts.demuxed)))
        return result

    run = worker_execute.run
    monkeypatch.setattr(worker_execute, "run", observed_run)
    execute(claimed(), context)
    before_decoding, after_decoding = snapshots
    assert before_decoding == ({"video": 1, "audio": 1}, {"video": 1, "audio": 1})
    assert (dict(input_counts.opened), dict(input_counts.demuxed)) == after_decoding
    manifest = json.loads(next((tmp_path / "published").rglob("manifest.json")).read_bytes())
    for name, file in zip(("video", "audio"), ("bars.mp4", "voice.wav"), strict=True):
        digest = hashlib.sha256((tmp_path / "served" / file).read_bytes()).digest().hex()
        assert manifest["inputs"][name]["sha256"] == digest
        assert input_counts.hashed[digest] == 1
