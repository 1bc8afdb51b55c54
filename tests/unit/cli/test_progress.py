from __future__ import annotations

import io

from lipsync.cli.progress import Display, describe
from lipsync.monitor import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_has_stage_frames_rate_and_time_left():
    line = describe(Progress("render", 100, 400, 4.0))
    assert "rendering" in line
    assert "100/400 frames" in line
    assert "25 frames/s" in line
    assert "0:12 left" in line
    assert line.count("█") * 3 == line.count("·")


def test_an_unknown_total():
    assert "7/? frames" in describe(Progress("track", 7, None, 1.0))


def test_files_are_measured_in_megabytes():
    line = describe(Progress("download", 109_000_000, 436_000_000, 10.0))
    assert "downloading" in line
    assert "109.0/436.0 MB  10.9 MB/s  0:30 left" in line
    assert "frames" not in line
    assert "step 2 of 6" in describe(Progress("convert", 2, 6, 1.0))


def test_a_terminal_gets_a_bar_that_is_erased():
    stream = Terminal()
    display = Display(stream)
    for done in (1, 2, 3, 400):
        display(Progress("render", done, 400, 1.0))
    display.clear()
    drawn = stream.getvalue()
    assert "\n" not in drawn
    assert drawn.count("frames/s") == 2  # the first and the last; the others were too early
    assert drawn.endswith("\r\x1b[K")


def test_a_log_gets_lines_and_no_control_characters():
    stream = io.StringIO()
    display = Display(stream)
    for stage in ("analyse", "track", "render"):
        for done in range(1, 100):
            display(Progress(stage, done, 99, 1.0))
    display.clear()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "\x1b" not in stream.getvalue()
