"""What signs webhook calls, as a key's owner learns it."""

from __future__ import annotations

from lipsync.tasks.secrets import webhook_secret


def ask(house, headers=None):
    return house.client.get("/v1/webhook-secret", headers=headers)


def test_each_key_learns_its_own_secret_and_an_admin_no_other(house):
    mine, yours, admin = house.key(), house.key(), house.key("admin")
    told = [ask(house, headers) for headers in (mine, yours, admin)]
    ids = [headers["Authorization"].split("_")[1] for headers in (mine, yours, admin)]
    assert [answer.json() for answer in told] == [{"secret": webhook_secret("the service's own", i)} for i in ids]
    assert len({answer.json()["secret"] for answer in told}) == 3
    assert all(answer.headers["cache-control"] == "no-store" for answer in told)
    assert ask(house, mine).json() == told[0].json()


def test_whoever_cannot_make_tasks_does_not_learn_it(house):
    assert ask(house).status_code == 401
    refused = ask(house, house.key("tasks:read"))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_without_keys_there_is_one_for_everybody(build):
    assert ask(build(keys_required=False)).json() == {"secret": webhook_secret("the service's own", None)}
