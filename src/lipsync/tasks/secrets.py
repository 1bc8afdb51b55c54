"""Secrets that are made of the service's own, each for one thing: who learns one can forge nothing else with it.

Each is an HMAC-SHA256 (RFC 2104), keyed with the service's secret, of what it is for.
"""

from __future__ import annotations

import hashlib
import hmac

from lipsync.errors import SettingInvalid

LINKS, WEBHOOKS = "links", "webhooks:"
MARK = "whsec_"  # what scanners for leaked secrets look for


def link_secret(secret: str) -> str:
    """What signs links to local results; it stays in the service. Raises SettingInvalid if there is no secret."""
    return _derived(secret, LINKS)


def webhook_secret(secret: str, key_id: str | None) -> str:
    """What signs the calls about an API key's tasks, for the key's owner; None: about those made without a key.

    Raises SettingInvalid if there is no secret.
    """
    return MARK + _derived(secret, WEBHOOKS + (key_id or ""))


def check_secret(secret: str) -> None:
    """Raise SettingInvalid if it is empty: everybody can sign with that."""
    if not secret:
        raise SettingInvalid("secret: nothing can be signed without one (LIPSYNC_SECRET)")


def _derived(secret: str, purpose: str) -> str:
    check_secret(secret)
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
