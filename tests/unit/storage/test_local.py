"""Local storage: refused keys, remains of crashes, full disks."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lipsync.errors import DiskFull, OptionInvalid, OutputUnwritable, SettingInvalid, StorageFailed
from lipsync.monitor import Monitor
from lipsync.storage.base import LocalOptions
from lipsync.storage.local import LocalStorage
from lipsync.storage.signing import verify_link

SECRET = "a secret of some length"


@pytest.fixture
def options(tmp_path: Path) -> LocalOptions:
    return LocalOptions(tmp_path / "published", "https://example.org/lips/", SECRET, 60)


@pytest.fixture
def storage(options: LocalOptions) -> LocalStorage:
    return LocalStorage.open(options)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"a film" * 500_000)
    return path


@contextmanager
def largest_file(size: int):
    """Simulate a full disk: limit this process's files to ``size`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def leavings(options: LocalOptions) -> list[Path]:
    return list((options.folder / ".incoming").iterdir())


def test_a_link_is_signed_for_its_key_and_expires(options):
    url = urllib.parse.urlsplit(LocalStorage(options, now=lambda: 1000.7).url("a/b ü?.mp4"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://example.org/lips/v1/files/a/b%20%C3%BC%3F.mp4"
    query = dict(urllib.parse.parse_qsl(url.query))
    assert query["expires"] == "1060"
    assert verify_link("a/b ü?.mp4", 1060, query["signature"], SECRET, 1059)
    assert not verify_link("a/b ü?.mp4", 1060, query["signature"], SECRET, 1060)
    assert not verify_link("a/c.mp4", 1060, query["signature"], SECRET, 1059)


def test_links_out_of_the_folder_are_not_followed(storage, options, film, tmp_path):
    options.folder.mkdir()
    (tmp_path / "outside").mkdir()
    (options.folder / "out").symlink_to(tmp_path / "outside")
    (options.folder / "film.mp4").symlink_to(film)
    (options.folder / "round").symlink_to(options.folder / "round")
    for key in ("out/a.mp4", "film.mp4", "out"):
        with pytest.raises(OptionInvalid, match="points outside"):
            storage.path(key)
        with pytest.raises(OptionInvalid, match="points outside"):
            storage.put(film, key, "video/mp4", Monitor())
        with pytest.raises(OptionInvalid, match="points outside"):
            storage.delete(key)
    with pytest.raises((OptionInvalid, OutputUnwritable)):
        storage.put(film, "round/a.mp4", "video/mp4", Monitor())
    assert list((tmp_path / "outside").iterdir()) == []
    assert film.stat().st_size == 3_000_000


def test_the_folder_may_be_a_symbolic_link(options, film, tmp_path):
    (tmp_path / "disk").mkdir()
    options.folder.symlink_to(tmp_path / "disk")
    LocalStorage.open(options).put(film, "a.mp4", "video/mp4", Monitor())
    assert (tmp_path / "disk" / "a.mp4").stat().st_size == 3_000_000


def test_a_full_disk_is_reported_and_leaves_nothing(storage, options, film):
    with largest_file(1 << 20), pytest.raises(DiskFull):
        storage.put(film, "a/b.mp4", "video/mp4", Monitor())
    with largest_file(0), pytest.raises(StorageFailed, match="cannot write to"):
        storage.check()
    assert leavings(options) == []
    assert not storage.path("a/b.mp4").exists()
    storage.put(film, "a/b.mp4", "video/mp4", Monitor())


def test_a_folder_at_the_files_path_is_reported(storage, options, film):
    storage.put(film, "a/b.mp4", "video/mp4", Monitor())
    for key in ("a", "a/b.mp4/c.mp4"):
        with pytest.raises(OutputUnwritable):
            storage.put(film, key, "video/mp4", Monitor())
    with pytest.raises(OutputUnwritable):
        storage.delete("a")
    assert leavings(options) == []
    assert storage.path("a/b.mp4").is_file()


def test_the_next_writer_removes_the_files_of_a_killed_one(storage, options, film):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from lipsync.monitor import Monitor; from lipsync.storage.base import LocalOptions\n"
        "from lipsync.storage.local import LocalStorage\n"
        "storage = LocalStorage.open(LocalOptions(Path(sys.argv[1]), 'https://example.org', 'x' * 16))\n"
        "kill = Monitor(lambda _: os.kill(os.getpid(), signal.SIGKILL))\n"
        "storage.put(Path(sys.argv[2]), 'a/b.mp4', 'video/mp4', kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(options.folder), str(film)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(leavings(options)) == 1
    assert not storage.path("a/b.mp4").exists()
    storage.put(film, "a/b.mp4", "video/mp4", Monitor())
    assert leavings(options) == []


def test_a_living_writers_file_is_left_alone(storage, options, film):
    seen: list[int] = []

    def other(_: object) -> None:
        if not seen:
            seen.append(len(leavings(options)))
            storage.put(film, "other.mp4", "video/mp4", Monitor())
            storage.check()

    storage.put(film, "a.mp4", "video/mp4", Monitor(other))
    assert seen == [1]
    assert storage.path("a.mp4").stat().st_size == storage.path("other.mp4").stat().st_size == 3_000_000
    assert leavings(options) == []


def test_a_file_locked_by_another_writer_is_left_alone(storage, options, film):
    (options.folder / ".incoming").mkdir(parents=True)
    path = options.folder / ".incoming" / "theirs"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        storage.put(film, "a.mp4", "video/mp4", Monitor())
        assert path.exists()
    storage.check()
    assert not path.exists()


def test_deleting_takes_emptied_folders_along_and_no_others(storage, options, film):
    for key in ("a/b/c.mp4", "a/d.mp4"):
        storage.put(film, key, "video/mp4", Monitor())
    storage.delete("a/b/c.mp4")
    assert sorted(p.name for p in (options.folder / "a").iterdir()) == ["d.mp4"]
    storage.delete("a/d.mp4")
    assert [p.name for p in options.folder.iterdir()] == [".incoming"]


def test_published_files_may_be_read_by_a_web_server(storage, film):
    before = os.umask(0o022)
    try:
        storage.put(film, "a.mp4", "video/mp4", Monitor())
    finally:
        os.umask(before)
    assert storage.path("a.mp4").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda o: replace(o, base_url=""), "LIPSYNC_PUBLIC_URL"),
        (lambda o: replace(o, base_url="example.org"), "LIPSYNC_PUBLIC_URL"),
        (lambda o: replace(o, base_url="file:///etc"), "LIPSYNC_PUBLIC_URL"),
        (lambda o: replace(o, base_url="http://[::1"), "LIPSYNC_PUBLIC_URL"),
        (lambda o: replace(o, secret=""), "LIPSYNC_SECRET"),
        (lambda o: replace(o, secret="short"), "LIPSYNC_SECRET"),
        (lambda o: replace(o, lifetime=0), "LIPSYNC_URL_LIFETIME"),
    ],
)
def test_a_missing_or_invalid_setting_prevents_startup(options, wrong: Callable[[LocalOptions], LocalOptions], message):
    with pytest.raises(SettingInvalid) as caught:
        LocalStorage.open(wrong(options))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["film.mp4", "film.mp4/below", "/proc/nowhere"])
def test_an_unwritable_folder_prevents_startup(options, film, tmp_path, folder):
    with pytest.raises(SettingInvalid, match=r"^LIPSYNC_STORAGE_FOLDER"):
        LocalStorage.open(replace(options, folder=tmp_path / folder)).check()


def test_the_secret_is_not_shown(options):
    assert SECRET not in repr(options)
