"""Web addresses: taken apart strictly, and shown without what is secret in them."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from lipsync.errors import AddressForbidden, OptionInvalid

PORTS = {"http": 80, "https": 443}
LONGEST = 8192  # characters of an address
LONGEST_SHOWN = 200
LONGEST_NAME = 253
SAFE = "!#$%&'()*+,/:;=?@[]~"  # what stands for itself in an address that was written down already
UNWRITABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
PLACE = re.compile(r"(\[[^\[\]]+\]|[^\[\]:@]+)(:[0-9]*)?")  # host and port
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Address:
    """One place on the web. ``host`` is lower case, in ASCII, without a dot at its end and without brackets.

    ``target`` is what the server is asked for, path and query; ``authorization`` the header that goes with it. Neither
    the query nor the credentials show in its text or repr.
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
        """Host and port as they stand in an address and in the Host header: the port only if it is unusual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address but for the credentials. Not to be shown: the query may hold a signature."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def __str__(self) -> str:
        return redact(self.url)


def parse(text: str) -> Address:
    """Take an http or https address apart. Raises OptionInvalid, AddressForbidden."""
    shown = redact(text)
    if len(text) > LONGEST or UNWRITABLE.search(text):
        raise OptionInvalid(f"{shown}: too long for an address, or with signs in it that no address has")
    parts, port = _split(text)
    if parts is None or parts.scheme not in PORTS:
        raise OptionInvalid(f"{shown}: not an http or https address")
    place = parts.netloc.partition("@")[2] if "@" in parts.netloc else parts.netloc
    if not parts.hostname or not PLACE.fullmatch(place) or port == 0:
        raise OptionInvalid(f"{shown}: there is no host in it that could be asked")
    host = _host(parts.hostname, shown)
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=SAFE)
    return Address(parts.scheme, host, port or PORTS[parts.scheme], target, _authorization(parts))


def redact(text: str) -> str:
    """The address as it may be shown: without credentials, query and fragment, on one line, and not endless."""
    head, separator, _ = text.partition("://")
    if not separator:
        return "the address" if "@" in text else _line(re.split(r"[?#]", text)[0]) or "the address"
    parts, _ = _split(text)
    scheme = _line(head)
    # A password with a slash or a question mark in it ends the host too early and would be shown as path.
    if parts is None or (":" in parts.netloc and "@" in text.split(parts.netloc, 1)[-1]):
        return f"{scheme}://..."
    query = "?..." if parts.query else ""
    return _line(f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}") + query


def _line(text: str) -> str:
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def _split(text: str) -> tuple[SplitResult | None, int | None]:
    """The parts and the port. What is wrong is not told: the standard library's words quote the password."""
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError:
        return None, None


def _host(raw: str, shown: str) -> str:
    if "%" in raw:
        raise AddressForbidden(f"{shown}: addresses with a zone are not asked")
    if ":" in raw:
        six = _ipv6(raw)
        if six is None:
            raise OptionInvalid(f"{shown}: the host is not an IPv6 address")
        return six
    name = host_name(raw)
    if name is None:
        raise OptionInvalid(f"{shown}: the host is not a name or an address")
    # 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some resolvers and other machines to the rest.
    if NUMBER.fullmatch(name.rpartition(".")[2]) and not _is_ipv4(name):
        raise AddressForbidden(f"{shown}: a number as host is asked only as four plain decimal ones")
    return name


def host_name(raw: str) -> str | None:
    """The name as it is looked up: ASCII (IDNA), lower case, no dot at its end; None if it is none."""
    if len(raw) > LONGEST_NAME:
        return None
    try:
        name = raw.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    name = name.removesuffix(".")
    return name if len(name) <= LONGEST_NAME and NAME.fullmatch(name) else None


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
    """Basic authentication (RFC 7617) from what stands before the host."""
    if "@" not in parts.netloc:
        return None
    user, password = unquote_to_bytes(parts.username or ""), unquote_to_bytes(parts.password or "")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")
