"""Progress display of a running job: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from lipsync.monitor import Progress

REDRAW_INTERVAL = 0.1  # seconds, on a terminal
LINE_INTERVAL = 10.0  # seconds, elsewhere
BAR_CHARS = 24
STAGES = {
    "analyse": "analysing audio",
    "study": "studying the person",
    "track": "tracking faces",
    "render": "rendering",
    "enhance": "enhancing",
    "offsets": "writing copies",
    "download": "downloading",
    "check": "verifying",
    "convert": "converting",
    "fetch": "downloading",
    "upload": "uploading",
}
BYTE_STAGES = ("download", "check", "fetch", "upload")
MEGABYTE = 1e6


class Display:
    """Progress callback that writes to a stream (default: standard error)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._stage = ""
        self._drawn = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.total is not None and progress.done >= progress.total
        changed = progress.stage != self._stage
        interval = REDRAW_INTERVAL if self._terminal else LINE_INTERVAL
        if not (changed or finished) and now - self._drawn < interval:
            return
        if not self._terminal and finished and not changed:
            return
        self._stage, self._drawn = progress.stage, now
        self._draw(describe(progress))

    def clear(self) -> None:
        """Erase the bar from the terminal."""
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
    """Format one line: stage, bar, amount, rate and time left."""
    name = STAGES.get(progress.stage, progress.stage)
    if progress.stage == "analyse":
        return name
    total = progress.total or 0
    filled = min(BAR_CHARS, BAR_CHARS * progress.done // total) if total else 0
    bar = "█" * filled + "·" * (BAR_CHARS - filled)
    return f"{name:<17} {bar} {_amount(progress)}"


def _amount(progress: Progress) -> str:
    left = progress.seconds_left
    time_left = "" if left is None else f"  {int(left) // 60}:{int(left) % 60:02d} left"
    if progress.stage == "convert":  # steps differ in length, so a rate would mislead
        return f"step {progress.done} of {progress.total or '?'}"
    if progress.stage in BYTE_STAGES:
        total = "?" if progress.total is None else f"{progress.total / MEGABYTE:.1f}"
        return f"{progress.done / MEGABYTE:.1f}/{total} MB  {progress.rate / MEGABYTE:.1f} MB/s{time_left}"
    return f"{progress.done}/{progress.total or '?'} frames  {progress.rate:.0f} frames/s{time_left}"
