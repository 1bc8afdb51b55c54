"""Announcing tasks: a publisher never waits for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from lipsync.errors import StorageFailed
from lipsync.worker.broker import BROKER_TIMEOUT, QUEUE, TaskNotifier, make_app


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers, like one whose process is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:{}/0", "amqp://guest:guest@127.0.0.1:{}//"])
def test_a_broker_that_hangs_does_not_block_the_publisher(broker, silent, tmp_path):
    notifier = TaskNotifier(make_app(broker.format(silent), tmp_path))
    began = time.monotonic()
    with pytest.raises(StorageFailed, match=r"timed out|Timeout") as caught:
        notifier.notify("0" * 32)
    assert time.monotonic() - began < BROKER_TIMEOUT + 3
    assert caught.value.retryable


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:9/0", "amqp://guest:guest@127.0.0.1:9//"])
def test_a_missing_broker_is_reported_at_once(broker, tmp_path):
    notifier = TaskNotifier(make_app(broker, tmp_path))
    began = time.monotonic()
    with pytest.raises(StorageFailed, match="refused"):
        notifier.notify("0" * 32)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:9/0", "amqp://guest:guest@127.0.0.1:9//"])
def test_a_missing_broker_is_reported_when_messages_are_counted(broker, tmp_path):
    with pytest.raises(StorageFailed, match="refused"):
        TaskNotifier(make_app(broker, tmp_path)).is_full()


def test_on_one_machine_a_message_is_a_file(tmp_path):
    TaskNotifier(make_app("", tmp_path)).notify("0" * 32)
    (message,) = (tmp_path / "messages").iterdir()
    assert message.name.endswith(f".{QUEUE}.msg")
