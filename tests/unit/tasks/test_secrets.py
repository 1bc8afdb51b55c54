"""Secrets that are made of the service's own."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from lipsync.errors import SettingInvalid
from lipsync.tasks.secrets import link_secret, webhook_secret

SECRET = "geheim"


def digest(purpose: bytes) -> str:
    return hmac.new(b"geheim", purpose, hashlib.sha256).hexdigest()


def test_each_is_made_as_the_documentation_says():
    assert link_secret(SECRET) == digest(b"links")
    assert webhook_secret(SECRET, "0123456789ab") == f"whsec_{digest(b'webhooks:0123456789ab')}"
    assert webhook_secret(SECRET, None) == f"whsec_{digest(b'webhooks:')}"


def test_each_is_another_one_and_none_shows_the_services_own():
    made = [link_secret(SECRET), *(webhook_secret(SECRET, key_id) for key_id in ("k1", "k2", None))]
    assert len({told.removeprefix("whsec_") for told in made}) == len(made)
    assert not any(SECRET in told for told in made)
    assert webhook_secret("other", "k1") != webhook_secret(SECRET, "k1")


def test_nothing_is_made_of_nothing():
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        link_secret("")
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        webhook_secret("", "k1")
