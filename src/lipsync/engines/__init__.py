"""The engines by name. A factory imports its engine only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipsync.engines.base import Engine


def _rewrite() -> Engine:
    from lipsync.engines.rewrite.engine import Rewrite

    return Rewrite.open()


def _passthrough() -> Engine:
    from lipsync.engines.passthrough import Passthrough

    return Passthrough()


ENGINES: Mapping[str, Callable[[], Engine]] = MappingProxyType({"rewrite": _rewrite, "passthrough": _passthrough})
