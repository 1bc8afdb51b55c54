from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import EncodeFailed
from lipsync.media.encoding import Encoding
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import ping_pong, read
from lipsync.media.writer import write


@pytest.fixture
def tone(tmp_path, make_audio):
    def make(seconds: float, rate: int = 16_000, channels: int = 1):
        wave = np.sin(np.arange(round(seconds * rate)) * 0.1) * 8000
        return probe(make_audio(tmp_path / "tone.wav", np.repeat(wave[:, None], channels, 1).astype(np.int16), rate))

    return make


@pytest.fixture
def transcode(tmp_path):
    def make(clip, audio, count: int, name: str = "out.mp4", encoding: Encoding | None = None):
        frames = ping_pong(clip, count, clip.video.frame_count)
        encoding = encoding or Encoding()
        frame_sets = zip(frames, strict=True)
        return write(frame_sets, [tmp_path / name], video=clip, audio=audio, frame_count=count, encoding=encoding)[0]

    return make


def leftovers(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith(".") or p.name == "out.mp4")


def test_every_frame_and_all_of_the_audio_is_written(tmp_path, make_video, number_of, tone, transcode):
    clip = probe(make_video(tmp_path / "a.mp4", frames=50))
    written = transcode(clip, tone(2), 50)
    assert (written.frame_count, written.width, written.height, written.padding) == (50, 192, 96, (0, 0))
    assert written.bytes == written.path.stat().st_size
    result = probe(written.path)
    assert [number_of(p.y) for p in read(result)] == list(range(50))
    video, audio = result.video, audio_of(result)
    assert (video.codec, video.rate, video.frame_count, video.pixel_format) == ("h264", 25, 50, "yuv420p")
    assert (audio.codec, audio.rate, audio.channels) == ("aac", 16_000, 1)
    assert abs(audio.duration - video.duration) <= Fraction(1, 25)
    assert leftovers(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize(
    ("rate", "channels", "delivered"), [(44_100, 2, 44_100), (48_000, 6, 48_000), (11_000, 1, 48_000)]
)
def test_audio_keeps_its_own_rate_and_channels(tmp_path, make_video, tone, transcode, rate, channels, delivered):
    clip = probe(make_video(tmp_path / "a.mp4"))
    audio = audio_of(probe(transcode(clip, tone(1, rate, channels), 25).path))
    assert (audio.rate, audio.channels) == (delivered, channels)


def test_nothing_drifts_over_ten_minutes(tmp_path, make_video, tone, transcode):
    rate = Fraction(30000, 1001)
    clip = probe(make_video(tmp_path / "a.mp4", size=(96, 64), rate=rate, frames=20))
    frames = round(600 * rate)
    written = transcode(clip, tone(600, 8_000), frames, encoding=Encoding(preset="ultrafast"))
    result = probe(written.path)
    video, audio = result.video, audio_of(result)
    assert (video.rate, video.frame_count) == (rate, frames)
    assert abs(video.duration - 600) <= 1 / rate
    assert abs(audio.duration - 600) <= 1 / rate


@pytest.mark.parametrize("size", [(193, 97), (193, 96), (192, 97)])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_odd_sizes_are_padded_and_flagged(tmp_path, make_video, tone, transcode, size, suffix):
    clip = probe(make_video(tmp_path / "a.mkv", codec="ffv1", size=size, frames=10))
    written = transcode(clip, tone(0.4), 10, f"out.{suffix}")
    assert (written.width, written.height) == size
    assert written.padding == (size[0] % 2, size[1] % 2)
    source, result = next(read(clip)), next(read(probe(written.path)))
    height, width = source.y.shape
    assert result.y.shape == (height + written.padding[1], width + written.padding[0])
    assert np.abs(result.y[:height, :width].astype(int) - source.y).mean() < 2
    content = written.path.read_bytes()
    if suffix != "mkv":
        position = content.index(b"clap") + 4
        fields = [int.from_bytes(content[position + 4 * k : position + 4 * k + 4], "big") for k in range(4)]
        assert fields == [size[0], 1, size[1], 1]


@pytest.mark.parametrize("size", [(192, 96), (192, 98), (194, 102), (64, 34)])
def test_all_three_planes_are_bit_exact_at_any_size(tmp_path, make_video, tone, transcode, size):
    clip = probe(make_video(tmp_path / "a.mp4", size=size, frames=5))
    written = transcode(clip, tone(1), 5, "out.mkv", Encoding(crf=0))
    for before, after in zip(read(clip), read(probe(written.path)), strict=True):
        for plane in "yuv":
            assert np.array_equal(getattr(before, plane), getattr(after, plane)), plane


def test_colour_tags_and_ten_bits_are_carried_over(tmp_path, make_video, tone, transcode):
    clip = probe(make_video(tmp_path / "a.mp4", codec="libx265", form="yuv420p10le", colour=(1, 9, 9, 16), frames=5))
    video = probe_video(transcode(clip, tone(0.2), 5).path).video
    assert video.pixel_format == "yuv420p10le"
    assert video.colour == clip.video.colour


@pytest.mark.parametrize(
    ("encoding", "codec", "form"),
    [
        (Encoding(codec="libx265", preset="ultrafast"), "hevc", "yuv420p"),
        (Encoding(pixel_format="yuv444p"), "h264", "yuv444p"),
        (Encoding(codec="prores_ks"), "prores", "yuv422p10le"),
        (Encoding(codec="libsvtav1", crf=40), "av1", "yuv420p"),
    ],
)
def test_codec_and_pixel_format_are_options(tmp_path, make_video, tone, transcode, encoding, codec, form):
    clip = probe(make_video(tmp_path / "a.mp4", frames=5))
    video = probe_video(
        transcode(clip, tone(0.2), 5, "out.mov" if codec == "prores" else "out.mp4", encoding).path
    ).video
    assert video.codec in (codec, "libdav1d")
    assert video.pixel_format == form


@pytest.mark.parametrize("name", ["10:30.mp4", "take:2/50%d.mp4"])
def test_a_relative_output_may_contain_a_colon(tmp_path, monkeypatch, make_video, tone, name):
    monkeypatch.chdir(tmp_path)
    clip, output = probe(make_video(tmp_path / "a.mp4", frames=5)), Path(name)
    output.parent.mkdir(exist_ok=True)
    write(zip(read(clip), strict=True), [output], video=clip, audio=tone(0.2), frame_count=5, encoding=Encoding())
    assert probe_video(output).video.frame_count == 5


def test_an_existing_result_is_replaced_only_by_a_complete_one(tmp_path, make_video, tone):
    clip, audio, output = probe(make_video(tmp_path / "a.mp4")), tone(1), tmp_path / "out.mp4"
    output.write_bytes(b"the existing one")

    def failing() -> Iterator:
        yield from zip(read(clip, stop=10), strict=True)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        write(failing(), [output], video=clip, audio=audio, frame_count=30, encoding=Encoding())
    assert output.read_bytes() == b"the existing one"
    assert leftovers(tmp_path) == ["out.mp4"]


def test_the_thread_of_the_audio_ends_with_the_video_even_after_a_failure(tmp_path, make_video, tone):
    clip, audio = probe(make_video(tmp_path / "a.mp4")), tone(30)

    def failing() -> Iterator:
        yield from zip(read(clip, stop=3), strict=True)
        assert any(thread.name == "prefetch" for thread in threading.enumerate())
        raise KeyError("no more")

    with pytest.raises(KeyError):
        write(failing(), [tmp_path / "out.mp4"], video=clip, audio=audio, frame_count=750, encoding=Encoding())
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert leftovers(tmp_path) == []


def test_too_few_frames_are_a_failure(tmp_path, make_video, tone):
    clip, audio = probe(make_video(tmp_path / "a.mp4")), tone(1)
    frame_sets, outputs = zip(read(clip, stop=10), strict=True), [tmp_path / "out.mp4"]
    with pytest.raises(EncodeFailed, match="got 10 frames, expected 25"):
        write(frame_sets, outputs, video=clip, audio=audio, frame_count=25, encoding=Encoding())
    assert leftovers(tmp_path) == []


def test_several_results_are_written_together_or_not_at_all(tmp_path, make_video, number_of, tone):
    clip, audio = probe(make_video(tmp_path / "a.mp4", frames=25)), tone(1)
    outputs = [tmp_path / "forwards.mp4", tmp_path / "backwards.mkv"]
    frames = list(read(clip))
    frame_sets = list(zip(frames, reversed(frames), strict=True))
    written = write(frame_sets, outputs, video=clip, audio=audio, frame_count=25, encoding=Encoding())
    assert [w.path for w in written] == outputs
    assert [number_of(p.y) for p in read(probe(outputs[0]))] == list(range(25))
    assert [number_of(p.y) for p in read(probe(outputs[1]))] == list(range(24, -1, -1))
    assert all(audio_of(probe(output)).rate == 16_000 for output in outputs)
    for output in outputs:
        output.unlink()
    with pytest.raises(EncodeFailed):
        write(frame_sets[:20], outputs, video=clip, audio=audio, frame_count=25, encoding=Encoding())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "tone.wav"]


def test_the_index_is_at_the_front(tmp_path, make_video, tone, transcode):
    content = transcode(probe(make_video(tmp_path / "a.mp4")), tone(1), 25).path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("encoding", "settings"), [(Encoding(), b"subme=2 psy=1"), (Encoding(crf=30, preset="slow"), b"subme=8 psy=1")]
)
def test_the_encoder_receives_its_settings(tmp_path, make_video, tone, transcode, encoding, settings):
    content = transcode(probe(make_video(tmp_path / "a.mp4")), tone(1), 25, encoding=encoding).path.read_bytes()
    assert settings in content  # x264 writes its settings into the stream
    assert b"crf=%d.0" % encoding.crf in content


def test_av1_is_encoded_silently_without_changing_the_environment(tmp_path, make_video, tone, transcode, capfd):
    before = dict(os.environ)
    transcode(probe_video(make_video(tmp_path / "a.mp4", frames=5)), tone(0.2), 5, encoding=Encoding("libsvtav1", 40))
    assert dict(os.environ) == before
    assert capfd.readouterr().err == ""
