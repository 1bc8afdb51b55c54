"""Requests over a real connection: streams and disconnects."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import uvicorn

from lipsync.api.app import create_app
from lipsync.tasks.task import Status

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB


@pytest.fixture
def port(service) -> Iterator[int]:
    config = uvicorn.Config(create_app(service.services), port=0, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        until(lambda: server.started)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def connected(port: int, method: str, path: str, headers: dict[str, str]) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as line:
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **headers}.items())
        line.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        yield line


def uploads(service) -> list[str]:
    return [folder.name for folder in (service.folder / "uploads").glob("*")]


def test_a_disconnect_discards_a_single_request_upload(service, port):
    headers = service.key() | {"Content-Length": str(len(CONTENT))}
    with connected(port, "POST", "/v1/uploads", headers) as line:
        line.sendall(CONTENT[:1_500_000])
        until(lambda: uploads(service))
    until(lambda: not uploads(service))


@pytest.mark.parametrize("checked", [False, True])
def test_a_disconnect_keeps_the_part_unless_it_has_a_checksum(service, port, checked):
    tus = service.key() | {"Tus-Resumable": "1.0.0"}
    path = service.client.post("/v1/tus", headers=tus | {"Upload-Length": str(len(CONTENT))}).headers["location"]
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    if checked:
        part["Upload-Checksum"] = "sha1 eA=="

    def offset() -> int:
        return int(service.client.head(path, headers=tus).headers["upload-offset"])

    with connected(port, "PATCH", path, tus | part | {"Content-Length": str(len(CONTENT))}) as line:
        line.sendall(CONTENT[:1_500_000])
        until(lambda: (service.folder / "uploads" / path.rpartition("/")[2] / "content").stat().st_size > 0)
    until(lambda: offset() == (0 if checked else 1_500_000))
    kept = offset()
    del part["Content-Type"]
    rest = part | {"Upload-Offset": str(kept), "Content-Type": "application/offset+octet-stream"}
    rest.pop("Upload-Checksum", None)
    assert service.client.patch(path, content=CONTENT[kept:], headers=tus | rest).status_code == 204


def events(port: int, path: str, headers: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the events of a stream until it ends."""
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event:
                yield event
                event = {}


def test_a_task_is_watched_until_it_has_ended(service, port):
    headers = service.key()
    task = service.create_task(headers)["id"]
    path = f"/v1/tasks/{task}/events"
    statuses = []
    for event in events(port, path, headers):
        assert event["event"] == "task"
        task_json = json.loads(event["data"])
        assert event["id"] == str(task_json["revision"])
        statuses.append(task_json["status"])
        if statuses == ["queued"]:
            service.store.claim(task, "w", service.lease, service.clock())
        elif statuses == ["queued", "downloading"]:
            service.store.request_cancel(task, service.clock())
            service.store.cancel(task, "w", service.clock())
    assert statuses == ["queued", "downloading", "cancelled"]
    final = service.store.get(task)
    assert [event["id"] for event in events(port, path, headers | {"Last-Event-ID": "1"})] == [str(final.revision)]
    assert [event["id"] for event in events(port, path, headers | {"Last-Event-ID": "nonsense"})] != []
    with urlopen(
        Request(f"http://127.0.0.1:{port}{path}", headers=headers | {"Last-Event-ID": str(final.revision)}), timeout=10
    ) as answer:
        assert answer.status == 204


def test_received_events_are_not_sent_again(service, port):
    headers = service.key()
    task = service.create_task(headers)["id"]
    coming = events(port, f"/v1/tasks/{task}/events", headers | {"Last-Event-ID": "1"})
    threading.Timer(0.3, service.store.request_cancel, (task, service.clock())).start()
    assert [json.loads(event["data"])["status"] for event in coming] == [Status.CANCELLED]


def test_a_stream_ends_with_its_task(service, port):
    headers = service.key()
    task = service.create_task(headers)["id"]
    for _ in events(port, f"/v1/tasks/{task}/events", headers):
        service.store.request_cancel(task, service.clock())
        service.store.delete(task)


def test_a_stream_stops_when_its_client_disconnects(service, port):
    headers = service.key()
    task = service.create_task(headers)["id"]
    with connected(port, "GET", f"/v1/tasks/{task}/events", headers) as line:
        received = b""
        while b"event: task" not in received:
            received += line.recv(65_536)
    # The server of the fixture stops only after its last connection has closed.


def test_event_streams_of_a_key_are_limited_and_disconnects_free_a_slot(service, port):
    mine, yours = service.key(), service.key()
    limit = service.services.settings.max_event_streams
    path = f"/v1/tasks/{service.create_task(mine)['id']}/events"

    def watch(stack: ExitStack, path: str, headers: dict[str, str]) -> None:
        stack.enter_context(urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=10)).readline()

    def has_room() -> bool:
        try:
            with ExitStack() as stack:
                watch(stack, path, mine)
        except HTTPError as refused:
            refused.close()
            return False
        return True

    with ExitStack() as stack:
        for _ in range(limit):
            watch(stack, path, mine)
        with pytest.raises(HTTPError) as caught:
            watch(stack, path, mine)
        with caught.value as answer:
            assert (answer.code, json.load(answer)["code"]) == (429, "streams_exceeded")
            assert int(answer.headers["retry-after"]) > 0
        watch(stack, f"/v1/tasks/{service.create_task(yours)['id']}/events", yours)
    until(has_room)
