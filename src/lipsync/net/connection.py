"""A connection to a machine that was checked, on which nothing waits longer than it may."""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from lipsync.net.deadline import SLICE, Deadline
from lipsync.net.url import Address

T = TypeVar("T")

BUFFER = 1 << 16
UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


class Connection(io.RawIOBase):
    """A socket as a raw file that never blocks for longer than a slice. Raises OSError, Cancelled."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._patience = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own private type
        count = self._persist(lambda: self._sock.recv_into(buffer), selectors.EVENT_READ)
        self._patience.came(count)
        return count

    def send(self, content: bytes) -> None:
        """Send all of it."""
        while content:
            count = self._persist(partial(self._sock.send, content), selectors.EVENT_WRITE)
            content = content[count:]

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on, with a server that proves to be ``host``."""
        secured = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._sock = secured
        self._persist(secured.do_handshake, selectors.EVENT_READ)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket; closing that closes this."""
        return io.BufferedReader(self, BUFFER)

    def close(self) -> None:
        self._sock.close()
        super().close()

    def _persist(self, step: Callable[[], T], event: int) -> T:
        while True:
            self._patience.check()
            try:
                return step()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE)
            except BlockingIOError:
                self._wait(event)

    def _wait(self, event: int) -> None:
        began = time.monotonic()
        _ready(self._sock, event)
        self._patience.waited(time.monotonic() - began)


def connect(address: Address, resolve: Sequence[str], tls: ssl.SSLContext | None, deadline: Deadline) -> Connection:
    """Connect to the first of the machines that answers. Raises OSError, Cancelled."""
    deadline.begin()
    problem = OSError("there is no machine of that name")
    for machine in resolve:
        try:
            sock = _open(machine, address.port, deadline.seconds / len(resolve), deadline)
        except OSError as exc:
            problem = exc
            continue
        with ExitStack() as stack:
            wire = stack.enter_context(Connection(sock, deadline))
            deadline.begin()
            if address.scheme == "https":
                wire.secure(tls or ssl.create_default_context(), address.host)
            stack.pop_all()
            return wire
    raise problem


def _open(machine: str, port: int, share: float, deadline: Deadline) -> socket.socket:
    """A connected socket that does not block, within its ``share`` of the patience in seconds."""
    family = socket.AF_INET6 if ":" in machine else socket.AF_INET
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        code = sock.connect_ex((machine, port))
        if code not in UNDER_WAY:
            raise OSError(code, os.strerror(code))
        ends = time.monotonic() + share
        while not _ready(sock, selectors.EVENT_WRITE):
            deadline.waited(SLICE)
            if time.monotonic() > ends:
                raise TimeoutError("no connection")
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        stack.pop_all()
        return sock


def _ready(sock: socket.socket, event: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        return bool(selector.select(SLICE))
