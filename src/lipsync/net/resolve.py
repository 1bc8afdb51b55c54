"""Which machines are behind an address, once that is known to be allowed."""

from __future__ import annotations

from lipsync.errors import FetchFailed
from lipsync.net.deadline import Deadline
from lipsync.net.limits import Limits
from lipsync.net.policy import checked, literal
from lipsync.net.transport import Transport
from lipsync.net.url import Address


def resolve(source: str, place: Address, limits: Limits, transport: Transport, deadline: Deadline) -> tuple[str, ...]:
    """The machines behind the address, looked up once, so that they are those that are connected to.

    ``source``: the address as it may be told. Raises AddressForbidden, FetchFailed, Cancelled.
    """
    alone = literal(place.host)
    if alone is not None:
        return checked(place, (alone,), limits.allowed_hosts)
    try:
        found = deadline.through(lambda: transport.resolver(place.host, place.port))
    except OSError as exc:
        raise FetchFailed(f"{source}: the host {place.host} was not found: {exc.strerror or exc}") from exc
    return checked(place, found, limits.allowed_hosts)
