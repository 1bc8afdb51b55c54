"""Secrets derived from the service's root secret."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from lipsync.errors import SettingInvalid
from lipsync.tasks.secrets import link_secret, webhook_secret

SECRET = "geheim"


def digest(purpose: bytes) -> str:
    return hmac.new(b"geheim", purpose, hashlib.sha256).hexdigest()


def test_secrets_are_derived_as_documented():
    assert link_secret(SECRET) == digest(b"links")
    assert webhook_secret(SECRET, "0123456789ab") == f"whsec_{digest(b'webhooks:0123456789ab')}"
    assert webhook_secret(SECRET, None) == f"whsec_{digest(b'webhooks:')}"


def test_derived_secrets_differ_and_none_reveals_the_root_secret():
    derived = [link_secret(SECRET), *(webhook_secret(SECRET, key_id) for key_id in ("k1", "k2", None))]
    assert len({secret.removeprefix("whsec_") for secret in derived}) == len(derived)
    assert not any(SECRET in secret for secret in derived)
    assert webhook_secret("other", "k1") != webhook_secret(SECRET, "k1")


def test_an_empty_root_secret_is_refused():
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        link_secret("")
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        webhook_secret("", "k1")
