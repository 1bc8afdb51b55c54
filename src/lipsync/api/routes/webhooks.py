"""What the receiver of webhook calls needs to know."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from lipsync.api.auth import Writer
from lipsync.api.errors import problems
from lipsync.api.state import StateDep

router = APIRouter(tags=["tasks"])


class WebhookSecret(BaseModel):
    """What signs calls."""

    secret: str = Field(
        description="as it stands, `whsec_` included, the key of the calls' HMAC-SHA256; for the receiver alone",
        examples=["whsec_5f2d6c0e8f4b1a7d9c3e5b6a7f8091a2b3c4d5e6f708192a3b4c5d6e7f809102"],
    )


@router.get("/v1/webhook-secret", summary="Learn what signs webhook calls", responses=problems())
def get(desk: StateDep, caller: Writer, response: Response) -> WebhookSecret:
    """The secret that signs the calls about this API key's tasks; every key has its own, which stays the same.

    A call is genuine if its header `Lipsync-Signature` is `v1=` and the hexadecimal HMAC-SHA256, keyed with this
    secret, of the header `Lipsync-Timestamp`, a dot and the body, and the timestamp (Unix seconds) is recent.
    """
    response.headers["Cache-Control"] = "no-store"
    return WebhookSecret(secret=desk.services.webhook_secret(caller.key_id))
