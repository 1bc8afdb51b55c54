"""HTTP statuses, titles and remedies of errors.

Only this module maps errors to statuses: STATUS for the errors of the package, API_ERRORS for those that only the API
raises, FRAMEWORK_ERRORS for those of the web framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lipsync import errors as tree

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


def error_rows() -> list[tuple[int, str, str, str]]:
    """Return status, code, title and remedy of every error, in the order of status and code."""
    rows = [(status, kind.code, kind.title, kind.remedy) for kind, status in STATUS.items()]
    rows += [
        (kind.status, code, kind.title, kind.remedy)
        for kinds in (API_ERRORS, FRAMEWORK_ERRORS)
        for code, kind in kinds.items()
    ]
    return sorted(rows)
