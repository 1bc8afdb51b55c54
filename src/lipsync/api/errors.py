"""HTTP statuses and bodies of errors. Bodies are problem documents (RFC 9457).

Only this module maps errors to statuses: STATUS for the errors of the package, API_ERRORS for those that only the API
raises.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from lipsync.tasks.events import Event

MEDIA_TYPE = "application/problem+json"
SERVER_ERROR = 500
LEGACY_PATH = "/lip_sync_task"
RETRY_AFTER = "5"  # seconds, for errors that may pass
logger = logging.getLogger("lipsync.api")

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


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """An error that only the API raises."""

    status: int
    title: str
    remedy: str


API_ERRORS: Mapping[str, ErrorKind] = MappingProxyType(
    {
        "key_missing": ErrorKind(401, "An API key is required", "Send an API key as a bearer token."),
        "key_unknown": ErrorKind(401, "The API key is invalid", "Use a key that exists and is not revoked."),
        "host_unknown": ErrorKind(
            403,
            "The request does not come from this machine",
            "Without API keys the service serves this machine only. Require keys, or set LIPSYNC_PUBLIC_URL.",
        ),
        "scope_missing": ErrorKind(
            403, "The API key lacks a scope", "Use an API key that has the scope named in the detail."
        ),
        "link_invalid": ErrorKind(
            403, "The link is invalid or has expired", "Get the task again: it contains fresh links."
        ),
        "file_missing": ErrorKind(
            404, "The file does not exist", "Check that the task exists and its results were not deleted."
        ),
        "output_missing": ErrorKind(404, "The output does not exist", "Get the task: it lists the outputs that exist."),
        "upload_missing": ErrorKind(
            404, "The upload does not exist", "Check the ID and the API key, or upload the file again."
        ),
        "upload_unusable": ErrorKind(
            422, "An upload cannot be used as an input", "Complete the upload, or upload the file again."
        ),
        "upload_incomplete": ErrorKind(409, "The upload is incomplete", "Send the remaining bytes."),
        "upload_locked": ErrorKind(
            423, "The upload is locked by another request", "Wait until the other request has finished."
        ),
        "upload_expired": ErrorKind(410, "The upload has expired", "Upload the file again."),
        "upload_too_large": ErrorKind(
            413, "The upload is too large", "Upload a smaller file, or raise LIPSYNC_MAX_UPLOAD_BYTES."
        ),
        "body_too_large": ErrorKind(413, "The request body is too large", "Send files as uploads."),
        "offset_conflict": ErrorKind(
            409, "The upload continues at another offset", "Continue at the offset in Upload-Offset."
        ),
        "tus_version": ErrorKind(412, "The tus version is not supported", "Send the header Tus-Resumable: 1.0.0."),
        "tus_header": ErrorKind(400, "A tus header is invalid", "Correct the header named in the detail."),
        "tus_content_type": ErrorKind(
            415, "The content type is not supported", "Send the part as application/offset+octet-stream."
        ),
        "tus_checksum": ErrorKind(460, "The part does not match its checksum", "Send the part again."),
        "range_invalid": ErrorKind(
            416, "The range is outside the file", "Request a range within the size of the file."
        ),
        "rate_exceeded": ErrorKind(429, "The rate limit is exceeded", "Wait for the time in Retry-After."),
        "tasks_exceeded": ErrorKind(
            429, "The API key has too many unfinished tasks", "Wait until tasks finish, or cancel some."
        ),
        "uploads_exceeded": ErrorKind(429, "The upload quota is exceeded", "Delete uploads that are no longer needed."),
        "streams_exceeded": ErrorKind(429, "The API key has too many event streams", "Close an event stream."),
        "not_ready": ErrorKind(503, "The service is not ready", "Retry later."),
    }
)


FRAMEWORK_ERRORS: Mapping[str, ErrorKind] = MappingProxyType(
    {
        "bad_request": ErrorKind(400, "Bad Request", "Send a body that is valid JSON in UTF-8."),
        "not_found": ErrorKind(404, "Not Found", "Check the path."),
        "method_not_allowed": ErrorKind(405, "Method Not Allowed", "Use a method listed in Allow."),
        "request_invalid": ErrorKind(422, "The request is invalid", "Correct the parts listed in faults."),
        "internal": ErrorKind(500, "The service failed unexpectedly", "Ask the operator to check the service's log."),
    }
)


class ApiError(Exception):
    """An error of the API itself, with a code from API_ERRORS and headers for the response."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


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
    assert isinstance(exc, tree.LipsyncError)
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
    app.add_exception_handler(tree.LipsyncError, on_error)
    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, HttpErrors(routes))
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_bug)


def problems(*statuses: int, keyed: bool = True) -> dict[int | str, dict[str, Any]]:
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


def error_rows() -> list[tuple[int, str, str, str]]:
    """Return status, code, title and remedy of every error, in the order of status and code."""
    rows = [(status, kind.code, kind.title, kind.remedy) for kind, status in STATUS.items()]
    rows += [
        (kind.status, code, kind.title, kind.remedy)
        for kinds in (API_ERRORS, FRAMEWORK_ERRORS)
        for code, kind in kinds.items()
    ]
    return sorted(rows)


def add_schemas(schema: dict[str, Any]) -> None:
    """Add the schema of problem documents to an OpenAPI document."""
    own = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(own.pop("$defs", {}))
    schemas["ProblemDetails"] = own
