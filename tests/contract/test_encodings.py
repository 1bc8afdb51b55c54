from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync.errors import OptionInvalid
from lipsync.media.encoders import HARDWARE, MATROSKA, check_encoding, encoder_options, pixel_format_of, suffixes_of
from lipsync.media.encoding import DEFAULT_PRESET, PRESETS, Encoding, encoding_named
from lipsync.media.output import check_output
from lipsync.media.probe import audio_of, probe, probe_video
from lipsync.media.reader import read
from lipsync.media.writer import write

HARD = [name for name, preset in PRESETS.items() if preset.encoding.codec.endswith(HARDWARE)]
SOFT = [name for name in PRESETS if name not in HARD]
FILES = [(name, suffix) for name in SOFT for suffix in suffixes_of(PRESETS[name].encoding)]
NTSC = Fraction(30000, 1001)
CLICK = Fraction(1, 2)  # seconds


@pytest.fixture
def clicking(tmp_path, make_audio):
    def make(seconds: float = 1.0):
        wave = np.zeros(round(seconds * 48_000), np.int16)
        start = round(CLICK * 48_000)
        wave[start : start + 8] = 20_000
        return probe(make_audio(tmp_path / "click.wav", wave, 48_000))

    return make


@pytest.fixture
def encoded(tmp_path, clicking):
    def make(source, encoding: Encoding, suffix: str, seconds: float = 1.0):
        frames, output = source.video.frame_count, tmp_path / f"out{suffix}"
        frame_sets = zip(read(source), strict=True)
        audio = clicking(seconds)
        (written,) = write(frame_sets, [output], video=source, audio=audio, frame_count=frames, encoding=encoding)
        return written.path

    return make


def loudest(path) -> Fraction:
    """The time in seconds at which players play the loudest sample."""
    best = (0.0, Fraction(0))
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            (samples,) = np.abs(frame.to_ndarray().astype(float))[:1]
            time = frame.pts * frame.time_base + Fraction(int(samples.argmax()), frame.sample_rate)
            best = max(best, (float(samples.max()) / (1 if frame.format.name == "fltp" else 2**31), time))
    return best[1]


def first_shown(path) -> Fraction:
    with av.open(str(path)) as container:
        return min(p.pts * p.time_base for p in container.demux(video=0) if p.size)


def refused(codec: str, options: dict[str, str]) -> bool:
    """Return whether an encoder rejects an option, which happens before it looks for the hardware."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.framerate = 320, 240, Fraction(25)
    context.pix_fmt, context.options = pixel_format_of(Encoding(codec), 8), options
    try:
        context.open()
    except av.error.ArgumentError:
        return True
    except av.error.FFmpegError:
        pass
    return False


def is_available(name: str) -> bool:
    try:
        check_encoding(PRESETS[name].encoding)
    except OptionInvalid:
        return False
    return True


def test_the_default_is_one_of_the_presets():
    assert encoding_named(DEFAULT_PRESET) == Encoding()


def test_an_unknown_name_lists_the_presets():
    with pytest.raises(OptionInvalid, match="invalid encoding 'q99': expected fast, q17"):
        encoding_named("q99")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_one_line_of_help_and_suits_its_suffix(name):
    preset = PRESETS[name]
    assert 10 < len(preset.purpose) < 80
    if name in SOFT:
        assert preset.suffix in suffixes_of(preset.encoding)


@pytest.mark.parametrize("name", SOFT)
def test_every_software_preset_is_available_everywhere(name):
    assert is_available(name)


@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_frames_audio_and_times_are_exact(tmp_path, make_video, number_of, encoded, name, suffix):
    source = probe(make_video(tmp_path / "a.mp4", frames=30, rate=NTSC))
    path = encoded(source, PRESETS[name].encoding, suffix, 30 / NTSC)
    clip = probe(path)
    video, audio = clip.video, audio_of(clip)
    assert [number_of(frame.y) for frame in read(clip)] == list(range(30))
    assert (video.rate, video.frame_count, video.start, video.variable) == (NTSC, 30, 0, False)
    assert abs(audio.duration - video.duration) <= 1 / NTSC
    assert first_shown(path) == 0
    assert abs(loudest(path) - CLICK) < Fraction(1, 1000)


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (1, 6, 6, 6), (2, 1, 1, 1)])
@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_colours_are_unchanged(tmp_path, make_video, encoded, name, suffix, colour):
    source = probe(make_video(tmp_path / "a.mp4", frames=3, colour=colour))
    clip = probe(encoded(source, PRESETS[name].encoding, suffix, 0.1))
    written, expected = clip.video.colour, source.video.colour
    rangeless = name.startswith("prores")
    assert written == replace(expected, full_range=expected.full_range and not rangeless)
    written_frame = next(read(clip))
    before, after = next(read(source)).y.astype(float), written_frame.y.astype(float)
    after /= 2 ** (written_frame.depth - 8)
    if expected.full_range and rangeless:
        after = (after - 16) * 255 / 219
    assert np.abs(after - before).mean() < 3


@pytest.mark.parametrize(("name", "suffix"), [(n, s) for n, s in FILES if n != "webm"])  # VP9 here has 8 bits
def test_ten_bits_and_high_dynamic_range_are_kept(tmp_path, make_video, encoded, name, suffix):
    colour = (1, 9, 9, 16)
    source = probe(make_video(tmp_path / "a.mp4", codec="libx265", form="yuv420p10le", colour=colour, frames=3))
    video = probe_video(encoded(source, PRESETS[name].encoding, suffix, 0.1)).video
    assert video.depth == (12 if name == "prores4444" else 10)
    assert video.colour == source.video.colour


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_lossless_loses_nothing(tmp_path, make_video, encoded, form):
    source = probe(make_video(tmp_path / "a.mkv", codec="ffv1", form=form, frames=5))
    clip = probe(encoded(source, encoding_named("lossless"), ".mkv", 0.2))
    for before, after in zip(read(source), read(clip), strict=True):
        assert all(np.array_equal(getattr(before, p), getattr(after, p)) for p in "yuv")
    with av.open(str(clip.path)) as container:
        assert next(container.decode(audio=0)).format.name == "s32"


@pytest.mark.parametrize(("name", "suffix"), [(n, s) for n, s in FILES if s not in MATROSKA])
def test_the_index_is_at_the_front_and_hevc_has_the_tag_for_apple(tmp_path, make_video, encoded, name, suffix):
    source = probe(make_video(tmp_path / "a.mp4", frames=3))
    content = encoded(source, PRESETS[name].encoding, suffix, 0.1).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert (b"hvc1" in content) == (name == "hevc")
    assert b"hev1" not in content


@pytest.mark.parametrize(
    ("name", "output", "instead"),
    [
        ("prores", "out.mp4", r"\.mov or \.mkv"),
        ("av1", "out.mov", r"\.mp4 or \.mkv"),
        ("hevc", "out.m4v", r"\.mp4 or \.mov or \.mkv"),
        ("lossless", "out.mp4", r"\.mkv"),
    ],
)
def test_suffixes_that_players_cannot_read_are_rejected_with_those_they_can(tmp_path, name, output, instead):
    with pytest.raises(OptionInvalid, match=f"players cannot read .*; use {instead}"):
        check_output(tmp_path / output, [], encoding_named(name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", HARD)
def test_missing_hardware_is_reported_in_one_line_before_any_work(name):
    if is_available(name):
        pytest.skip("the hardware is present")
    with pytest.raises(OptionInvalid, match="is not available on this machine") as caught:
        check_encoding(encoding_named(name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", HARD)
def test_encoders_accept_their_options_even_without_the_hardware(name):
    encoding = encoding_named(name)
    if encoding.codec not in av.codecs_available:
        pytest.skip("not in this platform's build")
    options = encoder_options(encoding)
    assert not refused(encoding.codec, options)
    assert [key for key in options if not refused(encoding.codec, options | {key: "nonsense"})] == []


def test_presets_have_the_same_names_for_every_encoder():
    for codec in ("libx264", "libx265", "libsvtav1", "prores_ks"):
        check_encoding(Encoding(codec, preset="slower"))
        with pytest.raises(OptionInvalid, match="does not accept these settings: CRF 17, preset quickly"):
            check_encoding(Encoding(codec, preset="quickly"))


@pytest.mark.parametrize("name", ["av1", "prores"])
def test_pixels_that_are_not_square_are_kept_or_rejected(tmp_path, encoded, name):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.sample_aspect_ratio = 192, 96, "yuv420p", Fraction(4, 3)
        out.mux(stream.encode(av.VideoFrame(192, 96, "yuv420p")))
        out.mux(stream.encode(av.VideoFrame(192, 96, "yuv420p")))
        out.mux(stream.encode(None))
    source, preset = probe(path), PRESETS[name]
    assert probe_video(encoded(source, preset.encoding, preset.suffix, 0.1)).video.sample_aspect == Fraction(4, 3)
    with pytest.raises(OptionInvalid, match="not square"):
        encoded(source, preset.encoding, ".mkv", 0.1)
