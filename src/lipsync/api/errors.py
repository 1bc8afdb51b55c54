"""What an error is over HTTP: its status, and its body, which is a problem of RFC 9457.

No other file knows a status of an error. An error of the package has its status in STATUS; what only the interface
refuses is a Refusal, whose code has its status in REFUSALS.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lipsync import errors as tree

MEDIA_TYPE = "application/problem+json"
SERVER_ERROR = 500
OLDER = "/lip_sync_task"  # the older service's paths

STATUS: Mapping[type[tree.LipsyncError], int] = MappingProxyType(
    {
        tree.LipsyncError: 500,
        tree.InputError: 422,
        tree.FileMissing: 422,
        tree.NotAFile: 422,
        tree.FileUnreadable: 422,
        tree.FileEmpty: 422,
        tree.NotMedia: 422,
        tree.MediaTruncated: 422,
        tree.NoVideoStream: 422,
        tree.NoAudioStream: 422,
        tree.NoFrames: 422,
        tree.FrameTooSmall: 422,
        tree.NoFaceFound: 422,
        tree.AudioTooShort: 422,
        tree.AudioInvalid: 422,
        tree.AudioClipped: 422,
        tree.OptionInvalid: 422,
        tree.AddressForbidden: 422,
        tree.InputTooLarge: 413,
        tree.FetchFailed: 502,
        tree.ChecksumMismatch: 422,
        tree.OutputError: 500,
        tree.OutputUnwritable: 500,
        tree.OutputIsInput: 500,
        tree.OutputExists: 500,
        tree.DiskFull: 507,
        tree.EncodeFailed: 500,
        tree.StorageFailed: 503,
        tree.ExtraMissing: 501,
        tree.OutOfMemory: 503,
        tree.SettingInvalid: 500,
        tree.TaskError: 409,
        tree.TaskMissing: 404,
        tree.TransitionForbidden: 409,
        tree.LeaseLost: 409,
        tree.TimedOut: 504,
        tree.WorkerLost: 500,
        tree.ModelError: 500,
        tree.ModelMissing: 503,
        tree.ModelCorrupt: 500,
        tree.InferenceFailed: 500,
        tree.DeviceUnavailable: 503,
        tree.NotACheckpoint: 500,
        tree.CheckpointTruncated: 500,
        tree.CheckpointRefused: 500,
        tree.CheckpointMismatch: 500,
        tree.CheckpointInvalid: 500,
        tree.LicenseNotAccepted: 503,
        tree.DownloadFailed: 503,
    }
)

API_ERRORS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "key_missing": (401, "An API key is wanted"),
        "key_unknown": (401, "There is no such API key"),
        "host_unknown": (403, "Without API keys only this machine is served"),
        "scope_missing": (403, "The API key may not do that"),
        "link_invalid": (403, "The link is not good, or not any more"),
        "file_missing": (404, "There is no such file"),
        "output_missing": (404, "There is no such output"),
        "upload_missing": (404, "There is no such upload"),
        "upload_unusable": (422, "An upload that is named cannot be used"),
        "upload_incomplete": (409, "The upload is not whole yet"),
        "upload_locked": (423, "Somebody else is writing to the upload"),
        "upload_expired": (410, "The upload was given up"),
        "upload_too_large": (413, "The upload is larger than is allowed"),
        "body_too_large": (413, "The request is larger than is allowed"),
        "offset_conflict": (409, "The upload is elsewhere"),
        "tus_version": (412, "Another version of tus is spoken here"),
        "tus_header": (400, "A header of tus is missing or makes no sense"),
        "tus_content_type": (415, "Parts of an upload are application/offset+octet-stream"),
        "tus_checksum": (460, "The part is not what was announced"),
        "range_invalid": (416, "The file has no such part"),
        "rate_exceeded": (429, "Too many requests"),
        "tasks_exceeded": (429, "Too many tasks that are not finished"),
        "uploads_exceeded": (429, "Too many bytes of uploads are kept"),
        "streams_exceeded": (429, "Too many event streams"),
        "not_ready": (503, "The service is not ready"),
    }
)


class ApiError(Exception):
    """The interface itself refuses, with a code of REFUSALS and headers for the answer."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="where it is in the request", examples=["body.video.url"])
    detail: str = Field(examples=["Field required"])


class ProblemDetails(BaseModel):
    """What went wrong, as RFC 9457 words it."""

    type: str = Field(examples=["urn:lipsync:problem:task_missing"])
    title: str = Field(examples=["There is no such task"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["task 0192f0c1 does not exist"])
    code: str = Field(description="stable, for programs", examples=["task_missing"])
    instance: str = Field(description="the path that was asked for", examples=["/v1/tasks/0192f0c1"])
    error: str | None = Field(
        default=None, description="the detail again, where clients of the older service look for it"
    )
    faults: list[Fault] | None = Field(
        default=None, description="of a request that makes no sense: each thing wrong with it"
    )


def answer(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    faults: list[Fault] | None = None,
) -> Response:
    """The problem as an answer."""
    problem = ProblemDetails(
        type=f"urn:lipsync:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path,
        error=detail if request.url.path.startswith(OLDER) else None,
        faults=faults,
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def on_error(request: Request, exc: Exception) -> Response:
    """An error of the package. What is the service's own fault is logged, not told."""
    assert isinstance(exc, tree.LipsyncError)
    status, title = STATUS[type(exc)], exc.title
    detail = str(exc)
    if status >= SERVER_ERROR:
        logging.getLogger("lipsync.api").error("%s %s: %s", request.method, request.url.path, exc)
        detail = title
    headers = {"Retry-After": "5"} if exc.retryable and status >= SERVER_ERROR else {}
    return answer(request, status, exc.code, title, detail, headers=headers)


def on_api_error(request: Request, exc: Exception) -> Response:
    """What the interface refuses."""
    assert isinstance(exc, ApiError)
    status, title = API_ERRORS[exc.code]
    return answer(request, status, exc.code, title, exc.detail, headers=exc.headers)


def on_invalid(request: Request, exc: Exception) -> Response:
    """A request that is not as the documentation has it. What was sent is not repeated: it may hold secrets."""
    assert isinstance(exc, RequestValidationError)
    faults = [Fault(where=writable(".".join(map(str, e["loc"]))), detail=writable(str(e["msg"]))) for e in exc.errors()]
    detail = "; ".join(f"{fault.where}: {fault.detail}" for fault in faults[:3])
    return answer(request, 422, "request_invalid", "The request makes no sense", detail, faults=faults)


def writable(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can bring in and UTF-8 cannot take out."""
    return text.encode("utf-8", "replace").decode("utf-8")


class HttpErrors:
    """What the framework refuses: paths, methods, bodies that are too large or no JSON."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = [route for route in routes if isinstance(route, Route)]

    def __call__(self, request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        phrase = http.HTTPStatus(exc.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        headers = dict(exc.headers or {})
        if "Allow" in headers:  # the framework names the methods of the first route with that path alone
            headers["Allow"] = self._allowed(request.url.path)
        return answer(request, exc.status_code, code, phrase, str(exc.detail), headers=headers)

    def _allowed(self, path: str) -> str:
        return ", ".join(sorted({m for r in self._routes if r.path_regex.match(path) for m in r.methods or ()}))


def on_bug(request: Request, exc: Exception) -> Response:
    """A fault of the service. The server logs where it came from; nobody else learns it."""
    return answer(request, SERVER_ERROR, "internal", "The service has a fault", "it was logged, and can be looked into")


def on_gone(request: Request, exc: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=400)


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every failure with a problem. ``routes``: all that the application has."""
    app.add_exception_handler(tree.LipsyncError, on_error)
    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, HttpErrors(routes))
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(Exception, on_bug)


def problems(*statuses: int, keyed: bool = True) -> dict[int | str, dict[str, Any]]:
    """A route's failures for the documentation, by status; with those of every route, or every one that wants a key."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = (400, 401, 403, 422, 429, 500, 503) if keyed else (500, 503)
    return {status: {"description": phrase(status), "content": content} for status in sorted({*always, *statuses})}


def phrase(status: int) -> str:
    """What a status is called; tus has one of its own."""
    return "Checksum Mismatch" if status == API_ERRORS["tus_checksum"][0] else http.HTTPStatus(status).phrase


def add_schemas(schema: dict[str, Any]) -> None:
    """The problem's schema, to which ``problems`` refers, into an OpenAPI document."""
    own = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(own.pop("$defs", {}))
    schemas["ProblemDetails"] = own
