"""Video memory as NVML tells it: here a library with NVML's functions, compiled for the test."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lipsync.worker.vram import VideoMemory, VideoMemoryWatch

GIB = 1 << 30
# Two cards; the first has 1, 2, 3 ... GiB of 80 in use, each time it is asked; it fails from a given time on.
NVML = r"""
#include <stdlib.h>
#include <stdio.h>
typedef struct { unsigned long long total, free, used; } memory;
static int asked, cards[2];
static void note(const char *what) { FILE *f = fopen(NOTES, "a"); fputs(what, f); fclose(f); }
int nvmlInit_v2(void) { note("init "); return INIT; }
int nvmlShutdown(void) { note("shutdown "); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card) {
    if (index > 1) return 2;
    *card = &cards[index];
    return 0;
}
#ifndef OLD
int nvmlDeviceGetMemoryInfo(void *card, memory *told) {
    if (++asked > FAILS_AFTER) return 15;
    told->total = (card == &cards[0] ? 80ULL : 24ULL) << 30;
    told->used = (unsigned long long) asked << 30;
    told->free = told->total - told->used;
    return 0;
}
#endif
"""


@pytest.fixture
def nvml(tmp_path) -> Callable[..., str]:
    """The path of a library, compiled with those definitions."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc to compile a library that stands for NVML")

    def compiled(**definitions: object) -> str:
        source, library = tmp_path / "nvml.c", tmp_path / f"libnvml{len(list(tmp_path.iterdir()))}.so"
        source.write_text(NVML)
        told = {"INIT": 0, "FAILS_AFTER": 1000, "NOTES": f'"{notes(tmp_path)}"'} | definitions
        options = [f"-D{name}={value}" for name, value in told.items()]
        subprocess.run([compiler, "-shared", "-fPIC", *options, "-o", library, source], check=True, timeout=60)
        return str(library)

    return compiled


def notes(folder: Path) -> Path:
    return folder / "notes"


def test_the_most_the_mean_and_the_size_are_told(nvml, tmp_path):
    with VideoMemoryWatch(library=nvml(), every=0.05) as watch:
        time.sleep(0.5)
    seen = watch.seen
    assert seen is not None
    looks = seen.peak // GIB
    assert looks >= 3
    assert seen == VideoMemory(looks * GIB, sum(range(1, looks + 1)) * GIB // looks, 80 * GIB)
    assert notes(tmp_path).read_text() == "init shutdown "


def test_work_that_takes_no_time_is_seen_too(nvml):
    with VideoMemoryWatch(library=nvml(), every=60) as watch:
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert watch.seen is not None
    assert watch.seen.peak in (1 * GIB, 2 * GIB)


def test_the_card_that_was_chosen_is_watched(nvml):
    with VideoMemoryWatch(gpu=1, library=nvml()) as watch:
        pass
    assert watch.seen is not None
    assert watch.seen.total == 24 * GIB


@pytest.mark.parametrize(
    ("gpu", "definitions", "reason"),
    [
        (None, {"INIT": 9}, "nvmlInit_v2 gave error 9"),
        (7, {}, "nvmlDeviceGetHandleByIndex_v2 gave error 2"),
        (None, {"FAILS_AFTER": 0}, "nvmlDeviceGetMemoryInfo gave error 15"),
        (None, {"OLD": 1}, "the library has no nvmlDeviceGetMemoryInfo"),
    ],
)
def test_a_driver_that_does_not_tell_is_one_line_of_the_log(nvml, caplog, gpu, definitions, reason):
    library = nvml(**definitions)
    with caplog.at_level(logging.DEBUG, "lipsync"), VideoMemoryWatch(gpu=gpu, library=library) as watch:
        pass
    assert watch.seen is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", f"video memory is not watched: {reason}")
    ]


def test_a_machine_without_the_library_is_one_line_of_the_log(caplog, tmp_path):
    library = str(tmp_path / "libnvidia-ml.so.1")
    with caplog.at_level(logging.DEBUG, "lipsync"), VideoMemoryWatch(library=library) as watch:
        pass
    assert watch.seen is None
    (record,) = caplog.records
    assert (record.levelname, library in record.getMessage()) == ("DEBUG", True)


def test_a_card_that_is_lost_keeps_what_was_seen(nvml, tmp_path):
    with VideoMemoryWatch(library=nvml(FAILS_AFTER=2), every=0.05) as watch:
        time.sleep(0.4)
    assert watch.seen == VideoMemory(2 * GIB, 3 * GIB // 2, 80 * GIB)
    assert notes(tmp_path).read_text() == "init shutdown "
