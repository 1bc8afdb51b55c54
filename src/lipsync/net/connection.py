"""Connections to checked addresses: resolve a host once, connect, send a request, never block past the deadline."""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPResponse
from typing import TypeVar, cast

from lipsync.errors import FetchFailed, OptionInvalid
from lipsync.net.deadline import POLL_INTERVAL, Deadline
from lipsync.net.policy import check_addresses, literal_address
from lipsync.net.transport import RequestContext
from lipsync.net.url import Address

T = TypeVar("T")

BUFFER_BYTES = 1 << 16
CONNECTING = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


class Connection(io.RawIOBase):
    """Non-blocking socket as a raw file; every wait is bounded by a Deadline. Raises OSError, Cancelled."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own private type
        count = self._retry(lambda: self._sock.recv_into(buffer), selectors.EVENT_READ)
        self._deadline.add_bytes(count)
        return count

    def send(self, content: bytes) -> None:
        """Send all of ``content``."""
        while content:
            count = self._retry(partial(self._sock.send, content), selectors.EVENT_WRITE)
            content = content[count:]

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Switch to TLS and verify that the server's certificate is valid for ``host``."""
        secured = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._sock = secured
        self._retry(secured.do_handshake, selectors.EVENT_READ)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a buffered reader, which is all that http.client needs of a socket; closing it closes this."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def close(self) -> None:
        self._sock.close()
        super().close()

    def _retry(self, operation: Callable[[], T], event: int) -> T:
        while True:
            self._deadline.check()
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE)
            except BlockingIOError:
                self._wait(event)

    def _wait(self, event: int) -> None:
        start = time.monotonic()
        _is_ready(self._sock, event)
        self._deadline.add_wait(time.monotonic() - start)


@contextmanager
def send_request(
    address: Address, method: str, headers: Mapping[str, str], context: RequestContext, body: bytes = b""
) -> Iterator[HTTPResponse]:
    """Send one HTTP/1.1 request and yield the response, with its head read; the connection closes on leaving.

    The host is resolved once, checked, and connected to by IP address, so that a second lookup cannot lead elsewhere.
    Raises AddressForbidden, FetchFailed, OptionInvalid, OSError, http.client.HTTPException, Cancelled.
    """
    message = _message(address, method, headers, body)
    with ExitStack() as stack:
        ips = resolve(address, context)
        connection = stack.enter_context(closing(connect(address, ips, context.transport.tls, context.deadline)))
        connection.send(message)
        context.deadline.restart()
        # Of a socket, HTTPResponse needs makefile() alone.
        response = stack.enter_context(closing(HTTPResponse(cast(socket.socket, connection), method=method)))
        response.begin()
        context.deadline.restart()
        yield response


def resolve(address: Address, context: RequestContext) -> tuple[str, ...]:
    """Look up the host's IP addresses and check them. Raises AddressForbidden, FetchFailed, Cancelled."""
    allowed, resolver = context.limits.allowed_hosts, context.transport.resolver
    literal = literal_address(address.host)
    if literal is not None:
        return check_addresses(address, (literal,), allowed)
    try:
        found = context.deadline.run_blocking(lambda: resolver(address.host, address.port))
    except OSError as exc:
        message = f"{context.source}: cannot resolve host {address.host}: {exc.strerror or exc}"
        raise FetchFailed(message) from exc
    return check_addresses(address, found, allowed)


def connect(address: Address, ips: Sequence[str], tls: ssl.SSLContext | None, deadline: Deadline) -> Connection:
    """Connect to the first IP address that accepts. Raises OSError, Cancelled."""
    deadline.restart()
    error = OSError("the host has no address")
    for ip in ips:
        try:
            sock = _connect_socket(ip, address.port, deadline.idle_timeout / len(ips), deadline)
        except OSError as exc:
            error = exc
            continue
        with ExitStack() as stack:
            connection = stack.enter_context(Connection(sock, deadline))
            deadline.restart()
            if address.scheme == "https":
                connection.start_tls(_strict(tls or ssl.create_default_context()), address.host)
            stack.pop_all()
            return connection
    raise error


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    """Raise an error if a connection ends without TLS's closing message; Python before 3.11.4 ignores that."""
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def _connect_socket(ip: str, port: int, timeout: float, deadline: Deadline) -> socket.socket:
    """Open a non-blocking connected socket within ``timeout`` seconds."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        code = sock.connect_ex((ip, port))
        if code not in CONNECTING:
            raise OSError(code, os.strerror(code))
        end = time.monotonic() + timeout
        while not _is_ready(sock, selectors.EVENT_WRITE):
            deadline.add_wait(POLL_INTERVAL)
            if time.monotonic() > end:
                raise TimeoutError("connection timed out")
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        stack.pop_all()
        return sock


def _is_ready(sock: socket.socket, event: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        return bool(selector.select(POLL_INTERVAL))


def _message(address: Address, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "Host": address.authority,
        "User-Agent": "lipsync",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    if address.authorization is not None:
        fields["Authorization"] = address.authorization
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise OptionInvalid(f"{address}: a request header contains characters that headers cannot have")
    return "\r\n".join([f"{method} {address.target} HTTP/1.1", *lines, "", ""]).encode("ascii") + body
