from __future__ import annotations

import os

import numpy as np
import pytest

from lipsync.models.compiled_cache import MAX_FILES, CompiledCache


@pytest.fixture
def cache(tmp_path):
    return CompiledCache(tmp_path / "compiled")


def found(cache: CompiledCache, key: str) -> bytes | None:
    size = cache.size(key)
    if size is None:
        return None
    target = np.zeros(size, np.uint8)
    return target.tobytes() if cache.read(key, target) else None


def files(cache_path):
    return sorted(path.name for path in cache_path.iterdir())


def test_what_is_kept_is_found_again(cache):
    assert found(cache, "key") is None
    cache.keep("key", lambda: b"compiled")
    assert found(cache, "key") == b"compiled"
    assert found(cache, "other") is None
    cache.discard("key")
    assert found(cache, "key") is None


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"x"])
def test_a_damaged_file_is_not_used(cache, tmp_path, damage):
    cache.keep("key", lambda: b"compiled")
    (path,) = (tmp_path / "compiled").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert found(cache, "key") is None


def test_a_folder_that_cannot_be_made_is_not_used(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = CompiledCache(tmp_path / "file" / "compiled")
    cache.keep("key", lambda: b"compiled")
    assert found(cache, "key") is None


def test_a_failed_write_leaves_nothing_behind(cache, tmp_path):
    def full() -> bytes:
        raise OSError(28, "no space left")

    cache.keep("key", full)
    assert files(tmp_path / "compiled") == []


def test_only_the_most_recently_used_ones_remain(cache, tmp_path):
    for number in range(MAX_FILES):
        cache.keep(str(number), lambda: b"compiled")
    for age, path in enumerate((tmp_path / "compiled").iterdir()):
        os.utime(path, (age, age))
    assert found(cache, "0") is not None
    cache.keep("new", lambda: b"compiled")
    assert len(files(tmp_path / "compiled")) == MAX_FILES
    assert found(cache, "0") is not None
    assert found(cache, "new") is not None
