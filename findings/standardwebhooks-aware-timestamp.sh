#!/usr/bin/env bash
# standardwebhooks 1.1.0 and svix 2.9.1: sign() reads the wall clock of an aware datetime as UTC.
#
# Webhook.sign(id, timestamp, payload) replaces the timezone of the datetime instead of converting it. For noon at UTC+2,
# it signs the Unix time of noon in UTC, two hours away from the moment that timestamp() gives and that the sender puts into
# webhook-timestamp. verify() of the same object then rejects the message. Datetimes in UTC work, so a sender that runs in
# UTC notices nothing. Expected: the signature of timestamp.timestamp(), the same for equal datetimes.
# Our guard: webhooks sign the Unix seconds of the moment, whatever its timezone (lipsync.tasks.webhooks).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0 svix==2.9.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import base64
from datetime import UTC, datetime, timedelta, timezone

import standardwebhooks
import svix.webhooks

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
utc = datetime.now(UTC).replace(microsecond=0)
local = utc.astimezone(timezone(timedelta(hours=2)))
assert utc == local and utc.timestamp() == local.timestamp()


def accepted(webhook, moment, error):
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": webhook.sign("msg_1", moment, "{}"),
    }
    try:
        webhook.verify("{}", headers)
    except error as exc:
        return str(exc)
    return "accepted"


for module in (standardwebhooks, svix.webhooks):
    webhook = module.Webhook(SECRET)
    seen = [accepted(webhook, moment, module.WebhookVerificationError) for moment in (utc, local)]
    print(f"{module.__name__}: at UTC {seen[0]}; the same moment at UTC+2: {seen[1]}")
    assert seen == ["accepted", "No matching signature found"]
    assert webhook.sign("msg_1", local, "{}") == webhook.sign("msg_1", utc + timedelta(hours=2), "{}")
PYTHON
