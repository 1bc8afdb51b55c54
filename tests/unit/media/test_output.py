from __future__ import annotations

import errno

import pytest

from lipsync.errors import DiskFull, EncodeFailed, OptionInvalid, OutOfMemory, OutputIsInput, OutputUnwritable
from lipsync.media.encoding import Encoding
from lipsync.media.output import check_output, encode_errors


@pytest.mark.parametrize(
    ("name", "encoding", "error"),
    [
        ("out.gif", Encoding(), OptionInvalid),
        ("out", Encoding(), OptionInvalid),
        ("nowhere/out.mp4", Encoding(), OutputUnwritable),
        ("folder.mp4", Encoding(), OutputUnwritable),
        ("a.mp4", Encoding(), OutputIsInput),
        ("link.mp4", Encoding(), OutputIsInput),
        ("x" * 300 + ".mp4", Encoding(), OutputUnwritable),
        ("out.mp4", Encoding(codec="nonsense"), OptionInvalid),
        ("out.mp4", Encoding(codec="aac"), OptionInvalid),
        ("out.mp4", Encoding(preset="quickly"), OptionInvalid),
        ("out.mp4", Encoding(pixel_format="rainbow"), OptionInvalid),
        ("out.mp4", Encoding(crf=99), OptionInvalid),
        ("out.mp4", Encoding(audio_bitrate=5), OptionInvalid),
    ],
)
def test_invalid_outputs_are_rejected_before_any_work(tmp_path, name, encoding, error):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"something")
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(error):
        check_output(tmp_path / name, [source], encoding)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.ENOMEM, OutOfMemory),
        (errno.EACCES, OutputUnwritable),
        (errno.EIO, EncodeFailed),
    ],
)
def test_system_errors_are_mapped(tmp_path, number, error):
    with pytest.raises(error, match=r"out\.mp4"), encode_errors(tmp_path / "out.mp4"):
        raise OSError(number, "failed")
