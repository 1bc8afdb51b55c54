"""Signed links: HMAC-SHA256 (RFC 2104) over key and expiry."""

from __future__ import annotations

import hashlib
import hmac

PURPOSE = "lipsync file"  # separates these signatures from others with the same secret


def sign_link(key: str, expires: int, secret: str) -> str:
    """Sign a link to ``key`` that expires at ``expires``, seconds since 1970 (UTC); returns hexadecimal."""
    message = f"{PURPOSE}\n{expires}\n{key}".encode("utf-8", "surrogatepass")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def verify_link(key: str, expires: int, token: str, secret: str, now: float) -> bool:
    """Whether the signature is valid and the link has not expired at ``now``; compares in constant time."""
    valid = hmac.compare_digest(sign_link(key, expires, secret).encode(), token.encode("utf-8", "surrogatepass"))
    return valid and now < expires
