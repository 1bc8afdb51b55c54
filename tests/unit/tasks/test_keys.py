"""API keys."""

from __future__ import annotations

from sqlalchemy import text

from lipsync.tasks.database import open_database


def test_a_key_is_found_by_its_secret(store, now):
    key_id, secret = store.create_key("ci", ["tasks:write", "tasks:read"], now)
    key = store.find_key(secret)
    assert (key.id, key.name, key.scopes) == (key_id, "ci", ("tasks:read", "tasks:write"))
    assert (key.created_at, key.revoked_at) == (now, None)
    assert secret.startswith(f"{key.prefix}_")
    assert len(secret) == len(f"lsk_{key_id}_") + 43


def test_nothing_else_finds_a_key(store, now):
    key_id, secret = store.create_key("ci", [], now)
    for wrong in ("", "lsk_", key_id, f"lsk_{key_id}_", secret[:-1], f"{secret}x", secret.upper(), "\ud800", "\x00"):
        assert store.find_key(wrong) is None


def test_a_revoked_key_is_not_found(store, now):
    key_id, secret = store.create_key("ci", [], now)
    assert store.revoke_key(key_id, now)
    assert store.find_key(secret) is None
    assert not store.revoke_key(key_id, now)
    assert not store.revoke_key("nonsense", now)
    assert [key.revoked_at for key in store.list_keys()] == [now]


def test_the_secret_is_not_stored(url, store, now):
    _, secret = store.create_key("ci", ["a"], now)
    with open_database(url) as engine, engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM api_keys"))
    assert secret.split("_", 2)[2] not in repr(row)
