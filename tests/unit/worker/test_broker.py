"""Ringing: nobody who rings waits for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from lipsync.errors import StorageFailed
from lipsync.worker.broker import PATIENCE, QUEUE, TaskNotifier, make_app


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server to which one can connect, and which says nothing, like one whose process is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:{}/0", "amqp://guest:guest@127.0.0.1:{}//"])
def test_a_broker_that_hangs_hangs_nobody_who_rings(broker, silent, tmp_path):
    bell = TaskNotifier(make_app(broker.format(silent), tmp_path))
    began = time.monotonic()
    with pytest.raises(StorageFailed, match=r"timed out|Timeout") as caught:
        bell.ring("0" * 32)
    assert time.monotonic() - began < PATIENCE + 3
    assert caught.value.retryable


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:9/0", "amqp://guest:guest@127.0.0.1:9//"])
def test_a_broker_that_is_not_there_is_told_at_once(broker, tmp_path):
    bell = TaskNotifier(make_app(broker, tmp_path))
    began = time.monotonic()
    with pytest.raises(StorageFailed, match="refused"):
        bell.ring("0" * 32)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:9/0", "amqp://guest:guest@127.0.0.1:9//"])
def test_who_looks_how_many_messages_wait_is_told_too(broker, tmp_path):
    with pytest.raises(StorageFailed, match="refused"):
        TaskNotifier(make_app(broker, tmp_path)).crowded()


def test_on_one_machine_the_bell_is_a_file(tmp_path):
    TaskNotifier(make_app("", tmp_path)).ring("0" * 32)
    (message,) = (tmp_path / "messages").iterdir()
    assert message.name.endswith(f".{QUEUE}.msg")
