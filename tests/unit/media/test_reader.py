from __future__ import annotations

import struct
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest

from lipsync.frames.order import ping_pong_index
from lipsync.media.probe import probe
from lipsync.media.reader import key_frames, ping_pong, read
from lipsync.media.video_frames import planes_of


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("mp4", "libx265"), ("mov", "prores_ks")]
)
def test_every_frame_in_order(tmp_path, make_video, number_of, suffix, codec):
    form = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = make_video(tmp_path / f"a.{suffix}", frames=40, codec=codec, form=form, rate=Fraction(30000, 1001))
    frames = list(read(probe(path)))
    assert [p.index for p in frames] == list(range(40))
    shift = 2 if codec == "prores_ks" else 0
    assert [number_of(p.y >> shift) for p in frames] == list(range(40))
    assert frames[0].depth == (10 if shift else 8)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("start", [1, 11, 12, 13, 39])
def test_starting_later_gives_the_same_frames(tmp_path, make_video, suffix, start):
    clip = probe(make_video(tmp_path / f"a.{suffix}", frames=40))
    every, rest = list(read(clip)), list(read(clip, start=start))
    assert [p.index for p in rest] == list(range(start, 40))
    for one, other in zip(every[start:], rest, strict=True):
        assert (one.y == other.y).all()
        assert (one.u == other.u).all()


def test_stop_is_excluded(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "a.mp4"))
    assert [p.index for p in read(clip, start=3, stop=7)] == [3, 4, 5, 6]


def test_frames_do_not_share_memory(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "a.mp4", rate=Fraction(10), frames=3, stamps=[0, 100, 900]))
    frames = list(read(clip))
    assert len(frames) == 10
    frames[2].y[:] = 0
    assert frames[3].y.any()


def test_read_only_frames_are_equal_and_cannot_be_written(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "a.mp4", frames=8))
    for own, read_only in zip(read(clip), read(clip, read_only=True), strict=True):
        assert (own.y == read_only.y).all()
        assert own.y.flags.writeable
        assert not read_only.y.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            read_only.u[:] = 0


def test_uneven_times_are_converted_to_a_constant_rate(tmp_path, make_video, number_of):
    stamps = [0, 33, 67, 100, 300, 333, 340, 367]  # one frame is long, one is superfluous
    clip = probe(make_video(tmp_path / "a.mp4", rate=Fraction(30), frames=8, stamps=stamps))
    numbers = [number_of(p.y) for p in read(clip)]
    assert numbers == [0, 1, 2, 3, 3, 3, 3, 3, 3, 4, 6, 7]
    assert [number_of(p.y) for p in read(clip, start=5)] == numbers[5:]


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (270, (0, 1))])
def test_frames_are_upright(tmp_path, make_video, rotation, corner):
    """Bar 0 of frame 1 is bright, at the left; a quarter turn counterclockwise moves it to the bottom."""
    clip = probe(make_video(tmp_path / "a.mp4", frames=2, rotation=rotation))
    frame = list(read(clip))[1]
    height, width = frame.y.shape
    assert (width, height) == (clip.video.width, clip.video.height)
    corners = {(r, c): frame.y[r * (height - 1), c * (width - 1)] > 128 for r in (0, 1) for c in (0, 1)}
    bright = {position for position, lit in corners.items() if lit}
    assert corner in bright
    assert len(bright) == 2
    assert frame.u.shape == ((height + 1) // 2, (width + 1) // 2)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("matrix", "corners"),
    [
        ((-1, 0, 0, 1), "1032"),
        ((1, 0, 0, -1), "2301"),
        ((0, 1, 1, 0), "0213"),
        ((0, -1, -1, 0), "3120"),
        ((0, 1, -1, 0), "2031"),
    ],
)
def test_mirrored_frames_are_flipped(tmp_path, matrix, corners, read_only):
    """``matrix``: of the track header. ``corners``: which corners of the coded frame are shown, row by row."""
    path = tmp_path / "a.mp4"
    levels = np.kron(np.array([[60, 100], [140, 180]], np.uint8), np.ones((32, 48), np.uint8))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(levels, "gray8").reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    (coded,) = read(probe(path))
    content = path.read_bytes()
    track = content.index(b"tkhd")
    before, after = (
        struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        for a, b, c, d in ((1, 0, 0, 1), matrix)
    )
    path.write_bytes(content[:track] + content[track:].replace(before, after, 1))
    (frame,) = read(probe(path), read_only=read_only)
    in_order = coded.y[[8, 8, -8, -8], [8, -8, 8, -8]]
    assert len(set(in_order.tolist())) == 4
    assert frame.y[[8, 8, -8, -8], [8, -8, 8, -8]].tolist() == in_order[[int(corner) for corner in corners]].tolist()


@pytest.mark.parametrize("size", [(193, 97), (192, 97)])
def test_odd_sizes_lose_nothing(tmp_path, make_video, size):
    clip = probe(make_video(tmp_path / "a.mkv", codec="ffv1", size=size, frames=2))
    frame = next(read(clip))
    assert frame.y.shape == size[::-1]
    assert frame.u.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p", "yuv422p"])
@pytest.mark.parametrize("full", [False, True])
def test_values_are_those_of_the_file(tmp_path, make_video, form, full):
    colour = (2 if full else 1, 1, 1, 1)
    clip = probe(make_video(tmp_path / "a.mkv", codec="ffv1", form=form, frames=2, colour=colour))
    frame = list(read(clip))[1]
    assert clip.video.colour.full_range == full
    with av.open(str(clip.path)) as container:
        coded = planes_of(list(container.decode(video=0))[1])
    assert (frame.y == coded[0]).all()
    assert int(frame.u[20, 20]) == int(coded[1][20, 20])


@pytest.mark.parametrize("start", [0, 3, 12])
def test_the_last_frame_lasts_as_long_as_the_file_says(tmp_path, make_video, number_of, start):
    short, path = make_video(tmp_path / "a.mp4", frames=5), tmp_path / "held.mp4"
    with av.open(str(short)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets:
            if packet.pts == max(p.pts for p in packets):
                packet.duration *= 11
            packet.stream = stream
            out.mux(packet)
    clip = probe(path)
    assert (clip.video.rate, clip.video.frame_count) == (25, 15)
    assert [number_of(frame.y) for frame in read(clip, start=start)] == [0, 1, 2, 3, *[4] * 11][start:]


def test_a_call_that_begins_slowly_keeps_the_frames_of_its_faster_part(tmp_path, make_video, number_of):
    stamps = [*range(0, 4000, 125), *(4000 + round(k * 1000 / 30) for k in range(32))]
    clip = probe(make_video(tmp_path / "call.mkv", frames=64, stamps=stamps, rate=Fraction(1000)))
    assert (clip.video.rate, clip.video.variable) == (30, True)
    assert {number_of(frame.y) for frame in read(clip)} == set(range(64))


def test_a_photo_in_rgb_becomes_bt709(tmp_path, save_photo):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 0] = 255
    clip = probe(save_photo(tmp_path / "a.png", pixels))
    frame = next(read(clip))
    assert (clip.video.colour.matrix, clip.video.colour.full_range) == (1, False)
    assert [int(plane[20, 20]) for plane in (frame.y, frame.u, frame.v)] == pytest.approx([63, 102, 240], abs=1)


def test_transparent_parts_of_a_photo_are_black(tmp_path, save_photo):
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[:32, :, 3] = 0
    frame = next(read(probe(save_photo(tmp_path / "a.png", pixels))))
    assert int(frame.y[10, 10]) == 16
    assert int(frame.y[50, 50]) == 235


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_by_its_exif_orientation(tmp_path, save_photo, orientation):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48] = 255
    path = save_photo(tmp_path / "a.jpg", pixels)
    tag = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + bytes(4)
    body = b"Exif\0\0" + tag
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + content[2:])
    clip = probe(path)
    assert (clip.video.width, clip.video.height) == ((96, 64) if orientation < 5 else (64, 96))
    luma = next(read(clip)).y
    top, left = orientation in (1, 2, 5, 6), orientation in (1, 4, 5, 8)
    assert luma[8 if top else -8, 8 if left else -8] > 220
    assert luma.mean() < 90


def test_broken_packets_repeat_the_frame_before(tmp_path, make_video, number_of):
    path = make_video(tmp_path / "a.avi", codec="mpeg4", gop=1, frames=30)
    content = bytearray(path.read_bytes())
    positions = [k for k in range(len(content)) if content.startswith(b"00dc", k)][:30]
    content[positions[10] + 8 : positions[10] + 40] = bytes(32)
    path.write_bytes(content)
    numbers = [number_of(p.y) for p in read(probe(path))]
    assert len(numbers) == 30
    assert numbers[:10] + numbers[11:] == [*range(10), *range(11, 30)]


@pytest.mark.parametrize("buffer_bytes", [0, 30 * 192 * 96, 1 << 30])
def test_a_short_clip_plays_forwards_and_backwards(tmp_path, make_video, number_of, buffer_bytes):
    clip = probe(make_video(tmp_path / "a.mp4", frames=37))
    frames = list(ping_pong(clip, 120, 37, buffer_bytes))
    assert [p.index for p in frames] == [ping_pong_index(i, 37) for i in range(120)]
    assert [number_of(p.y) for p in frames] == [p.index for p in frames]


def test_a_photo_is_repeated_in_separate_memory(tmp_path, save_photo):
    clip = probe(save_photo(tmp_path / "a.png", np.full((64, 64, 3), 90, np.uint8)))
    one, two, three = ping_pong(clip, 3, 1)
    one.y[:] = 0
    assert two.y.all()
    assert (two.y == three.y).all()


def test_reading_can_be_stopped_at_any_time(tmp_path, make_video):
    frames = read(probe(make_video(tmp_path / "a.mp4")))
    assert len(list(islice(frames, 3))) == 3
    frames.close()
    assert next(frames, None) is None


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx265"), ("mov", "prores_ks")])
def test_key_frames_before_evenly_spread_times_are_read(tmp_path, make_video, number_of, suffix, codec):
    form = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = make_video(tmp_path / f"a.{suffix}", frames=40, codec=codec, form=form)
    with av.open(str(path)) as container:
        keys = [k for k, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    numbers = [number_of(frame.y >> (frame.depth - 8)) for frame in key_frames(probe(path), 40, 5)]
    assert numbers == [max(key for key in keys if key <= time) for time in (0, 8, 16, 24, 32)]


def test_key_frames_of_a_stream_without_an_index_begin_at_its_start(tmp_path, make_video, number_of):
    clip = probe(make_video(tmp_path / "a.ts", frames=40))
    numbers = [number_of(frame.y) for frame in key_frames(clip, 40, 5)]
    assert numbers[0] == 0
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 24


def test_a_photo_has_no_key_frames_to_search(tmp_path, save_photo):
    clip = probe(save_photo(tmp_path / "a.png", np.zeros((32, 32, 3), np.uint8)))
    assert list(key_frames(clip, 100)) == []
