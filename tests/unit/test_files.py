"""Locks, atomic writes and checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from lipsync.errors import (
    Cancelled,
    DiskFull,
    FileMissing,
    FileUnreadable,
    InputTooLarge,
    ModelMissing,
    NotAFile,
    OutputUnwritable,
)
from lipsync.files import Scratch, file_lock, read_errors, sha256_of, try_lock, write_atomic, write_errors
from lipsync.monitor import Monitor, Progress


def test_a_lock_ends_with_its_process(tmp_path):
    code = "import sys, os; from pathlib import Path; from lipsync.files import Scratch, file_lock; "
    code += "from lipsync.monitor import Monitor; lock = file_lock(Path(sys.argv[1]), Monitor()); lock.__enter__(); "
    subprocess.run([sys.executable, "-c", code + "os._exit(1)", str(tmp_path / "w.pth")], check=False)
    assert (tmp_path / ".w.pth.lock").is_file()
    with file_lock(tmp_path / "w.pth", Monitor()):
        pass


def test_a_held_lock_is_not_acquired_and_waiting_can_be_cancelled(tmp_path):
    monitor = Monitor()
    monitor.cancel()
    with file_lock(tmp_path / "w", Monitor()):
        with pytest.raises(Cancelled), file_lock(tmp_path / "w", monitor):
            pass
        with (tmp_path / ".w.lock").open("ab") as file:
            assert not try_lock(file)
    with (tmp_path / ".w.lock").open("ab") as file:
        assert try_lock(file)


def test_a_text_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_atomic(path, "first")
    write_atomic(path, "second")
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(OutputUnwritable):
        write_atomic(path / "below", "a file is not a folder")


def test_a_checksum_reports_progress_and_can_be_cancelled(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 3_000_000)
    reports: list[Progress] = []
    assert sha256_of(path) == sha256_of(path, Monitor(reports.append)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (reports[-1].stage, reports[-1].done, reports[-1].total) == ("check", 3_000_000, 3_000_000)
    monitor = Monitor()
    monitor.cancel()
    with pytest.raises(Cancelled):
        sha256_of(path, monitor)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), FileMissing),
        (IsADirectoryError(errno.EISDIR, "x"), NotAFile),
        (PermissionError(errno.EACCES, "Permission denied"), FileUnreadable),
    ],
)
def test_failures_to_read_are_mapped(tmp_path, failure, kind):
    with pytest.raises(kind, match=str(tmp_path)), read_errors(tmp_path / "v.mp4"):
        raise failure


def test_a_missing_model_is_not_a_missing_input(tmp_path):
    with pytest.raises(ModelMissing, match="no such file"), read_errors(tmp_path / "w.pth", missing=ModelMissing):
        raise FileNotFoundError(errno.ENOENT, "x")


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EACCES, OutputUnwritable)]
)
def test_failures_to_write_are_mapped(tmp_path, code, kind):
    with pytest.raises(kind, match=str(tmp_path)), write_errors(tmp_path / "v.mp4"):
        raise OSError(code, "x")


def test_scratch_lies_in_its_folder_and_leaves_nothing(tmp_path):
    with Scratch(tmp_path, 100).file() as file:
        assert os.fstat(file.fileno()).st_dev == tmp_path.stat().st_dev
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputUnwritable), Scratch(tmp_path / "missing").file():
        pass


def test_scratch_is_bounded_and_the_error_names_the_setting(tmp_path):
    with Scratch(tmp_path, 100).file() as file:
        file.write(bytes(60))
        file.write(np.zeros(10, np.float32))
        with pytest.raises(InputTooLarge, match=r"101 bytes; the limit is 100 \(LIPSYNC_MAX_SCRATCH_BYTES\)"):
            file.write(b"x")
