"""API keys: the secret is shown once, and only its digest is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from lipsync.tasks.database import Database
from lipsync.tasks.rows import key_of
from lipsync.tasks.tables import KeyRow
from lipsync.tasks.task import Key

KEY_PREFIX = "lsk"  # recognisable to scanners for leaked secrets


class Keys(Database):
    """A secret reads ``lsk_<id>_<43 characters>``: a public id, then 256 random bits."""

    def create_key(self, name: str, scopes: Iterable[str], now: datetime) -> tuple[str, str]:
        """Create a key; returns its id and its secret, which cannot be retrieved later."""
        key_id = secrets.token_hex(6)
        prefix = f"{KEY_PREFIX}_{key_id}"
        secret = f"{prefix}_{secrets.token_urlsafe(32)}"
        row = KeyRow(
            id=key_id, name=name, prefix=prefix, digest=_digest(secret), scopes=sorted(set(scopes)), created_at=now
        )
        with self._writing() as session:
            session.add(row)
        return key_id, secret

    def find_key(self, secret: str) -> Key | None:
        """The key with this secret unless it was revoked; secrets are compared in constant time."""
        key_id = secret.removeprefix(f"{KEY_PREFIX}_").partition("_")[0]
        with self._reading() as session:
            row = session.get(KeyRow, key_id)
        stored = "" if row is None else row.digest
        same = hmac.compare_digest(stored.ljust(64), _digest(secret))
        return key_of(row) if same and row is not None and row.revoked_at is None else None

    def revoke_key(self, key_id: str, now: datetime) -> bool:
        """Revoke a key; returns False if it does not exist or was revoked before."""
        with self._writing() as session:
            row = session.get(KeyRow, key_id, with_for_update=True)
            if row is None or row.revoked_at is not None:
                return False
            row.revoked_at = now
            return True

    def list_keys(self) -> Sequence[Key]:
        """All keys, including revoked ones, oldest first."""
        with self._reading() as session:
            return [key_of(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
