"""``lipsync smoke-test`` against a real service, and against one that publishes another file."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lipsync.cli import smoke_test
from lipsync.cli.client import ServiceClient
from lipsync.cli.exit_codes import exit_code_of
from lipsync.errors import (
    AddressForbidden,
    ChecksumMismatch,
    FetchFailed,
    FileMissing,
    OptionInvalid,
    SettingInvalid,
    TaskMissing,
    TimedOut,
    TransitionForbidden,
)
from lipsync.monitor import Monitor


def run(*arguments: str) -> int:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser()
    smoke_test.add_to(parser)
    options = parser.parse_args(arguments)
    return int(options.run(options, Monitor()))


@dataclass(frozen=True, slots=True)
class Running:
    """A running service and a key for it."""

    url: str
    key: str

    def run(self, *arguments: str) -> int:
        return run("--url", self.url, "--key", self.key, *arguments)

    @property
    def service(self) -> ServiceClient:
        return ServiceClient(self.url, self.key)


@dataclass
class Host:
    """A service on a port, with its data in a folder."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LIPSYNC_")}
        return plain | {"LIPSYNC_DATA_DIR": str(self.folder / "data"), "LIPSYNC_LEASE_SECONDS": "5"}

    def start(self) -> None:
        call = [sys.executable, "-m", "lipsync", "serve", "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(call, env=self.environment(), stderr=log, stdout=log, cwd=self.folder)
        wait_for(f"{self.url}/readyz", self.folder / "log")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def key(self) -> str:
        call = [sys.executable, "-m", "lipsync", "keys", "create", "tests", "--json"]
        done = subprocess.run(call, env=self.environment(), capture_output=True, text=True, check=True, timeout=60)
        return str(json.loads(done.stdout)["secret"])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Host]:
    running_host = Host(tmp_path_factory.mktemp("service"), free_port())
    try:
        running_host.start()
        yield running_host
    finally:
        running_host.kill()


@pytest.fixture(scope="module")
def running(host: Host) -> Running:
    return Running(host.url, host.key())


def wait_for(url: str, log: Path) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def test_files_are_uploaded_and_every_result_is_checked(running, speaker, voice, capsys):
    engines = ("--engine", "rewrite", "--engine", "passthrough")
    assert running.run("--video", str(speaker), "--audio", str(voice), *engines) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [
        "service", "upload", "upload", "created", "completed", "rewrite", "rewrite", "passthrough", "passthrough",
    ]  # fmt: skip
    assert lines[-2].endswith("320x240, 50 frames, 2.00 s; audio 2.00 s")
    assert running.key not in "".join(lines)


def test_without_files_it_uses_bundled_ones_and_copies_a_completed_task(running, capsys, monkeypatch):
    monkeypatch.setenv("LIPSYNC_API_KEY", running.key)
    assert run("--url", running.url + "/", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in first["checks"]][-1] == "rewrite"
    assert run("--url", running.url, "--task-id", first["task_id"], "--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert second["task_id"] != first["task_id"]
    assert [check["name"] for check in second["checks"]] == ["service", "created", "completed", "rewrite", "rewrite"]


def test_enhanced_results_and_copies_are_checked_as_well(running, speaker, voice, capsys):
    video, audio = ({"upload": running.service.upload(path)["id"]} for path in (speaker, voice))
    options = {"upscale": "2:lanczos", "offset_copies": [40]}
    body = {"video": video, "audio": audio, "engines": ["passthrough"], "options": options}
    task = running.service.request("POST", "/v1/tasks", body)
    assert running.run("--task-id", task["id"], "--json") == 0
    names = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert names[-6:] == [
        "passthrough-plain", "passthrough-plain", "passthrough", "passthrough",
        "passthrough-audio-40ms-earlier", "passthrough-audio-40ms-earlier",
    ]  # fmt: skip


def test_a_failed_task_is_retried_and_its_error_is_raised(running, voice, capsys):
    recording = {"upload": running.service.upload(voice)["id"]}
    body = {"video": {"url": "http://169.254.169.254/x.mp4"}, "audio": recording, "engines": ["passthrough"]}
    task = running.service.request("POST", "/v1/tasks", body)
    for found in ("found", "retried"):
        with pytest.raises(AddressForbidden, match=f"task {task['id']} failed") as raised:
            running.run("--task-id", task["id"])
        assert found in capsys.readouterr().out
    assert exit_code_of(type(raised.value)) == 25


def test_a_cancelled_task_is_tried_again_and_one_that_takes_too_long_is_left(running, speaker, tmp_path, make_audio):
    long = make_audio(tmp_path / "long.wav", np.zeros(16_000 * 900, np.int16))
    with pytest.raises(TimedOut) as raised:
        running.run("--video", str(speaker), "--audio", str(long), "--engine", "passthrough", "--timeout", "0.5")
    task_id = str(raised.value).split()[1]
    running.service.request("POST", f"/v1/tasks/{task_id}/cancel")
    with pytest.raises(TransitionForbidden, match="was cancelled"):
        smoke_test.wait_for_task(running.service.request("GET", f"/v1/tasks/{task_id}"), running.service, 20, Monitor())


def test_it_survives_a_restart_of_the_service(host, running, speaker, tmp_path, make_audio, capsys):
    recording = make_audio(tmp_path / "minute.wav", np.zeros(16_000 * 60, np.int16))
    statuses: list[str] = []

    def interrupt() -> None:
        while not statuses:
            tasks = running.service.request("GET", "/v1/tasks?status=processing")["tasks"]
            statuses.extend(task["status"] for task in tasks)
            time.sleep(0.05)
        host.kill()
        host.start()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert running.run("--video", str(speaker), "--audio", str(recording), "--engine", "passthrough") == 0
    finally:
        statuses.append("over")
        thread.join()
    assert statuses[0] == "processing"
    assert "completed    attempt" in capsys.readouterr().out


def test_a_refusal_does_not_reveal_the_key(running, voice, capsys):
    with pytest.raises(SettingInvalid, match="denied access") as raised:
        run("--url", running.url, "--key", "lsk_wrong")
    assert "lsk_wrong" not in str(raised.value)
    with pytest.raises(SettingInvalid, match="malformed API key"):
        run("--url", running.url, "--key", "secret\nline")
    with pytest.raises(TaskMissing, match="does not exist"):
        running.run("--task-id", "0192f0c1")
    with pytest.raises(OptionInvalid, match="invalid engine 'nonsense'"):
        running.run("--video", str(voice), "--audio", str(voice), "--engine", "nonsense")
    assert "lsk_wrong" not in "".join(capsys.readouterr())


def test_an_absent_service_is_reported_at_once(free_port):
    with pytest.raises(FetchFailed, match="no response"):
        run("--url", f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--url", "file:///etc/passwd"), OptionInvalid),
        (("--url", "http://me:secret@127.0.0.1"), OptionInvalid),
        (("--url", "http://127.0.0.1:many"), OptionInvalid),
        (("--timeout", "0"), OptionInvalid),
        (("--video", "x.mp4"), OptionInvalid),
        (("--task-id", "x", "--engine", "rewrite"), OptionInvalid),
        (("--video", "nowhere.mp4", "--audio", "nowhere.wav"), FileMissing),
    ],
)
def test_invalid_options_are_refused_before_the_first_request(arguments, error):
    with pytest.raises(error) as raised:
        run(*arguments)
    assert "secret" not in str(raised.value)


@dataclass(frozen=True, slots=True)
class Impostor:
    """A server that publishes another file."""

    url: str

    def output(self, content: bytes, **other: object) -> dict[str, object]:
        whole = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return (
            {"engine": "passthrough", "variant": "final", "url": self.url, "width": 192, "height": 96, "duration": 1.2}
            | whole
            | other
        )


@pytest.fixture
def published(tmp_path, make_video) -> bytes:
    return make_video(tmp_path / "published.mp4", frames=30, audio_samples=57_600).read_bytes()


@pytest.fixture
def impostor(published) -> Iterator[Impostor]:
    class Publisher(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(published)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Impostor(f"http://127.0.0.1:{server.server_port}/result?signature=hidden")
        server.shutdown()
        thread.join()


def check(output: dict[str, object], folder: Path, audio_seconds: Fraction | None, frames: int | None) -> None:
    task = {"performance": None if frames is None else {"frames": frames}}
    report = smoke_test.Report(silent=True)
    smoke_test.check_result(output, task, audio_seconds, folder, Monitor(), report)
    assert len(report.checks) == 2


def test_a_correct_result_passes(impostor, published, tmp_path):
    check(impostor.output(published), tmp_path, Fraction("1.2"), 30)


@pytest.mark.parametrize(
    ("other", "audio_seconds", "frames", "message"),
    [
        ({"size": 7}, None, None, "bytes"),
        ({"sha256": "0" * 64}, None, None, "SHA-256"),
        ({"width": 320}, None, None, "width and height"),
        ({"duration": 2.0}, None, None, "the task's record"),
        ({}, Fraction(2), None, "the audio"),
        ({}, Fraction("1.2"), 29, "frames"),
    ],
)
def test_a_wrong_result_is_detected(impostor, published, tmp_path, other, audio_seconds, frames, message):
    with pytest.raises(ChecksumMismatch, match=message):
        check(impostor.output(published, **other), tmp_path, audio_seconds, frames)


def test_a_dead_link_is_reported_without_its_signature(impostor, published, tmp_path, free_port):
    for address in ("file:///etc/passwd", f"http://127.0.0.1:{free_port()}/x?signature=hidden"):
        with pytest.raises(FetchFailed) as raised:
            check(impostor.output(published, url=address), tmp_path, None, None)
        assert "hidden" not in str(raised.value)


def test_the_key_is_not_sent_to_a_redirects_target():
    heard: list[tuple[str, str | None]] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers["Authorization"]))
            self.send_response(302 if self.path == "/v1/options" else 200)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Do not log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(FetchFailed, match="not a lipsync service"):
            run("--url", f"http://127.0.0.1:{server.server_port}", "--key", "lsk_mine")
        server.shutdown()
        thread.join()
    assert heard == [("/v1/options", "Bearer lsk_mine"), ("/elsewhere", None)]
