"""Validation of base URLs in settings."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_base_url(address: str) -> bool:
    """Whether this is ``http[s]://host[:port][/path]``, without credentials, query or fragment."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    extra = parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not extra
