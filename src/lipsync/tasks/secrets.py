"""Key derivation: one secret per purpose, so that a leaked one cannot sign anything else.

Each derived secret is the HMAC-SHA256 (RFC 2104) of its purpose, keyed with the service's root secret.
"""

from __future__ import annotations

import hashlib
import hmac

from lipsync.errors import SettingInvalid

LINKS, WEBHOOKS = "links", "webhooks:"
SECRET_PREFIX = "whsec_"  # recognisable to scanners for leaked secrets


def link_secret(secret: str) -> str:
    """The secret that signs links to local results. Raises SettingInvalid if the root secret is empty."""
    return _derive(secret, LINKS)


def webhook_secret(secret: str, key_id: str | None) -> str:
    """The secret that signs webhook calls about an API key's tasks; None: tasks created without a key.

    Raises SettingInvalid if the root secret is empty.
    """
    return SECRET_PREFIX + _derive(secret, WEBHOOKS + (key_id or ""))


def check_secret(secret: str) -> None:
    """Raise SettingInvalid if the root secret is empty, which anyone could sign with."""
    if not secret:
        raise SettingInvalid("LIPSYNC_SECRET is empty; signing needs a secret")


def _derive(secret: str, purpose: str) -> str:
    check_secret(secret)
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
