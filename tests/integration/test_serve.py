"""The whole service on one machine, with nothing else running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.media.probe import probe_video
from lipsync.tasks.webhooks import sign_body


@dataclass
class Service:
    """A data folder, a port, and the process that serves them."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    key: str = ""
    webhook_secret: str = ""

    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LIPSYNC_")}
        return plain | {
            "LIPSYNC_DATA_DIR": str(self.folder / "data"),
            "LIPSYNC_LEASE_SECONDS": "5",
            "LIPSYNC_INPUT_ALLOWED_HOSTS": "127.0.0.1",
        }

    def command(self, *arguments: str) -> str:
        call = [sys.executable, "-m", "lipsync", *arguments]
        done = subprocess.run(call, env=self.environment(), capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def start(self) -> None:
        call = [sys.executable, "-m", "lipsync", "serve", "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(call, env=self.environment(), stderr=log, stdout=log, cwd=self.folder)
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            try:
                self.ask("GET", "/readyz")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, method=method, headers={"Content-Type": "application/json"})
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, kind, content = answer.status, answer.headers["Content-Type"] or "", answer.read()
        except urllib.error.HTTPError as refused:
            status, kind, content = refused.code, refused.headers["Content-Type"] or "", refused.read()
        return status, json.loads(content) if "json" in kind else content

    def becomes(self, task_id: str, *statuses: str, within: float = 60) -> dict[str, Any]:
        limit = time.monotonic() + within
        while True:
            _, task = self.ask("GET", f"/v1/tasks/{task_id}")
            if task["status"] in statuses or time.monotonic() > limit:
                assert task["status"] in statuses, task
                return dict(task)
            time.sleep(0.1)


@pytest.fixture
def service(tmp_path, free_port) -> Iterator[Service]:
    running = Service(tmp_path, free_port())
    running.start()
    key = json.loads(running.command("keys", "create", "tests", "--json"))
    running.key, running.webhook_secret = key["secret"], key["webhook_secret"]
    yield running
    if running.process is not None:
        running.process.kill()
        running.process.wait(30)


@pytest.fixture
def upload(service) -> Callable[[Path], dict[str, str]]:
    def send(path: Path) -> dict[str, str]:
        status, uploaded = service.ask(
            "POST", "/v1/uploads", path.read_bytes(), Content_Type="application/octet-stream"
        )
        assert status == 201, uploaded
        return {"upload": uploaded["id"]}

    return send


@pytest.fixture
def long(tmp_path, make_audio) -> Path:
    return make_audio(tmp_path / "long.wav", np.zeros(16_000 * 900, np.int16))


def test_a_task_from_upload_to_download(service, upload, speaker, voice, tmp_path):
    request = {"video": upload(speaker), "audio": upload(voice), "engines": ["rewrite", "passthrough"]}
    status, task = service.ask("POST", "/v1/tasks", request, Idempotency_Key="one")
    assert status == 201, task
    assert service.ask("POST", "/v1/tasks", request, Idempotency_Key="one")[1]["id"] == task["id"]
    done = service.becomes(task["id"], "completed", "failed")
    assert done["status"] == "completed", done
    assert [output["engine"] for output in done["outputs"]] == ["rewrite", "passthrough"]
    for output in done["outputs"]:
        status, content = service.ask("GET", output["url"])
        assert (status, len(content)) == (200, output["size"])
        path = tmp_path / "got.mp4"
        path.write_bytes(content)
        assert probe_video(path).video.frame_count == 50
    assert json.loads(service.command("tasks", "show", task["id"], "--json"))["status"] == "completed"
    assert task["id"] in service.command("tasks", "list")
    status, metrics = service.ask("GET", "/metrics")
    assert status == 200
    assert b"completed" in metrics


def test_a_webhook_is_called_with_a_verifiable_signature(service, upload, speaker, voice):
    received: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep stderr clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        request = {"video": upload(speaker), "audio": upload(voice), "engines": ["passthrough"]}
        address = f"http://127.0.0.1:{server.server_port}/done"
        status, task = service.ask("POST", "/v1/tasks", request | {"webhook": address})
        assert status == 201, task
        service.becomes(task["id"], "completed", "failed")
        limit = time.monotonic() + 20
        while not received and time.monotonic() < limit:
            time.sleep(0.1)
        server.shutdown()
        thread.join()
    ((headers, body),) = received
    call = json.loads(body)
    assert (call["event"], call["task_id"], call["status"]) == ("task.completed", task["id"], "completed")
    _, answer = service.ask("GET", "/v1/webhook-secret")
    secret = answer["secret"]
    assert secret == service.webhook_secret
    timestamp = int(headers["Lipsync-Timestamp"])
    assert abs(time.time() - timestamp) < 60
    assert headers["Lipsync-Signature"] == f"v1={sign_body(secret, timestamp, body)}"


def test_requests_without_a_key_are_refused(service):
    service.key = ""
    assert service.ask("GET", "/v1/tasks")[0] == 401
    assert service.ask("GET", "/healthz")[0] == 200


def test_an_impossible_task_fails_with_its_code(service, upload, voice):
    request = {"video": {"url": "http://169.254.169.254/x.mp4"}, "audio": upload(voice), "engines": ["passthrough"]}
    status, task = service.ask("POST", "/v1/tasks", request)
    assert status == 201, task
    assert service.becomes(task["id"], "failed")["error"]["code"] == "address_forbidden"


def test_a_task_starts_at_once_and_is_cancelled_at_once(service, upload, speaker, long):
    request = {"video": upload(speaker), "audio": upload(long), "engines": ["passthrough"]}
    _, task = service.ask("POST", "/v1/tasks", request)
    service.becomes(task["id"], "processing")
    assert service.ask("POST", f"/v1/tasks/{task['id']}/cancel")[0] in (200, 202)
    service.becomes(task["id"], "cancelled", within=20)
    assert list((service.folder / "data" / "work").iterdir()) == []


def test_a_killed_service_continues_after_a_restart(service, upload, speaker, voice, long):
    request = {"video": upload(speaker), "audio": upload(long), "engines": ["passthrough"]}
    _, task = service.ask("POST", "/v1/tasks", request)
    short = {"video": upload(speaker), "audio": upload(voice), "engines": ["passthrough"]}
    _, waiting = service.ask("POST", "/v1/tasks", short)
    service.becomes(task["id"], "processing")
    service.process.kill()
    service.process.wait(30)
    service.start()
    restarted = service.becomes(task["id"], "queued", "processing", "downloading")
    assert restarted["attempts"] <= 2
    service.ask("POST", f"/v1/tasks/{task['id']}/cancel")
    service.becomes(task["id"], "cancelled", within=30)
    # The old worker may consume the task's message as it ends; the task is then announced again after a minute.
    assert service.becomes(waiting["id"], "completed", "failed", within=120)["status"] == "completed"


def test_the_service_ends_cleanly(service):
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(40) == 0
    assert "Traceback" not in (service.folder / "log").read_text()
