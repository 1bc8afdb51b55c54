"""How much video memory is in use on an NVIDIA card, as told by NVML, the library that comes with its driver.

NVML is asked through ctypes: five functions do not need a package, and a machine without a card needs nothing at all.
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

EVERY = 0.5  # seconds between two looks
PATIENCE = 5.0  # seconds for a driver that hangs, at the end
LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class VideoMemory:
    """Bytes in use on the whole card, by whomever: the most and the mean while it was watched; ``total``: its size."""

    peak: int
    mean: int
    total: int


class VideoMemoryWatch:
    """Looks in a thread for as long as the ``with`` lasts; ``seen`` is None where there is nothing to be seen.

    ``gpu``: the card's number as NVML counts, in the order of the bus; None: the first. Raises nothing: why there is
    nothing to be seen stands in the log, as one line of level debug.
    """

    def __init__(self, gpu: int | None = None, library: str = LIBRARY, every: float = EVERY) -> None:
        self._gpu, self._library, self._every = gpu or 0, library, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="video memory", daemon=True)
        self.seen: VideoMemory | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(PATIENCE)  # a driver in trouble may never answer; that is no reason to lose the task

    def _watch(self) -> None:
        try:
            with _opened(self._library) as nvml:
                self._look(nvml)
        except _NothingSeen as exc:
            logging.getLogger(__name__).debug("video memory is not watched: %s", exc)

    def _look(self, nvml: _Nvml) -> None:
        card, peak, sum_of_all, looks, ended = nvml.card(self._gpu), 0, 0, 0, False
        while True:
            used, total = nvml.memory(card)
            peak, sum_of_all, looks = max(peak, used), sum_of_all + used, looks + 1
            self.seen = VideoMemory(peak, sum_of_all // looks, total)
            if ended:
                return
            ended = self._ended.wait(self._every)


class _NothingSeen(Exception):
    """There is no library, no card, or it does not tell."""


class _Memory(ctypes.Structure):
    """NVML's nvmlMemory_t: bytes."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Nvml:
    """The functions of NVML that are needed; all raise _NothingSeen."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        try:
            code = int(getattr(self._library, name)(*arguments))
        except AttributeError as exc:
            raise _NothingSeen(f"the library has no {name}") from exc
        if code:
            raise _NothingSeen(f"{name} gave error {code}")

    def card(self, gpu: int) -> ctypes.c_void_p:
        card = ctypes.c_void_p()
        self.call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(gpu), ctypes.byref(card))
        return card

    def memory(self, card: ctypes.c_void_p) -> tuple[int, int]:
        """Bytes in use, and the card's size."""
        memory = _Memory()
        self.call("nvmlDeviceGetMemoryInfo", card, ctypes.byref(memory))
        return int(memory.used), int(memory.total)


@contextmanager
def _opened(library: str) -> Iterator[_Nvml]:
    try:
        nvml = _Nvml(ctypes.CDLL(library))
    except OSError as exc:
        raise _NothingSeen(" ".join(str(exc).split())) from exc
    nvml.call("nvmlInit_v2")
    try:
        yield nvml
    finally:
        nvml.call("nvmlShutdown")
