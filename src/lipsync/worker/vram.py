"""Measure the video memory in use on an NVIDIA card through NVML, the library that ships with the driver.

NVML is called through ctypes: five functions do not justify a dependency, and a machine without a card needs nothing.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

from lipsync.errors import one_line

POLL_INTERVAL = 0.5  # seconds
JOIN_TIMEOUT = 5.0  # seconds
LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class VideoMemory:
    """Bytes in use on the whole card, by all processes: peak and mean of the samples; ``total``: the card's size."""

    peak: int
    mean: int
    total: int


class VideoMemoryWatch:
    """Samples video memory in a thread while the ``with`` block runs; ``usage`` is None if nothing can be measured.

    ``gpu``: index of the card in NVML's order (by PCI bus); None: the first. Raises nothing: the reason why nothing
    can be measured is logged at level DEBUG.
    """

    def __init__(self, gpu: int | None = None, library: str = LIBRARY, interval: float = POLL_INTERVAL) -> None:
        self._gpu, self._library, self._interval = gpu or 0, library, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="video memory", daemon=True)
        self.usage: VideoMemory | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(JOIN_TIMEOUT)  # a faulty driver may never return, which must not cost the task

    def _watch(self) -> None:
        try:
            with _open_nvml(self._library) as nvml:
                self._sample(nvml)
        except _NvmlUnavailable as exc:
            logging.getLogger(__name__).debug("video memory is not measured: %s", exc)

    def _sample(self, nvml: _Nvml) -> None:
        card, peak, used_sum, count, ended = nvml.card(self._gpu), 0, 0, 0, False
        while True:
            used, total = nvml.memory(card)
            peak, used_sum, count = max(peak, used), used_sum + used, count + 1
            self.usage = VideoMemory(peak, used_sum // count, total)
            if ended:
                return
            ended = self._ended.wait(self._interval)


class _NvmlUnavailable(Exception):
    """The library or the card is missing, or a call failed."""


class _Memory(ctypes.Structure):
    """NVML's ``nvmlMemory_t``, in bytes."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Nvml:
    """The NVML functions in use; all raise _NvmlUnavailable."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        try:
            code = int(getattr(self._library, name)(*arguments))
        except AttributeError as exc:
            raise _NvmlUnavailable(f"the library has no {name}") from exc
        if code:
            raise _NvmlUnavailable(f"{name} returned error {code}")

    def card(self, gpu: int) -> ctypes.c_void_p:
        card = ctypes.c_void_p()
        self.call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(gpu), ctypes.byref(card))
        return card

    def memory(self, card: ctypes.c_void_p) -> tuple[int, int]:
        """Bytes in use and the size of the card."""
        memory = _Memory()
        self.call("nvmlDeviceGetMemoryInfo", card, ctypes.byref(memory))
        return int(memory.used), int(memory.total)


@contextmanager
def _open_nvml(library: str) -> Iterator[_Nvml]:
    try:
        nvml = _Nvml(ctypes.CDLL(library))
    except OSError as exc:
        raise _NvmlUnavailable(one_line(exc)) from exc
    nvml.call("nvmlInit_v2")
    try:
        yield nvml
    finally:
        nvml.call("nvmlShutdown")
