"""What the interface works with; handed to it whole, and to its handlers one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from lipsync.api.buckets import Buckets
from lipsync.api.meter import Meter
from lipsync.api.shelf import Shelf
from lipsync.jobs.store import TaskStore
from lipsync.settings import Settings
from lipsync.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Services:
    """``announce`` rings the workers' doorbell for a task's id, and raises LipsyncError or OSError if it cannot.

    ``now`` is the clock (aware, UTC). ``link_secret``: what a local storage signs its links with; empty: there is none.
    """

    settings: Settings
    store: TaskStore
    storage: Storage
    announce: Callable[[str], None]
    now: Callable[[], datetime]
    link_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Desk:
    """The services, and what the interface itself keeps: uploads, who asked how often, what was answered."""

    services: Services
    shelf: Shelf
    buckets: Buckets
    meter: Meter

    @property
    def settings(self) -> Settings:
        return self.services.settings

    @property
    def store(self) -> TaskStore:
        return self.services.store

    @property
    def storage(self) -> Storage:
        return self.services.storage

    def now(self) -> datetime:
        return self.services.now()


def open_desk(services: Services) -> Desk:
    """A new one, with empty counters."""
    settings = services.settings
    shelf = Shelf(settings.data_dir / "uploads", settings.upload_bytes)
    return Desk(services, shelf, Buckets(settings.requests_per_minute), Meter())


def desk_of(request: Request) -> Desk:
    """The application's desk."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]
