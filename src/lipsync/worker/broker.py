"""How a worker hears that there is something to do: a message that carries a task's id and nothing else.

The store is the queue of record. A message that is lost is sent again by ``recovery``, one that comes twice finds
nothing to claim.
"""

from __future__ import annotations

from pathlib import Path

from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from lipsync.errors import StorageFailed
from lipsync.files import make_folder

TASK, QUEUE = "lipsync.run", "lipsync"
QUICKLY = 0.2  # seconds between two looks into the folder, on one machine
MOST = 1000  # messages
PATIENCE = 5  # seconds for the broker to answer
BEAT = 20  # seconds of silence, twice, after which RabbitMQ and a worker take each other for gone


class TaskNotifier:
    """Rings for tasks. Safe from several threads."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, task_id: str) -> None:
        """Tell the workers. Raises StorageFailed if the broker does not answer."""
        try:
            self._app.send_task(TASK, (task_id,), queue=QUEUE, retry=False)
        except (OperationalError, OSError) as exc:
            raise StorageFailed(f"the broker does not take messages ({' '.join(str(exc).split())})") from exc

    def crowded(self) -> bool:
        """Whether so many messages wait that more of them would only fill the broker. Raises StorageFailed."""
        with self._app.connection_for_write() as connection:
            try:
                found = connection.default_channel.queue_declare(QUEUE, passive=True)
            except ChannelError:  # there is no queue yet
                return False
            except (*connection.connection_errors, OperationalError, OSError) as exc:
                raise StorageFailed(f"the broker does not answer ({' '.join(str(exc).split())})") from exc
            return int(found.message_count) >= MOST


def make_app(broker_url: str, folder: Path) -> Celery:
    """A Celery application without tasks, on that broker; an empty address means files in ``folder``.

    Raises DiskFull, OutputUnwritable if the folder cannot be made.
    """
    app = Celery("lipsync", broker=broker_url or "filesystem://", set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=PATIENCE,
        broker_heartbeat=BEAT,
        broker_transport_options=_in_time(broker_url) if broker_url else _in_folder(folder),
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # none that is ours; else it warns of it each time
        worker_disable_prefetch=broker_url.startswith("redis"),  # else a busy worker would hold what another could do
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
    )
    return app


def _in_time(broker_url: str) -> dict[str, object]:
    """Limits for whoever rings: a broker that hangs or is gone must not hold up a request of the API's."""
    once_more = {"max_retries": 1, "interval_start": 0.2}  # of connecting; a worker goes on trying whatever this says
    if broker_url.startswith("redis"):
        return {**once_more, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "socket_keepalive": True}
    return {**once_more, "read_timeout": PATIENCE, "write_timeout": PATIENCE}


def _in_folder(folder: Path) -> dict[str, object]:
    messages, control = folder / "messages", folder / "control"
    for made in (messages, control):
        make_folder(made)
    both = {"data_folder_in": str(messages), "data_folder_out": str(messages), "control_folder": str(control)}
    return {**both, "polling_interval": QUICKLY}
