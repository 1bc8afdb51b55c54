from __future__ import annotations

import struct

import pytest

from lipsync.errors import EncodeFailed
from lipsync.media.clean_aperture import VISUAL_ENTRY_BYTES, write_clean_aperture


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def track(entry: bytes) -> bytes:
    table = box(b"stsd", bytes(8), entry)
    return box(b"trak", box(b"tkhd", bytes(4)), box(b"mdia", box(b"minf", box(b"stbl", table, box(b"stts", bytes(8))))))


VIDEO = box(b"avc1", bytes(VISUAL_ENTRY_BYTES), box(b"avcC", b"settings"))
AUDIO = box(b"mp4a", bytes(VISUAL_ENTRY_BYTES), box(b"esds", b"settings"))
MEDIA = box(b"mdat", b"frames")
CLAP = box(b"clap", struct.pack(">8i", 191, 1, 95, 1, -1, 2, -1, 2))


def test_the_video_entry_alone_gets_the_box_and_all_sizes_follow(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(MEDIA + box(b"moov", track(VIDEO), track(AUDIO)))
    write_clean_aperture(path, (192, 96), (191, 95))
    marked = box(b"avc1", bytes(VISUAL_ENTRY_BYTES), box(b"avcC", b"settings"), CLAP)
    assert path.read_bytes() == MEDIA + box(b"moov", track(marked), track(AUDIO))


@pytest.mark.parametrize(
    "media",
    [struct.pack(">I4sQ", 1, b"mdat", 22) + b"frames", b""],
    ids=["64-bit size", "no media"],
)
def test_the_index_is_found_after_any_media_box(tmp_path, media):
    path = tmp_path / "a.mp4"
    path.write_bytes(media + box(b"moov", track(VIDEO)))
    write_clean_aperture(path, (192, 96), (191, 95))
    assert path.read_bytes().startswith(media)
    assert path.read_bytes().count(CLAP) == 1


@pytest.mark.parametrize("content", [b"", MEDIA, box(b"moov", track(VIDEO)) + MEDIA])
def test_a_file_whose_index_is_not_at_its_end_stays_unchanged(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(EncodeFailed, match="no index at its end"):
        write_clean_aperture(path, (192, 96), (191, 95))
    assert path.read_bytes() == content
