"""Web addresses: strict parsing, and redaction for messages and logs."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from lipsync.errors import AddressForbidden, OptionInvalid

PORTS = {"http": 80, "https": 443}
MAX_CHARS = 8192
MAX_REDACTED_CHARS = 200
MAX_HOST_CHARS = 253
SAFE = "!#$%&'()*+,/:;=?@[]~"  # left unquoted in an address
INVALID = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
AUTHORITY = re.compile(r"(\[[^\[\]]+\]|[^\[\]:@]+)(:[0-9]*)?")  # host and port
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Address:
    """Parsed http or https address. ``host``: lower-case ASCII, without a trailing dot or brackets.

    ``target``: path and query of the request; ``authorization``: value of the header. Text and repr hide the query and
    the credentials.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Value of the Host header; the port only if it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Address without credentials. Keep it out of messages: the query may hold a signature."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def __str__(self) -> str:
        return redact(self.url)


def parse(text: str) -> Address:
    """Parse an http or https address. Raises OptionInvalid, AddressForbidden."""
    source = redact(text)
    if len(text) > MAX_CHARS or INVALID.search(text):
        raise OptionInvalid(f"{source}: too long, or contains characters that addresses cannot have")
    parts, port = _split(text)
    if parts is None or parts.scheme not in PORTS:
        raise OptionInvalid(f"{source}: not an http or https address")
    authority = parts.netloc.partition("@")[2] if "@" in parts.netloc else parts.netloc
    if not parts.hostname or not AUTHORITY.fullmatch(authority) or port == 0:
        raise OptionInvalid(f"{source}: no valid host")
    host = _host(parts.hostname, source)
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=SAFE)
    return Address(parts.scheme, host, port or PORTS[parts.scheme], target, _authorization(parts))


def redact(text: str) -> str:
    """Strip credentials, query and fragment from an address, for messages; one line of limited length."""
    head, separator, _ = text.partition("://")
    if not separator:
        return "the address" if "@" in text else _line(re.split(r"[?#]", text)[0]) or "the address"
    parts, _ = _split(text)
    scheme = _line(head)
    # A slash or question mark in a password ends the host early; the rest would appear as the path.
    if parts is None or (":" in parts.netloc and "@" in text.split(parts.netloc, 1)[-1]):
        return f"{scheme}://..."
    query = "?..." if parts.query else ""
    return _line(f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}") + query


def _line(text: str) -> str:
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= MAX_REDACTED_CHARS else f"{line[:MAX_REDACTED_CHARS]}..."


def _split(text: str) -> tuple[SplitResult | None, int | None]:
    """Split an address; None if invalid. The standard library's messages are dropped: they quote the password."""
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError:
        return None, None


def _host(raw: str, source: str) -> str:
    if "%" in raw:
        raise AddressForbidden(f"{source}: IPv6 zone identifiers are not allowed")
    if ":" in raw:
        ipv6 = _ipv6(raw)
        if ipv6 is None:
            raise OptionInvalid(f"{source}: the host is not a valid IPv6 address")
        return ipv6
    name = host_name(raw)
    if name is None:
        raise OptionInvalid(f"{source}: the host is not a valid name or address")
    # Some resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1, others as other hosts.
    if NUMBER.fullmatch(name.rpartition(".")[2]) and not _is_ipv4(name):
        raise AddressForbidden(f"{source}: a numeric host must have four plain decimal parts")
    return name


def host_name(raw: str) -> str | None:
    """Normalise a host name: ASCII (IDNA), lower case, no trailing dot; None if invalid."""
    if len(raw) > MAX_HOST_CHARS:
        return None
    try:
        name = raw.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    name = name.removesuffix(".")
    return name if len(name) <= MAX_HOST_CHARS and NAME.fullmatch(name) else None


def _ipv6(raw: str) -> str | None:
    try:
        return IPv6Address(raw).compressed
    except ValueError:
        return None


def _is_ipv4(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


def _authorization(parts: SplitResult) -> str | None:
    """Basic authentication (RFC 7617) from the user information of the address."""
    if "@" not in parts.netloc:
        return None
    user, password = unquote_to_bytes(parts.username or ""), unquote_to_bytes(parts.password or "")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")
