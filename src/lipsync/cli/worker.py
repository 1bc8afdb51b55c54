"""``lipsync worker``: process the service's tasks until stopped."""

from __future__ import annotations

import argparse
import os
import signal
import threading

from lipsync.monitor import Monitor


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Processes the service's tasks one after the other until SIGTERM or Ctrl-C; the current task then "
        "returns to the queue. Reads its settings from LIPSYNC_* variables or a file .env; see lipsync settings."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected failure")
    parser.add_argument("--until-parent-ends", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import service_settings

    with service_settings() as settings:
        if settings.gpu is not None:
            # CUDA reads these when a runtime loads, which is later; PCI order is that of nvidia-smi.
            os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(settings.gpu)}
        from lipsync.worker.run import run_worker

        if options.until_parent_ends:
            threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
        run_worker(settings)
    return 0


def _end_with_parent() -> None:
    """Stop when standard input closes: it is a pipe from the parent, so it closes however the parent ends."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
