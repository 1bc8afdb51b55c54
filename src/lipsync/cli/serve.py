"""``lipsync serve``: run the REST API, with a built-in worker unless a broker is set."""

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

SHUTDOWN_TIMEOUT = 5  # seconds for responses in progress


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs the REST API. Without LIPSYNC_BROKER_URL it starts a worker as well, so nothing else is needed; with "
        "a broker, start lipsync worker on each processing machine. Reads its settings from LIPSYNC_* variables or a "
        "file .env; see lipsync settings."
    )
    parser.add_argument(
        "--host", default=None, metavar="ADDRESS", help="IP address to listen on (default: $LIPSYNC_HOST or 127.0.0.1)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        metavar="PORT",
        help="TCP port to listen on, 0 to 65535 (default: $LIPSYNC_PORT or 8000)",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected failure")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import service_settings

    overrides = {name: getattr(options, name) for name in ("host", "port") if getattr(options, name) is not None}
    with service_settings(**overrides) as settings:
        serve(settings)
    return 0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingInvalid, StorageFailed, OutputUnwritable at startup."""
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
            logging.getLogger(__name__).warning("no API key exists. Run: lipsync keys create NAME")
        environment = {"LIPSYNC_HOST": settings.host, "LIPSYNC_PORT": str(settings.port)}  # flags override variables
        if settings.broker_url:
            stack.enter_context(recovering(store, notifier.notify, now, is_full=notifier.is_full))
        else:
            stack.enter_context(supervised(environment))
        _listen(app, settings)


def _listen(app: FastAPI, settings: Settings) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Handle signals as uvicorn does, but do not raise them again after the shutdown."""
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
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    logging.getLogger(__name__).info("listening on %s", settings.address)
    Server(config).run()
