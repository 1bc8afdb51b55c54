"""Addresses of servers, as settings give them."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_server(address: str) -> bool:
    """Whether this is ``http[s]://host[:port][/path]`` and nothing more: no credentials, no query."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    more = parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not more
