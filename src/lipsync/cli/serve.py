"""``lipsync serve``: the whole service on one machine, or its API beside workers elsewhere."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lipsync.settings import Settings

PATIENCE = 5  # seconds that answers under way have at the end


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs the REST API. Without LIPSYNC_BROKER_URL a worker runs beside it and nothing else is needed; "
        "with it, lipsync worker runs wherever there is work to be done. Settings come from LIPSYNC_* in the "
        "environment, or from a file .env; lipsync settings lists them."
    )
    parser.add_argument("--host", default=None, help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=None, help="port to listen on (8000)")
    parser.add_argument("--debug", action="store_true", help="show where an unexpected failure comes from")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import started

    given = {name: getattr(options, name) for name in ("host", "port") if getattr(options, name) is not None}
    with started(**given) as settings:
        serve(settings)
    return 0


def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises SettingInvalid, StorageFailed, OutputUnwritable before it starts."""
    from lipsync.api.app import create_app
    from lipsync.api.state import Services
    from lipsync.bootstrap import now, open_storage, open_tasks, secret_of
    from lipsync.tasks.secrets import link_secret, webhook_secret
    from lipsync.worker.broker import TaskNotifier, make_app
    from lipsync.worker.maintenance import recovering
    from lipsync.worker.supervise import supervised

    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(settings))
        storage.check()
        store = stack.enter_context(open_tasks(settings))
        notifier = TaskNotifier(make_app(settings.broker_url, settings.data_dir / "queue"))
        secret = secret_of(settings)
        links = link_secret(secret) if settings.storage == "local" else ""
        app = create_app(
            Services(settings, store, storage, notifier.notify, now, partial(webhook_secret, secret), links)
        )
        if settings.keys_required and not any(key.revoked_at is None for key in store.list_keys()):
            logging.getLogger(__name__).warning("there is no API key yet; lipsync keys create NAME makes one")
        same = {"LIPSYNC_HOST": settings.host, "LIPSYNC_PORT": str(settings.port)}  # they may have come by the flags
        if settings.broker_url:
            stack.enter_context(recovering(store, notifier.notify, now, is_full=notifier.is_full))
        else:
            stack.enter_context(supervised(same))
        _listen(app, settings)


def _listen(app: FastAPI, settings: Settings) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """As uvicorn does it, but a signal that was obeyed is not raised once more at the end."""
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    logging.getLogger(__name__).info("listening on %s", settings.address)
    Server(config).run()
