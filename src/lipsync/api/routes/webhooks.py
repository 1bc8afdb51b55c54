"""The secret that signs webhook calls."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from lipsync.api.auth import Writer
from lipsync.api.problems import error_responses
from lipsync.api.state import StateDep

DESCRIPTION = """\
Returns the secret that signs webhook calls about this API key's tasks. Each key has its own secret, which stays the \
same.

To verify a call, compute the HMAC-SHA256 of the header `Lipsync-Timestamp`, a dot and the body, keyed with the \
secret. Compare `v1=` and its hexadecimal digest with the header `Lipsync-Signature`, and check that the timestamp \
(Unix seconds) is recent.\
"""

router = APIRouter(tags=["tasks"])


class WebhookSecret(BaseModel):
    """The signing secret of an API key's webhook calls."""

    secret: str = Field(
        description="The key of the HMAC-SHA256, including the prefix `whsec_`. Keep it confidential.",
        examples=["whsec_5f2d6c0e8f4b1a7d9c3e5b6a7f8091a2b3c4d5e6f708192a3b4c5d6e7f809102"],
    )


@router.get(
    "/v1/webhook-secret",
    summary="Get the webhook signing secret",
    description=DESCRIPTION,
    response_description="The secret",
    responses=error_responses(),
)
def get_webhook_secret(state: StateDep, caller: Writer, response: Response) -> WebhookSecret:
    response.headers["Cache-Control"] = "no-store"
    return WebhookSecret(secret=state.services.webhook_secret(caller.key_id))
