from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.errors import (
    FileEmpty,
    FileMissing,
    FrameTooSmall,
    MediaTruncated,
    NoAudioStream,
    NoFrames,
    NotAFile,
    NotMedia,
    NoVideoStream,
)
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import read


@pytest.mark.parametrize("rate", ["24", "30", "60", "30000/1001"])
def test_the_rate_of_a_video_that_stalls_is_found_from_millisecond_times(tmp_path, rate):
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for k in range(120):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), k, np.uint8), "rgb24")
            frame.pts, frame.time_base = k + 30 * (k >= 60), 1 / Fraction(rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    video = probe_video(tmp_path / "a.mkv").video
    assert (video.rate, video.variable) == (Fraction(rate), True)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("rate", ["25", "30000/1001", "24000/1001", "12", "60", "100", "240"])
def test_the_exact_rate_is_found(tmp_path, make_video, suffix, rate):
    path = make_video(tmp_path / f"a.{suffix}", rate=Fraction(rate), frames=40)
    video = probe_video(path).video
    assert (video.rate, video.frame_count, video.variable) == (Fraction(rate), 40, False)
    assert video.duration == 40 / Fraction(rate)


def test_uneven_times_are_detected(tmp_path, make_video):
    stamps = [0, 33, 67, 100, 500, 533, 567, 600, 633, 667]
    video = probe_video(make_video(tmp_path / "a.mp4", rate=Fraction(30), frames=10, stamps=stamps)).video
    assert video.variable
    assert video.rate == 30
    assert video.frame_count == 21


def test_colour_tags_depth_and_codec(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", codec="libx265", form="yuv420p10le", colour=(2, 9, 9, 16))
    video = probe_video(path).video
    assert (video.codec, video.depth, video.pixel_format) == ("hevc", 10, "yuv420p10le")
    colour = video.colour
    assert (colour.matrix, colour.primaries, colour.transfer, colour.full_range) == (9, 9, 16, True)


@pytest.mark.parametrize(("rotation", "size"), [(90, (96, 192)), (180, (192, 96)), (-90, (96, 192))])
def test_a_rotated_video_has_its_upright_size(tmp_path, make_video, rotation, size):
    video = probe_video(make_video(tmp_path / "a.mp4", rotation=rotation)).video
    assert (video.width, video.height) == size
    assert video.rotation == rotation % 360


def test_an_animated_avif_is_a_video(tmp_path, make_video):
    clip = probe_video(make_video(tmp_path / "a.avif", codec="libsvtav1", frames=5))
    assert (clip.still, clip.video.frame_count, clip.video.rate) == (False, 5, 25)
    assert len(list(read(clip))) == 5


def test_the_audio_stream_of_a_video(tmp_path, make_video):
    audio = audio_of(probe(make_video(tmp_path / "a.mp4", audio_samples=48_000)))
    assert (audio.codec, audio.rate, audio.channels, audio.layout) == ("aac", 48_000, 1, "mono")
    assert float(audio.duration) == pytest.approx(1, abs=0.05)


def test_an_audio_file_has_no_video_stream(tmp_path, make_audio):
    path = make_audio(tmp_path / "a.wav", np.zeros((8_000, 2), np.int16))
    assert audio_of(probe(path)).channels == 2
    with pytest.raises(NoVideoStream, match="no video stream"):
        probe_video(path)


def test_a_silent_video_has_no_audio_stream(tmp_path, make_video):
    with pytest.raises(NoAudioStream, match="no audio stream"):
        audio_of(probe(make_video(tmp_path / "a.mp4")))


def test_cover_art_is_not_a_video_stream(tmp_path, make_audio):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        audio = out.add_stream("aac", rate=16_000, layout="mono")
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        block.sample_rate = 16_000
        out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    clip = probe(path)
    assert clip.video is None
    assert audio_of(clip).codec == "aac"


def test_a_photo_is_one_frame_at_the_requested_rate(tmp_path, save_photo):
    clip = probe(save_photo(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8)), photo_rate=Fraction(30))
    video = clip.video
    assert clip.still
    assert (video.rate, video.frame_count, video.width, video.height) == (30, 1, 80, 60)


def test_a_huge_photo_is_downscaled(tmp_path, save_photo):
    video = probe_video(save_photo(tmp_path / "a.jpg", np.zeros((2000, 8000, 3), np.uint8))).video
    assert (video.width, video.height) == (3840, 960)


@pytest.mark.parametrize(
    ("content", "error"), [(b"", FileEmpty), (b"hello, this is not a video\n" * 50, NotMedia), (b"\x00\x00", NotMedia)]
)
def test_other_files_are_rejected(tmp_path, content, error):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(error, match=r"a\.mp4"):
        probe(path)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Sign in</title>", b"\xef\xbb\xbf\n<HTML lang='en'>"])
def test_a_web_page_in_place_of_a_video_is_named_as_one(tmp_path, page):
    path = tmp_path / "a.mp4"
    path.write_bytes(page + b"<p>Virus scan warning</p>" * 100)
    with pytest.raises(NotMedia, match=r"a\.mp4: a web page"):
        probe(path)


@pytest.mark.parametrize("name", ["10:30.mp4", "http:talk.mp4", "concat:a|b.mp4", "file:a.mp4", "50%.mp4", "%03d.mp4"])
@pytest.mark.parametrize("folder", ["", "./", "take: 2/"])
def test_a_relative_name_is_never_a_protocol_or_pattern(tmp_path, monkeypatch, make_video, name, folder):
    monkeypatch.chdir(tmp_path)
    path = Path(folder + name)
    path.parent.mkdir(exist_ok=True)
    make_video(tmp_path / "plain.mp4", frames=7).rename(path)
    assert probe_video(path).video.frame_count == 7
    assert len(list(read(probe_video(path)))) == 7


def test_a_photo_whose_name_looks_like_a_pattern_is_read_itself(tmp_path, save_photo):
    for name, grey in (("photo%d.png", 200), ("photo1.png", 20)):
        save_photo(tmp_path / name, np.full((64, 64, 3), grey, np.uint8))
    clip = probe_video(tmp_path / "photo%d.png")
    assert clip.still
    assert next(read(clip)).y.mean() > 150


def test_missing_files_and_directories_are_rejected(tmp_path):
    with pytest.raises(FileMissing, match="no such file"):
        probe(tmp_path / "nothing.mp4")
    with pytest.raises(NotAFile, match="not a regular file"):
        probe(tmp_path)


def test_a_video_without_a_frame(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=1)
    content = path.read_bytes()
    for table, skipped in ((b"stts", 0), (b"stsc", 0), (b"stco", 0), (b"stsz", 4), (b"stss", 0)):
        position = content.find(table) + 8 + skipped  # the number of entries stands after version and flags
        if position > 8 + skipped:
            content = content[:position] + bytes(4) + content[position + 4 :]
    path.write_bytes(content)
    with pytest.raises(NoFrames, match="the video contains no frames"):
        probe(path)


def test_a_tiny_frame_is_rejected(tmp_path, make_video):
    with pytest.raises(FrameTooSmall, match="16x16"):
        probe(make_video(tmp_path / "a.mp4", size=(16, 16)))


@pytest.mark.parametrize(("suffix", "share"), [("mp4", 0.5), ("mp4", 0.85), ("mkv", 0.5)])
def test_a_truncated_file_is_rejected(tmp_path, make_video, suffix, share):
    complete = make_video(tmp_path / f"whole.{suffix}", frames=100, gop=5).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(complete[: int(len(complete) * share)])
    with pytest.raises(MediaTruncated, match="truncated"):
        probe(path)


def test_the_error_for_a_truncated_file_says_where_it_ends(tmp_path, make_video):
    whole = tmp_path / "whole.mp4"
    origin = make_video(tmp_path / "a.mp4", frames=100, gop=5)
    with av.open(str(origin)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(MediaTruncated, match=r"truncated after [0-3]\.\d s"):
        probe(path)


@pytest.mark.parametrize("kind", ["gray", "ya8"])
def test_a_grey_photo_is_read_as_bt709_of_limited_range(tmp_path, kind):
    with av.open(str(tmp_path / "a.png"), "w", format="image2", options={"update": "1"}) as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, kind
        out.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64), 90, np.uint8), "gray").reformat(format=kind))
        )
        out.mux(stream.encode(None))
    clip = probe_video(tmp_path / "a.png")
    assert (clip.video.colour.matrix, clip.video.colour.full_range) == (1, False)
    assert int(next(read(clip)).y[20, 20]) == round(16 + 90 * 219 / 255)
