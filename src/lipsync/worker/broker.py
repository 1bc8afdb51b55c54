"""Announce tasks to workers through Celery: a message carries a task's id and nothing else.

The task store is the queue of record. Recovery resends messages that were lost; a duplicate finds nothing to claim.
"""

from __future__ import annotations

from pathlib import Path

from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from lipsync.errors import StorageFailed, one_line
from lipsync.files import make_folder

TASK, QUEUE = "lipsync.run", "lipsync"
FOLDER_POLL_INTERVAL = 0.2  # seconds, for the file transport of a single machine
MAX_MESSAGES = 1000
BROKER_TIMEOUT = 5  # seconds
HEARTBEAT_INTERVAL = 20  # seconds; RabbitMQ and a worker drop each other after two missed ones


class TaskNotifier:
    """Announces tasks to the workers. Thread-safe."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def notify(self, task_id: str) -> None:
        """Announce a task. Raises StorageFailed if the broker does not accept the message."""
        try:
            self._app.send_task(TASK, (task_id,), queue=QUEUE, retry=False)
        except (OperationalError, OSError) as exc:
            raise StorageFailed(f"the broker does not accept messages ({one_line(exc)})") from exc

    def is_full(self) -> bool:
        """Whether ``MAX_MESSAGES`` or more messages are waiting. Raises StorageFailed."""
        with self._app.connection_for_write() as connection:
            try:
                queue = connection.default_channel.queue_declare(QUEUE, passive=True)
            except ChannelError:  # the queue does not exist yet
                return False
            except (*connection.connection_errors, OperationalError, OSError) as exc:
                raise StorageFailed(f"the broker does not answer ({one_line(exc)})") from exc
            return int(queue.message_count) >= MAX_MESSAGES


def make_app(broker_url: str, folder: Path) -> Celery:
    """Create a Celery application without tasks; an empty URL selects the file transport in ``folder``.

    Raises DiskFull, OutputUnwritable if the folder cannot be created.
    """
    app = Celery("lipsync", broker=broker_url or "filesystem://", set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=BROKER_TIMEOUT,
        broker_heartbeat=HEARTBEAT_INTERVAL,
        broker_transport_options=_network_options(broker_url) if broker_url else _folder_options(folder),
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # silences a warning; the store guards our tasks
        worker_disable_prefetch=broker_url.startswith("redis"),  # a busy worker must not reserve further messages
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
    )
    return app


def _network_options(broker_url: str) -> dict[str, object]:
    """Timeouts for publishers: an unresponsive broker must not block an API request."""
    retry = {"max_retries": 1, "interval_start": 0.2}  # publishers only; a worker reconnects for ever regardless
    if broker_url.startswith("redis"):
        timeouts = {"socket_timeout": BROKER_TIMEOUT, "socket_connect_timeout": BROKER_TIMEOUT}
        return {**retry, **timeouts, "socket_keepalive": True}
    return {**retry, "read_timeout": BROKER_TIMEOUT, "write_timeout": BROKER_TIMEOUT}


def _folder_options(folder: Path) -> dict[str, object]:
    messages, control = folder / "messages", folder / "control"
    for each in (messages, control):
        make_folder(each)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": FOLDER_POLL_INTERVAL,
    }
