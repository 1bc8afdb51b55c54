from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.errors import MediaTruncated, OptionInvalid, OutputUnwritable
from lipsync.media.audio_reader import resampled
from lipsync.media.av_offset import av_offset_path, check_offset, write_av_offset_copy
from lipsync.media.encoding import PRESETS, Encoding
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import read
from lipsync.media.writer import write

NTSC = Fraction(30000, 1001)
FILES = [
    ("fast", ".mp4"),
    ("fast", ".m4v"),
    ("q17", ".mov"),
    ("q17", ".mkv"),
    ("hevc", ".mp4"),
    ("hevc", ".mkv"),
    ("av1", ".mp4"),
    ("av1", ".mkv"),
    ("prores", ".mov"),
    ("prores", ".mkv"),
    ("lossless", ".mkv"),
]


def ms(number: int) -> Fraction:
    return Fraction(number, 1000)


@pytest.fixture
def noise(tmp_path, make_audio):
    def make(rate: int = 48_000, channels: int = 1, seconds: float = 1.0):
        wave = np.random.default_rng(5).normal(size=(round(rate * seconds), channels)) * 3000
        return probe(make_audio(tmp_path / "noise.wav", wave.astype(np.int16), rate))

    return make


@pytest.fixture
def finished(tmp_path, make_video):
    def make(audio, encoding: Encoding, suffix: str, **footage):
        clip = probe(make_video(tmp_path / "footage.mkv", codec="ffv1", **{"frames": 30, "rate": NTSC, **footage}))
        frames, output = clip.video.frame_count, tmp_path / f"out{suffix}"
        write(zip(read(clip), strict=True), [output], video=clip, audio=audio, frame_count=frames, encoding=encoding)
        return output

    return make


def samples(path: Path):
    clip = probe(path)
    frames = resampled(clip, "fltp", "mono", audio_of(clip).rate)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def earlier_by(exact: Path, copy: Path) -> int:
    """Samples by which the audio of the copy plays earlier than the exact one."""
    a, b = samples(exact), samples(copy)
    size = 2 * max(len(a), len(b))
    correlation = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)))
    shift = int(correlation.argmax())
    return shift if shift < size // 2 else shift - size


def packets(path: Path) -> list[tuple[bytes, int | None, int | None]]:
    with av.open(str(path)) as container:
        return [(bytes(p), p.pts, p.dts) for p in container.demux(video=0) if p.size]


def header(path: Path) -> tuple[object, ...]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context, first = stream.codec_context, next(container.decode(stream))
        tags = (first.color_range, first.colorspace, first.color_primaries, first.color_trc)
        own = (context.codec_tag, context.extradata, stream.start_time, stream.duration, stream.time_base)
        return (*own, stream.average_rate, stream.sample_aspect_ratio, *map(int, tags))


@pytest.mark.parametrize("offset", [80, -80])
@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_only_the_audio_changes_and_by_exactly_the_offset(tmp_path, noise, finished, name, suffix, offset):
    audio, encoding = noise(), PRESETS[name].encoding
    exact, copy = finished(audio, encoding, suffix, colour=(1, 1, 1, 1)), tmp_path / f"copy{suffix}"
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(offset), encoding=encoding)
    assert packets(copy) == packets(exact)
    assert header(copy) == header(exact)
    assert abs(earlier_by(exact, copy) - 48 * offset) <= 1
    before, after = probe(exact), probe(copy)
    assert after.video == before.video
    assert after.audio == before.audio
    assert len(samples(copy)) == len(samples(exact))


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 6)])
@pytest.mark.parametrize("offset", [1, 120, -1, -120])
@pytest.mark.parametrize(("name", "suffix"), [("fast", ".mp4"), ("prores", ".mov"), ("lossless", ".mkv")])
def test_every_offset_rate_and_number_of_channels(tmp_path, noise, finished, rate, channels, offset, name, suffix):
    audio, encoding = noise(rate, channels), PRESETS[name].encoding
    exact, copy = finished(audio, encoding, suffix), tmp_path / f"copy{suffix}"
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(offset), encoding=encoding)
    assert abs(earlier_by(exact, copy) - round(rate * ms(offset))) <= 1
    assert probe(copy).audio == probe(exact).audio


@pytest.mark.parametrize("offset", [120, -120])
def test_missing_audio_is_replaced_by_silence(tmp_path, noise, finished, offset):
    audio, encoding = noise(), PRESETS["prores"].encoding
    exact, copy = finished(audio, encoding, ".mov"), tmp_path / "copy.mov"
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(offset), encoding=encoding)
    shifted, original, size = samples(copy), samples(exact), 5760
    if offset > 0:
        assert np.array_equal(shifted[:-size], original[size:])
        assert not shifted[-size:].any()
    else:
        assert np.array_equal(shifted[size:], original[:-size])
        assert not shifted[:size].any()


@pytest.mark.parametrize("offset", [120, -120])
def test_audio_shorter_than_the_offset_becomes_silence(tmp_path, noise, finished, offset):
    audio, encoding = noise(seconds=0.1), PRESETS["prores"].encoding
    exact, copy = finished(audio, encoding, ".mov", frames=3), tmp_path / "copy.mov"
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(offset), encoding=encoding)
    assert not samples(copy).any()
    assert len(samples(copy)) == len(samples(exact))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_aperture_is_kept_and_the_index_is_at_the_front(tmp_path, noise, finished, suffix):
    audio = noise()
    exact, copy = finished(audio, Encoding(), suffix, size=(193, 97)), tmp_path / f"copy{suffix}"
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(40), encoding=Encoding())
    before, after = exact.read_bytes(), copy.read_bytes()
    start, copied = before.index(b"clap"), after.index(b"clap")
    assert after[copied : copied + 36] == before[start : start + 36]
    assert after.count(b"clap") == 1
    assert after.index(b"moov") < after.index(b"mdat")


@pytest.mark.parametrize(("name", "suffix"), [("fast", ".mkv"), ("av1", ".mp4"), ("prores", ".mov")])
def test_the_sample_aspect_is_kept(tmp_path, noise, finished, name, suffix):
    audio, encoding = noise(), PRESETS[name].encoding
    square, exact, copy = finished(audio, encoding, suffix), tmp_path / f"wide{suffix}", tmp_path / f"new{suffix}"
    wide = replace(probe(square), video=replace(probe_video(square).video, sample_aspect=Fraction(4, 3)))
    write(zip(read(wide), strict=True), [exact], video=wide, audio=audio, frame_count=30, encoding=encoding)
    write_av_offset_copy(exact, copy, audio=audio, offset=ms(40), encoding=encoding)
    assert probe_video(exact).video.sample_aspect == Fraction(4, 3)
    assert probe(copy).video == probe(exact).video


def test_metadata_is_kept(tmp_path, noise, finished):
    audio = noise()
    exact, tagged, copy = finished(audio, Encoding(), ".mp4"), tmp_path / "tagged.mp4", tmp_path / "copy.mp4"
    with av.open(str(exact)) as source, av.open(str(tagged), "w") as out:
        out.metadata["comment"] = "edited by a machine"
        copies = {s.index: out.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    write_av_offset_copy(tagged, copy, audio=audio, offset=ms(40), encoding=Encoding())
    with av.open(str(copy)) as container:
        assert container.metadata["comment"] == "edited by a machine"


@pytest.mark.parametrize("offset", [Fraction(0), ms(121), ms(-121), Fraction(1, 3000), Fraction(1)])
def test_other_offsets_are_rejected(offset):
    with pytest.raises(OptionInvalid, match="1 to 120 whole milliseconds"):
        check_offset(offset)


@pytest.mark.parametrize(("offset", "name"), [(80, "talk-audio-80ms-earlier.mp4"), (-5, "talk-audio-5ms-later.mp4")])
def test_a_copy_is_named_by_its_offset(offset, name):
    assert av_offset_path(Path("a", "talk.mp4"), ms(offset)) == Path("a", name)


@pytest.mark.parametrize(
    ("output", "offset", "error"),
    [
        ("copy.mp4", 0, OptionInvalid),
        ("copy.mkv", 40, OptionInvalid),
        ("nowhere/copy.mp4", 40, OutputUnwritable),
    ],
)
def test_a_failed_copy_leaves_no_file(tmp_path, noise, finished, output, offset, error):
    audio = noise()
    exact = finished(audio, Encoding(), ".mp4")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(error):
        write_av_offset_copy(exact, tmp_path / output, audio=audio, offset=ms(offset), encoding=Encoding())
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_existing_copy_is_replaced_only_by_a_complete_one(tmp_path, noise, finished):
    audio = noise()
    exact, copy = finished(audio, Encoding(), ".mp4"), tmp_path / "copy.mp4"
    copy.write_bytes(b"the existing one")
    content = exact.read_bytes()
    exact.write_bytes(content[: len(content) // 3])
    with pytest.raises(MediaTruncated):
        write_av_offset_copy(exact, copy, audio=audio, offset=ms(40), encoding=Encoding())
    assert copy.read_bytes() == b"the existing one"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
