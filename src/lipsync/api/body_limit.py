"""Requests that are no uploads are small: nobody fills the memory with one."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsync.api.errors import ApiError, on_api_error

MOST = 1 << 20  # bytes
UPLOADS = ("/v1/uploads", "/v1/tus/")
TOLD = f"a request that is no upload has at most {MOST} bytes"


class BodyLimitMiddleware:
    """Around the application. Starlette's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UPLOADS):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > MOST):
            await on_api_error(Request(scope), ApiError("body_too_large", TOLD))(scope, receive, send)
            return
        came = 0

        async def receiving() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > MOST:
                raise HTTPException(413, TOLD)  # the one kind that passes through the reading of a body
            return message

        await self._app(scope, receiving, send)
