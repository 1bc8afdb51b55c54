"""Photos and animations, each format as its viewers show it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from lipsync.errors import MediaTruncated
from lipsync.media.picture import timing_of
from lipsync.media.probe import probe_video
from lipsync.media.reader import ping_pong, read
from lipsync.types import VideoClip

CORNERS = (60, 100, 140, 180)  # grey levels: top left, top right, bottom left, bottom right
# Which corners of the stored picture an Exif orientation shows, row by row.
SHOWN = {1: "0123", 2: "1032", 3: "3210", 4: "2301", 5: "0213", 6: "2031", 7: "3120", 8: "1302"}
# sRGB with another gamma, and Display P3's primaries, both adapted to D50.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def oriented(path: Path, orientation: int) -> Path:
    """A picture of 96x64 whose corners show how it was turned."""
    levels = np.kron(np.array(CORNERS, np.uint8).reshape(2, 2), np.ones((32, 48), np.uint8))
    image, exif = Image.fromarray(levels).convert("RGB"), Image.Exif()
    exif[Base.Orientation] = orientation
    if path.suffix == ".heic":
        pillow_heif.encode("RGB", image.size, image.tobytes(), path, exif=exif.tobytes(), quality=95)
    elif path.suffix == ".tif":
        image.save(path, tiffinfo={Base.Orientation.value: orientation})
    else:
        image.save(path, exif=exif, quality=95)
    return path


def grey_corners(luma: NDArray[Any]) -> str:
    """The numbers of the corners' levels, row by row."""
    levels = [16 + level * 219 / 255 for level in CORNERS]
    return "".join(str(int(np.argmin(np.abs(np.array(levels) - luma[y, x])))) for y in (8, -8) for x in (8, -8))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_every_format_is_turned_and_mirrored_as_its_orientation_says(tmp_path, suffix, orientation):
    path = oriented(tmp_path / f"a{suffix}", orientation)
    if suffix in (".avif", ".heic"):  # HEIF's own boxes, which viewers of both formats follow
        boxes = {b"irot": (3, 5, 6, 7, 8), b"imir": (2, 4, 5, 7)}
        expected = [box for box, orientations in boxes.items() if orientation in orientations]
        assert all(box in path.read_bytes() for box in expected)
    clip = probe_video(path)
    assert (clip.video.width, clip.video.height) == ((64, 96) if orientation > 4 else (96, 64))
    assert grey_corners(next(read(clip)).y) == SHOWN[orientation]


def test_damaged_exif_is_ignored(tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert int(next(read(probe_video(tmp_path / "a.jpg"))).y[5, 5]) == 235


def test_a_phone_photo_of_tiles_is_read_whole(tmp_path, photo):
    picture = cv2.resize(photo, (600, 450))
    heif = pillow_heif.from_bytes("RGB", (600, 450), picture.tobytes())
    heif.save(tmp_path / "phone.heic", tile_size=384, quality=80)
    assert b"grid" in (tmp_path / "phone.heic").read_bytes()
    clip = probe_video(tmp_path / "phone.heic")
    assert (clip.still, clip.video.width, clip.video.height) == (True, 600, 450)
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
    assert np.abs(next(read(clip)).y.astype(float) - (16 + luma * 219 / 255)).mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8(tmp_path, suffix, channels):
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    cv2.imwrite(str(tmp_path / f"a{suffix}"), ramp if channels == 1 else np.dstack([ramp] * 3))
    luma = next(read(probe_video(tmp_path / f"a{suffix}"))).y[32]
    assert luma[[0, 64, 128, 255]].tolist() == pytest.approx([16, 71, 126, 235], abs=2)


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert shown_rgb(tmp_path / "a.jpg") == pytest.approx([255, 0, 0], abs=6)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".heic"])
def test_display_p3_becomes_srgb(tmp_path, suffix):
    value = (190, 120, 80)
    save_with_profile(tmp_path / f"a{suffix}", value, icc_profile(DISPLAY_P3))
    to_srgb = np.linalg.inv(np.array(SRGB).T) @ np.array(DISPLAY_P3).T
    linear = to_srgb @ (np.array(value) / 255) ** 2.2
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(expected - value).max() > 10
    assert shown_rgb(tmp_path / f"a{suffix}") == pytest.approx(expected.tolist(), abs=6)


@pytest.mark.parametrize("profile", [b"not a profile", None])
def test_a_profile_that_cannot_be_used_leaves_the_values(tmp_path, profile):
    image = Image.new("RGB", (64, 64), (190, 120, 80))
    image.save(tmp_path / "a.png", icc_profile=profile)
    assert shown_rgb(tmp_path / "a.png") == pytest.approx([190, 120, 80], abs=3)


DELAYS = (100, 50, 150, 1000)
STARTS = (0, 2, 3, 6)  # at 20 frames/s; the last picture stays until frame 25


def animation(path: Path, delays: Sequence[int] = DELAYS, **options: Any) -> Path:
    pictures = [Image.new("RGB", (64, 48), (60 + 40 * k,) * 3) for k in range(len(delays))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(delays), **options)
    return path


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_an_animation_keeps_its_delays_and_the_last_one_counts(tmp_path, suffix):
    clip = probe_video(animation(tmp_path / f"a{suffix}"))
    video = clip.video
    assert (clip.still, video.rate, video.frame_count, video.variable) == (False, 20, 26, True)
    frames = list(read(clip))
    assert [frame.index for frame in frames] == list(range(26))
    assert changes(frames) == list(STARTS)
    assert changes(read(clip, start=5)) == [5, 6]
    assert [frame.index for frame in read(clip, start=4, stop=7)] == [4, 5, 6]


def test_an_animation_plays_forwards_and_backwards(tmp_path):
    clip = probe_video(animation(tmp_path / "a.webp"))
    assert changes(ping_pong(clip, 52, 26))[:5] == [0, 2, 3, 6, 5]


def test_the_picture_of_an_apng_for_other_readers_is_not_part_of_it(tmp_path):
    white = Image.new("RGB", (64, 48), "white")
    pictures = [Image.new("RGB", (64, 48), (60 + 40 * k,) * 3) for k in range(3)]
    white.save(tmp_path / "a.png", save_all=True, append_images=pictures, duration=100, default_image=True)
    clip = probe_video(tmp_path / "a.png")
    assert (clip.video.rate, clip.video.frame_count) == (10, 3)
    assert max(int(frame.y.max()) for frame in read(clip)) < 200


@pytest.mark.parametrize(
    ("delays", "rate", "frames"),
    [
        ((100, 100, 100), 10, 3),
        ((33, 33, 34), 30, 3),  # 30 frames/s in milliseconds
        ((0, 10, 100), 10, 3),  # as browsers show them
        ((2000, 4000), 5, 30),
        ((40, 40, 500), 50, 29),
    ],
)
def test_the_rate_of_an_animation_shows_each_picture_on_time(tmp_path, delays, rate, frames):
    pictures = [Image.new("RGB", (64, 48), (60 + 40 * k,) * 3) for k in range(3)][: len(delays)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=list(delays))
    video = probe_video(tmp_path / "a.png").video
    assert (video.rate, video.frame_count) == (rate, frames)


def test_the_rate_of_long_delays_stays_exact():
    timing = timing_of([5000, 5000])
    assert (timing.rate, timing.frame_count, timing.variable) == (5, 50, False)


def test_several_pictures_in_one_tiff_are_no_animation(tmp_path):
    pages = [Image.new("RGB", (64, 48), (level,) * 3) for level in (50, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    clip = probe_video(tmp_path / "a.tif")
    assert (clip.still, clip.video.frame_count) == (True, 1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".avif", ".heic"])
def test_a_truncated_picture_is_rejected(tmp_path, photo, suffix):
    path = tmp_path / f"a{suffix}"
    pillow_heif.from_pillow(Image.fromarray(photo)).save(path) if suffix == ".heic" else Image.fromarray(photo).save(
        path
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaTruncated, match="truncated"):
        probe_video(path)


def changes(frames: Any) -> list[int]:
    """The indices of the frames that differ from the one before, the first included."""
    last, found = -1, []
    for frame in frames:
        level = int(frame.y[24, 32])
        if abs(level - last) > 8:
            found.append(frame.index)
        last = level
    return found


def shown_rgb(path: Path) -> list[float]:
    """The colour in the middle of a photo as it is read."""
    clip: VideoClip = probe_video(path)
    frame = next(read(clip))
    y, u, v = (float(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in (frame.y, frame.u, frame.v))
    luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    rgb = luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue
    return [255 * value for value in rgb]


def save_with_profile(path: Path, value: tuple[int, int, int], profile: bytes) -> None:
    image = Image.new("RGB", (64, 64), value)
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, quality=95, icc_profile=profile)
    else:
        image.save(path, quality=100, icc_profile=profile)


def icc_profile(primaries: Sequence[Sequence[float]]) -> bytes:
    """A display profile (ICC.1:2001-04) of three primaries, in XYZ under D50, with a gamma of 2.2."""

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text + bytes(-len(text) % 4), b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {name: xyz(primary) for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, position = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", position + len(body), len(content))
        body += content
    size = position + len(body)
    head = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body
