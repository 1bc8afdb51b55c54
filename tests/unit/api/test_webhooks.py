"""The webhook signing secret."""

from __future__ import annotations

from lipsync.tasks.secrets import webhook_secret


def ask(service, headers=None):
    return service.client.get("/v1/webhook-secret", headers=headers)


def test_each_key_gets_its_own_secret_even_an_admin(service):
    mine, yours, admin = service.key(), service.key(), service.key("admin")
    answers = [ask(service, headers) for headers in (mine, yours, admin)]
    ids = [headers["Authorization"].split("_")[1] for headers in (mine, yours, admin)]
    assert [answer.json() for answer in answers] == [{"secret": webhook_secret("the service's own", i)} for i in ids]
    assert len({answer.json()["secret"] for answer in answers}) == 3
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)
    assert ask(service, mine).json() == answers[0].json()


def test_the_webhook_secret_needs_the_write_scope(service):
    assert ask(service).status_code == 401
    refused = ask(service, service.key("tasks:read"))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_without_keys_all_clients_share_one_secret(build):
    assert ask(build(keys_required=False)).json() == {"secret": webhook_secret("the service's own", None)}
