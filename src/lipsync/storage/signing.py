"""Signed links: HMAC-SHA256 (RFC 2104) over what is linked to and until when."""

from __future__ import annotations

import hashlib
import hmac

PURPOSE = "lipsync file"  # so that a signature made for anything else with the same secret is none for a file


def sign(key: str, expires: int, secret: str) -> str:
    """The signature in hexadecimal of a link to ``key`` that is good until ``expires``, seconds since 1970 (UTC)."""
    message = f"{PURPOSE}\n{expires}\n{key}".encode("utf-8", "surrogatepass")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def verify(key: str, expires: int, token: str, secret: str, now: float) -> bool:
    """Whether the signature is ours and the link still good at ``now``; takes as long for any wrong signature."""
    right = hmac.compare_digest(sign(key, expires, secret).encode(), token.encode("utf-8", "surrogatepass"))
    return right and now < expires
