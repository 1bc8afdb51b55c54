"""Who asks, and what he may do: API keys as bearer tokens, each with scopes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from lipsync.api.errors import ApiError
from lipsync.api.state import AppState, StateDep
from lipsync.errors import SettingInvalid
from lipsync.settings import Settings
from lipsync.tasks.task import Task

Scope = Literal["tasks:read", "tasks:write", "admin"]
ADMIN: Scope = "admin"  # may do everything, with everybody's tasks
BEARER = HTTPBearer(scheme_name="key", description="Made by `lipsync keys create`.", auto_error=False)
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
PROXIED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="lipsync"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks. ``key_id`` None: keys are off, and everybody may do everything."""

    key_id: str | None
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def owns(self, task: Task) -> bool:
        """Whether he may know of the task."""
        return self.is_admin or task.key_id == self.key_id


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_keys(settings: Settings) -> None:
    """SettingInvalid if anybody from elsewhere could use the service without a key."""
    if not settings.keys_required and not is_loopback(settings.host):
        told = f"LIPSYNC_KEYS_REQUIRED: can be false on a loopback address only, and LIPSYNC_HOST is {settings.host}"
        raise SettingInvalid(told)


def host_of(authority: str) -> str | None:
    """The host of what stands in a Host header, lower case; None if it is none."""
    found = AUTHORITY.fullmatch(authority.lower())
    return None if found is None else found[1]


def is_proxied(request: Request) -> bool:
    """Whether a proxy says that it handed the request on."""
    return any(name in request.headers for name in PROXIED)


def check_browser(request: Request, settings: Settings) -> None:
    """Raises Refusal if a page from elsewhere could be behind it, or a proxy: keys are what keeps those out otherwise.

    A foreign name that leads to this machine shows in Host (DNS rebinding), a foreign page that posts in Origin, one on
    another port of this machine as well. A proxy is meant where the setting ``public_url`` names it.
    """
    ours = urlsplit(settings.address)
    told = request.headers.get("host", "")
    host = host_of(told)
    if host is None or not (is_loopback(host) or host == host_of(ours.netloc)):
        raise ApiError("host_unknown", "without API keys the service is for this machine alone")
    origin = request.headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] not in (told.lower(), ours.netloc.lower()):
        raise ApiError("host_unknown", "without API keys no page of another origin is served")
    if is_proxied(request) and not settings.public_url:
        raise ApiError("host_unknown", "without API keys a proxy is served only if LIPSYNC_PUBLIC_URL names it")


def identify(desk: AppState, request: Request, credentials: HTTPAuthorizationCredentials | None) -> Caller:
    """Whose key it is. Raises Refusal."""
    if not desk.settings.keys_required:
        check_browser(request, desk.settings)
        return Caller(None, frozenset({ADMIN}))
    if credentials is None:
        raise ApiError("key_missing", "send an API key as: Authorization: Bearer lsk_…", CHALLENGE)
    key = desk.store.find_key(credentials.credentials)
    if key is None:
        challenge = {"WWW-Authenticate": CHALLENGE["WWW-Authenticate"] + ', error="invalid_token"'}
        raise ApiError("key_unknown", "there is no such key, or it was revoked", challenge)
    return Caller(key.id, frozenset(key.scopes))


class RequireScope:
    """A dependency: a caller who may do this, and does not ask too often."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, request: Request, desk: StateDep, credentials: Token) -> Caller:
        caller = identify(desk, request, credentials)
        desk.buckets.take(caller.key_id or "", desk.now().timestamp())
        if not caller.scopes & {self._scope, ADMIN}:
            raise ApiError("scope_missing", f"the API key has not the scope {self._scope}")
        return caller


Reader = Annotated[Caller, Depends(RequireScope("tasks:read"))]
Writer = Annotated[Caller, Depends(RequireScope("tasks:write"))]


def allow_metrics(request: Request, desk: StateDep, credentials: Token) -> None:
    """Anybody on this machine who asks a service for this machine alone, else an admin. Raises Refusal."""
    host = host_of(request.headers.get("host", ""))
    near = is_loopback(desk.settings.host) and host is not None and is_loopback(host)
    if not near or is_proxied(request):
        RequireScope(ADMIN)(request, desk, credentials)
