"""Recognise pictures by their first bytes, without loading a library for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SIGNATURE_BYTES: Final = 32
SIGNATURES: Final = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xffO\xffQ": "JPEG2000",
}
# Major brands of the ISO base media files that hold pictures (ISO/IEC 23008-12; AV1 Image File Format).
AVIF_BRANDS: Final = (b"avif", b"avis")
HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")  # sequences are videos to FFmpeg


def picture_formats(path: Path) -> tuple[str, ...]:
    """Return the picture formats that the file may have, by Pillow's names; none for other media. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(SIGNATURE_BYTES)
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return (name,)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ("WEBP",)
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return ("BMP",)
    if head[4:8] == b"ftyp" and head[8:12] in (*AVIF_BRANDS, *HEIF_BRANDS):
        return ("AVIF",) if head[8:12] in AVIF_BRANDS else ("HEIF", "AVIF")
    return ()
