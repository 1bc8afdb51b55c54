"""What a person sees of a running job."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from lipsync.monitor import Progress

REDRAW = 0.1  # seconds between two looks of the bar
LINES = 10.0  # seconds between two lines where there is no terminal
BAR = 24
STAGES = {
    "listen": "listening",
    "track": "finding the face",
    "render": "moving the mouth",
    "enhance": "enhancing",
    "offsets": "copying with other offsets",
    "download": "downloading",
    "check": "checking",
    "convert": "converting",
    "fetch": "fetching",
    "upload": "uploading",
}
IN_BYTES = ("download", "check", "fetch", "upload")
MEGABYTE = 1e6


class Display:
    """Progress on a stream: a bar that redraws itself on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._stage = ""
        self._drawn = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.total is not None and progress.done >= progress.total
        changed = progress.stage != self._stage
        if not (changed or finished) and now - self._drawn < (REDRAW if self._terminal else LINES):
            return
        if not self._terminal and finished and not changed:
            return
        self._stage, self._drawn = progress.stage, now
        self._draw(describe(progress))

    def clear(self) -> None:
        """Take the bar off the screen."""
        if self._terminal and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self, line: str) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def describe(progress: Progress) -> str:
    """One line: the stage, a bar, how much of how much, rate and time left."""
    name = STAGES.get(progress.stage, progress.stage)
    if progress.stage == "listen":
        return name
    total = progress.total or 0
    filled = min(BAR, BAR * progress.done // total) if total else 0
    bar = "█" * filled + "·" * (BAR - filled)
    return f"{name:<17} {bar} {_amount(progress)}"


def _amount(progress: Progress) -> str:
    left = progress.seconds_left
    time_left = "" if left is None else f"  {int(left) // 60}:{int(left) % 60:02d} left"
    if progress.stage == "convert":  # steps of unlike length, which foretell nothing
        return f"step {progress.done} of {progress.total or '?'}"
    if progress.stage in IN_BYTES:
        total = "?" if progress.total is None else f"{progress.total / MEGABYTE:.1f}"
        return f"{progress.done / MEGABYTE:.1f}/{total} MB  {progress.rate / MEGABYTE:.1f} MB/s{time_left}"
    return f"{progress.done}/{progress.total or '?'} frames  {progress.rate:.0f} frames/s{time_left}"
