"""Authentication and authorization: API keys as bearer tokens, each with scopes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from lipsync.api.errors import ApiError
from lipsync.api.state import AppState, StateDep
from lipsync.errors import SettingInvalid
from lipsync.settings import Settings
from lipsync.tasks.task import Task

Scope = Literal["tasks:read", "tasks:write", "admin"]
ADMIN: Scope = "admin"  # allows every operation on every key's tasks
BEARER = HTTPBearer(
    scheme_name="key", description="An API key. Create one with `lipsync keys create NAME`.", auto_error=False
)
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
CHALLENGE = 'Bearer realm="lipsync"'


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated client. ``key_id`` is None if API keys are disabled; the caller is then an admin."""

    key_id: str | None
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def owns(self, task: Task) -> bool:
        """Whether the caller may access the task."""
        return self.is_admin or task.key_id == self.key_id


def is_loopback(host: str) -> bool:
    """Whether the address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_keys(settings: Settings) -> None:
    """Raise SettingInvalid if other machines could use the service without an API key."""
    if not settings.keys_required and not is_loopback(settings.host):
        raise SettingInvalid(
            f"LIPSYNC_KEYS_REQUIRED: false is allowed on a loopback address only, but LIPSYNC_HOST is {settings.host}"
        )


def host_of(authority: str) -> str | None:
    """Return the host of a Host header in lower case; None if the header is malformed."""
    match = AUTHORITY.fullmatch(authority.lower())
    return None if match is None else match[1]


def is_proxied(request: Request) -> bool:
    """Whether a proxy forwarded the request."""
    return any(name in request.headers for name in PROXY_HEADERS)


def check_browser(request: Request, settings: Settings) -> None:
    """Raise ApiError if a foreign web page or a proxy may have sent the request; with keys, the key prevents that.

    DNS rebinding shows in Host, and a page of another origin (another port of this machine included) in Origin. A proxy
    is accepted if the setting ``public_url`` names it.
    """
    public = urlsplit(settings.address)
    authority = request.headers.get("host", "")
    host = host_of(authority)
    if host is None or not (is_loopback(host) or host == host_of(public.netloc)):
        raise ApiError("host_unknown", "without API keys, the service answers requests from this machine only")
    origin = request.headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] not in (authority.lower(), public.netloc.lower()):
        raise ApiError("host_unknown", "without API keys, cross-origin requests are rejected")
    if is_proxied(request) and not settings.public_url:
        raise ApiError("host_unknown", "without API keys, proxied requests need LIPSYNC_PUBLIC_URL to name the proxy")


def identify(state: AppState, request: Request, credentials: HTTPAuthorizationCredentials | None) -> Caller:
    """Authenticate the request. Raises ApiError."""
    if not state.settings.keys_required:
        check_browser(request, state.settings)
        return Caller(None, frozenset({ADMIN}))
    if credentials is None:
        detail = "the request has no API key; send it as: Authorization: Bearer lsk_…"
        raise ApiError("key_missing", detail, {"WWW-Authenticate": CHALLENGE})
    key = state.store.find_key(credentials.credentials)
    if key is None:
        challenge = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
        raise ApiError("key_unknown", "the API key does not exist or was revoked", challenge)
    return Caller(key.id, frozenset(key.scopes))


class RequireScope:
    """A dependency that authenticates the caller, applies the rate limit and requires a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, request: Request, state: StateDep, credentials: Token) -> Caller:
        caller = identify(state, request, credentials)
        state.rate_limiter.acquire(caller.key_id or "", state.now().timestamp())
        if not caller.scopes & {self._scope, ADMIN}:
            raise ApiError("scope_missing", f"this API key lacks the scope '{self._scope}'")
        return caller


# The scopes of Security reach the OpenAPI document only; RequireScope checks them.
Reader = Annotated[Caller, Security(RequireScope("tasks:read"), scopes=["tasks:read"])]
Writer = Annotated[Caller, Security(RequireScope("tasks:write"), scopes=["tasks:write"])]


def allow_metrics(request: Request, state: StateDep, credentials: Token) -> None:
    """Admit local requests to a service on a loopback address; otherwise require the admin scope. Raises ApiError."""
    host = host_of(request.headers.get("host", ""))
    is_local = is_loopback(state.settings.host) and host is not None and is_loopback(host)
    if not is_local or is_proxied(request):
        RequireScope(ADMIN)(request, state, credentials)
