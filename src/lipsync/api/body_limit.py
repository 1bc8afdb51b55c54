"""A size limit for request bodies other than uploads."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsync.api.errors import ApiError
from lipsync.api.problems import on_api_error

MAX_BODY_BYTES = 1 << 20
UPLOAD_PATHS = ("/v1/uploads", "/v1/tus/")
DETAIL = f"request body too large: at most {MAX_BODY_BYTES} bytes are allowed outside uploads"


class BodyLimitMiddleware:
    """Reject large bodies with a problem document; Starlette's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UPLOAD_PATHS):
            await self._app(scope, receive, send)
            return
        if declares_too_much(Headers(scope=scope).get("content-length", "")):
            await on_api_error(Request(scope), ApiError("body_too_large", DETAIL))(scope, receive, send)
            return
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, DETAIL)  # the only exception that FastAPI lets through while it reads a body
            return message

        await self._app(scope, limited_receive, send)


def declares_too_much(content_length: str) -> bool:
    """Whether a Content-Length header announces more than the limit; malformed values do not."""
    if not (content_length.isascii() and content_length.isdigit()):
        return False
    return len(content_length) > 18 or int(content_length) > MAX_BODY_BYTES
