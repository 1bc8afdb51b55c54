"""Storages by name. Each factory imports its storage when called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from lipsync.errors import SettingInvalid

if TYPE_CHECKING:
    from lipsync.storage.base import Storage, StorageOptions


def _local(options: StorageOptions) -> Storage:
    from lipsync.storage.base import FOLDER
    from lipsync.storage.local import LocalStorage

    if options.local is None:
        raise SettingInvalid(f"{FOLDER} is not set. Set it to the folder for results")
    return LocalStorage.open(options.local)


def _s3(options: StorageOptions) -> Storage:
    from lipsync.storage.base import S3_BUCKET
    from lipsync.storage.s3 import S3Storage

    if options.s3 is None:
        raise SettingInvalid(f"{S3_BUCKET} is not set. Set it to the bucket for results")
    return S3Storage.open(options.s3)


STORAGES: Mapping[str, Callable[[StorageOptions], Storage]] = MappingProxyType({"local": _local, "s3": _s3})
