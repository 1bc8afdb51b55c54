"""Video memory as reported by NVML: a library with its functions, compiled for the test."""

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
# Two cards; the first reports 1, 2, 3 ... GiB of 80 in use, call by call, and fails after a given number of calls.
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
int nvmlDeviceGetMemoryInfo(void *card, memory *info) {
    if (++asked > FAILS_AFTER) return 15;
    info->total = (card == &cards[0] ? 80ULL : 24ULL) << 30;
    info->used = (unsigned long long) asked << 30;
    info->free = info->total - info->used;
    return 0;
}
#endif
"""


@pytest.fixture
def nvml(tmp_path) -> Callable[..., str]:
    """Compile a library with those definitions; returns its path."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc to compile a substitute for NVML")

    def compiled(**definitions: object) -> str:
        source, library = tmp_path / "nvml.c", tmp_path / f"libnvml{len(list(tmp_path.iterdir()))}.so"
        source.write_text(NVML)
        macros = {"INIT": 0, "FAILS_AFTER": 1000, "NOTES": f'"{notes(tmp_path)}"'} | definitions
        options = [f"-D{name}={value}" for name, value in macros.items()]
        subprocess.run([compiler, "-shared", "-fPIC", *options, "-o", library, source], check=True, timeout=60)
        return str(library)

    return compiled


def notes(folder: Path) -> Path:
    return folder / "notes"


def test_peak_mean_and_size_are_measured(nvml, tmp_path):
    with VideoMemoryWatch(library=nvml(), interval=0.05) as watch:
        time.sleep(0.5)
    usage = watch.usage
    assert usage is not None
    count = usage.peak // GIB
    assert count >= 3
    assert usage == VideoMemory(count * GIB, sum(range(1, count + 1)) * GIB // count, 80 * GIB)
    assert notes(tmp_path).read_text() == "init shutdown "


def test_work_that_takes_no_time_is_measured_too(nvml):
    with VideoMemoryWatch(library=nvml(), interval=60) as watch:
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert watch.usage is not None
    assert watch.usage.peak in (1 * GIB, 2 * GIB)


def test_the_chosen_card_is_measured(nvml):
    with VideoMemoryWatch(gpu=1, library=nvml()) as watch:
        pass
    assert watch.usage is not None
    assert watch.usage.total == 24 * GIB


@pytest.mark.parametrize(
    ("gpu", "definitions", "reason"),
    [
        (None, {"INIT": 9}, "nvmlInit_v2 returned error 9"),
        (7, {}, "nvmlDeviceGetHandleByIndex_v2 returned error 2"),
        (None, {"FAILS_AFTER": 0}, "nvmlDeviceGetMemoryInfo returned error 15"),
        (None, {"OLD": 1}, "the library has no nvmlDeviceGetMemoryInfo"),
    ],
)
def test_a_driver_without_an_answer_is_one_line_of_the_log(nvml, caplog, gpu, definitions, reason):
    library = nvml(**definitions)
    with caplog.at_level(logging.DEBUG, "lipsync"), VideoMemoryWatch(gpu=gpu, library=library) as watch:
        pass
    assert watch.usage is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", f"video memory is not measured: {reason}")
    ]


def test_a_machine_without_the_library_is_one_line_of_the_log(caplog, tmp_path):
    library = str(tmp_path / "libnvidia-ml.so.1")
    with caplog.at_level(logging.DEBUG, "lipsync"), VideoMemoryWatch(library=library) as watch:
        pass
    assert watch.usage is None
    (record,) = caplog.records
    assert (record.levelname, library in record.getMessage()) == ("DEBUG", True)


def test_a_card_that_is_lost_keeps_its_samples(nvml, tmp_path):
    with VideoMemoryWatch(library=nvml(FAILS_AFTER=2), interval=0.05) as watch:
        time.sleep(0.4)
    assert watch.usage == VideoMemory(2 * GIB, 3 * GIB // 2, 80 * GIB)
    assert notes(tmp_path).read_text() == "init shutdown "
