"""``lipsync worker``: does the service's tasks until it is told to end."""

from __future__ import annotations

import argparse
import os
import signal
import threading

from lipsync.monitor import Monitor


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Does the tasks of the service, one after the other, until SIGTERM or Ctrl-C; then the one in hand "
        "is handed back. Settings come from LIPSYNC_* in the environment, or from a file .env."
    )
    parser.add_argument("--debug", action="store_true", help="show where an unexpected failure comes from")
    parser.add_argument("--until-parent-ends", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    from lipsync.cli.runtime import started

    with started() as settings:
        if settings.gpu is not None:
            # Read when a runtime is loaded, which is later; counted as nvidia-smi counts.
            os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(settings.gpu)}
        from lipsync.worker.run import run_worker

        if options.until_parent_ends:
            threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
        run_worker(settings)
    return 0


def _end_with_parent() -> None:
    """Standard input is a pipe whose other end the parent holds: it ends when the parent does, however that ends."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
