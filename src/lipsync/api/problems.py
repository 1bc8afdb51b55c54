"""Error responses: problem documents in the format of RFC 9457."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lipsync.api.errors import API_ERRORS, FRAMEWORK_ERRORS, STATUS, ApiError
from lipsync.errors import LipsyncError
from lipsync.tasks.events import Event

MEDIA_TYPE = "application/problem+json"
SERVER_ERROR = 500
LEGACY_PATH = "/lip_sync_task"
RETRY_AFTER = "5"  # seconds, for errors that may pass
logger = logging.getLogger("lipsync.api")


class Fault(BaseModel):
    """One invalid part of a request."""

    where: str = Field(description="Path of the invalid part within the request.", examples=["body.video.url"])
    detail: str = Field(description="What is wrong with it.", examples=["Field required"])


class ProblemDetails(BaseModel):
    """An error response in the format of RFC 9457."""

    type: str = Field(
        description="URI of the kind of problem; ends in the code.", examples=["urn:lipsync:problem:task_missing"]
    )
    title: str = Field(description="The kind of problem in a few words.", examples=["The task does not exist"])
    status: int = Field(description="HTTP status code.", examples=[404])
    detail: str = Field(
        description="What is wrong with this request, for people.", examples=["task 0192f0c1 does not exist"]
    )
    code: str = Field(description="Stable code of the problem, for programs.", examples=["task_missing"])
    instance: str = Field(description="Path of the request.", examples=["/v1/tasks/0192f0c1"])
    remedy: str | None = Field(default=None, description="How to solve the problem.", examples=["Check the ID."])
    error: str | None = Field(default=None, description="Copy of `detail`; on the legacy endpoints only.")
    faults: list[Fault] | None = Field(
        default=None, description="Each invalid part of the request, if the request does not match its schema."
    )


def problem_response(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    remedy: str | None = None,
    headers: Mapping[str, str] | None = None,
    faults: list[Fault] | None = None,
) -> Response:
    """Build a response whose body is a problem document."""
    problem = ProblemDetails(
        type=f"urn:lipsync:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path,
        remedy=remedy or None,
        error=detail if request.url.path.startswith(LEGACY_PATH) else None,
        faults=faults,
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def on_error(request: Request, exc: Exception) -> Response:
    """Respond to an error of the package. The text of a server error is logged, not sent."""
    assert isinstance(exc, LipsyncError)
    status, detail = STATUS[type(exc)], str(exc)
    if status >= SERVER_ERROR:
        fields = {"event": Event.REQUEST_FAILED.value, "code": exc.code}
        logger.error("%s %s failed: %s", request.method, request.url.path, exc, extra=fields)
        detail = exc.title
    headers = {"Retry-After": RETRY_AFTER} if exc.retryable and status >= SERVER_ERROR else {}
    return problem_response(request, status, exc.code, exc.title, detail, remedy=exc.remedy, headers=headers)


def on_api_error(request: Request, exc: Exception) -> Response:
    """Respond to an error of the API."""
    assert isinstance(exc, ApiError)
    kind = API_ERRORS[exc.code]
    return problem_response(
        request, kind.status, exc.code, kind.title, exc.detail, remedy=kind.remedy, headers=exc.headers
    )


def on_invalid(request: Request, exc: Exception) -> Response:
    """Respond to a request that does not match its schema. The values are not repeated: they may be secret."""
    assert isinstance(exc, RequestValidationError)
    faults = [
        Fault(where=encodable(".".join(map(str, error["loc"]))), detail=encodable(str(error["msg"])))
        for error in exc.errors()
    ]
    detail = "; ".join(f"{fault.where}: {fault.detail}" for fault in faults[:3])
    kind = FRAMEWORK_ERRORS["request_invalid"]
    return problem_response(
        request, kind.status, "request_invalid", kind.title, detail, remedy=kind.remedy, faults=faults
    )


def encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can carry but UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


class HttpErrors:
    """Responds to errors of the framework: unknown paths, wrong methods, bodies that are too large or not JSON."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = [route for route in routes if isinstance(route, Route)]

    def __call__(self, request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        phrase = http.HTTPStatus(exc.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        headers = dict(exc.headers or {})
        if "Allow" in headers:  # the framework lists the methods of the first matching route only
            headers["Allow"] = self._allowed(request.url.path)
        remedy = FRAMEWORK_ERRORS[code].remedy if code in FRAMEWORK_ERRORS else None
        return problem_response(request, exc.status_code, code, phrase, str(exc.detail), remedy=remedy, headers=headers)

    def _allowed(self, path: str) -> str:
        return ", ".join(sorted({m for r in self._routes if r.path_regex.match(path) for m in r.methods or ()}))


def on_bug(request: Request, exc: Exception) -> Response:
    """Respond to an unexpected exception. The server logs the traceback; the client learns nothing about it."""
    detail = "unexpected error; the service log contains the details"
    kind = FRAMEWORK_ERRORS["internal"]
    return problem_response(request, kind.status, "internal", kind.title, detail, remedy=kind.remedy)


def on_disconnect(request: Request, exc: Exception) -> Response:
    """End a request whose client has disconnected."""
    return Response(status_code=400)


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Turn every error into a problem document. ``routes`` are all routes of the application."""
    app.add_exception_handler(LipsyncError, on_error)
    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, HttpErrors(routes))
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_bug)


def error_responses(*statuses: int, keyed: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route for the OpenAPI document.

    The statuses that any route may answer with are included; ``keyed`` includes those of routes that need an API key.
    """
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    common = (400, 401, 403, 422, 429, 500, 503) if keyed else (500, 503)
    return {
        status: {"description": describe_status(status), "content": content} for status in sorted({*common, *statuses})
    }


def describe_status(status: int) -> str:
    """Return the reason phrase of a status; 460 is defined by tus."""
    return "Checksum Mismatch" if status == API_ERRORS["tus_checksum"].status else http.HTTPStatus(status).phrase


def add_schemas(schema: dict[str, Any]) -> None:
    """Add the schema of problem documents to an OpenAPI document."""
    own = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(own.pop("$defs", {}))
    schemas["ProblemDetails"] = own
