"""``lipsync keys``: create, list and revoke API keys."""

from __future__ import annotations

import argparse
import json
import sys

from lipsync.cli.runtime import add_action, service_settings, task_store
from lipsync.errors import TaskMissing
from lipsync.monitor import Monitor

SCOPES = ("tasks:read", "tasks:write", "admin")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Creates, lists and revokes API keys of the service."
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = add_action(actions, "create", run_create, "create an API key and print its secret once")
    create.add_argument("name", metavar="NAME", help="name shown in lists, such as the owner")
    create.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="scope to grant; repeatable (default: tasks:read and tasks:write)",
    )
    text = "print the secret that signs the webhooks of a key's tasks"
    secret = add_action(actions, "webhook-secret", run_webhook_secret, text)
    secret.add_argument("id", metavar="ID", nargs="?", help="key ID (default: that of a service without keys)")
    add_action(actions, "list", run_list, "list API keys")
    revoke = add_action(actions, "revoke", run_revoke, "revoke an API key")
    revoke.add_argument("id", metavar="ID", help="key ID, as shown by lipsync keys list")


def run_create(options: argparse.Namespace, monitor: Monitor) -> int:
    with service_settings() as settings:
        from lipsync.bootstrap import now, open_tasks, secret_of
        from lipsync.tasks.secrets import webhook_secret

        with open_tasks(settings) as store:
            root_secret = secret_of(settings)  # may fail, so before a key exists whose secret would never be shown
            key_id, secret = store.create_key(options.name, options.scope or SCOPES[:2], now())
        signing_secret = webhook_secret(root_secret, key_id)
    if options.json:
        print(json.dumps({"id": key_id, "secret": secret, "webhook_secret": signing_secret}))
    else:
        print(secret)
        notice = f"Store it now; it cannot be shown again. Send it as: Authorization: Bearer {secret[:8]}…"
        print(f"{notice}\nWebhooks of its tasks are signed with: {signing_secret}", file=sys.stderr)
    return 0


def run_webhook_secret(options: argparse.Namespace, monitor: Monitor) -> int:
    with service_settings() as settings:
        from lipsync.bootstrap import open_tasks, secret_of
        from lipsync.tasks.secrets import webhook_secret

        with open_tasks(settings) as store:
            if options.id is not None and options.id not in [key.id for key in store.list_keys()]:
                raise TaskMissing(f"API key {options.id} does not exist; see lipsync keys list")
        signing_secret = webhook_secret(secret_of(settings), options.id)
    print(json.dumps({"webhook_secret": signing_secret}) if options.json else signing_secret)
    return 0


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, _):
        keys = store.list_keys()
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": list(key.scopes),
            "created_at": key.created_at.isoformat(),
            "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        }
        for key in keys
    ]
    if options.json:
        print(json.dumps(rows))
        return 0
    for key in keys:
        state = "revoked" if key.revoked_at else "active"
        print(f"{key.id}  {state:<7}  {key.created_at:%Y-%m-%d}  {','.join(key.scopes):<22}  {key.name}")
    return 0


def run_revoke(options: argparse.Namespace, monitor: Monitor) -> int:
    with task_store() as (store, now):
        if not store.revoke_key(options.id, now):
            raise TaskMissing(f"API key {options.id} does not exist or is already revoked; see lipsync keys list")
    print(json.dumps({"revoked": options.id}) if options.json else f"{options.id}: revoked")
    return 0
