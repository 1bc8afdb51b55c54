"""``lipsync keys``: who may use the service."""

from __future__ import annotations

import argparse
import json

from lipsync.cli.runtime import add_action, opened, started
from lipsync.errors import TaskMissing
from lipsync.monitor import Monitor

SCOPES = ("tasks:read", "tasks:write", "admin")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "API keys of the service."
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = add_action(actions, "create", run_create, "make a key; its secret is shown once")
    create.add_argument("name", metavar="NAME", help="whose it is, for the list")
    create.add_argument("--scope", action="append", choices=SCOPES, help="may be given more than once (both tasks:…)")
    told = "what signs the webhook calls about a key's tasks, for their receiver"
    secret = add_action(actions, "webhook-secret", run_webhook_secret, told)
    secret.add_argument("id", metavar="ID", nargs="?", help="without: about the tasks of a service that wants no keys")
    add_action(actions, "list", run_list, "tell which keys there are")
    revoke = add_action(actions, "revoke", run_revoke, "a key is good no more")
    revoke.add_argument("id", metavar="ID")


def run_create(options: argparse.Namespace, monitor: Monitor) -> int:
    with started() as settings:
        from lipsync.bootstrap import now, open_tasks, secret_of
        from lipsync.tasks.secrets import webhook_secret

        with open_tasks(settings) as store:
            own = secret_of(settings)  # before there is a key whose secret nobody would be shown if this failed
            key_id, secret = store.create_key(options.name, options.scope or SCOPES[:2], now())
        signs = webhook_secret(own, key_id)
    if options.json:
        print(json.dumps({"id": key_id, "secret": secret, "webhook_secret": signs}))
    else:
        print(f"{secret}\nKeep it: it cannot be shown again. It is sent as: Authorization: Bearer {secret[:8]}…")
        print(f"Webhook calls about its tasks are signed with: {signs}")
    return 0


def run_webhook_secret(options: argparse.Namespace, monitor: Monitor) -> int:
    with started() as settings:
        from lipsync.bootstrap import open_tasks, secret_of
        from lipsync.tasks.secrets import webhook_secret

        with open_tasks(settings) as store:
            if options.id is not None and options.id not in [key.id for key in store.list_keys()]:
                raise TaskMissing(f"there is no key {options.id}")
        signs = webhook_secret(secret_of(settings), options.id)
    print(json.dumps({"webhook_secret": signs}) if options.json else signs)
    return 0


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, _):
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
        state = "revoked" if key.revoked_at else "good"
        print(f"{key.id}  {state:<7}  {key.created_at:%Y-%m-%d}  {','.join(key.scopes):<22}  {key.name}")
    return 0


def run_revoke(options: argparse.Namespace, monitor: Monitor) -> int:
    with opened() as (store, now):
        if not store.revoke_key(options.id, now):
            raise TaskMissing(f"there is no good key {options.id}")
    if options.json:
        print(json.dumps({"revoked": options.id}))
    return 0
