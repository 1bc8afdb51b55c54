from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from lipsync.media.av_offset import write_av_offset_copy
from lipsync.media.encoding import Encoding
from lipsync.media.probe import probe, probe_video
from lipsync.media.reader import ping_pong
from lipsync.media.writer import write

MS = Fraction(1, 1000)
HEADER = b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
HEADER += b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
CHAPTERS = [("One", 0, 900), ("Two", 900, 2000)]


@pytest.fixture
def full(tmp_path) -> Callable[..., Path]:
    """Write two seconds of video with everything beside it that the container holds."""

    def make(name: str, subtitles: str, tracks: int = 2) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            out.metadata.update({"title": "My title", "artist": "Me"})
            video = out.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            if path.suffix != ".mkv":
                video.metadata["timecode"] = "01:00:00:00"
            sounds = [out.add_stream("aac", rate=48_000, layout="mono") for _ in range(tracks)]
            for sound in sounds[1:]:
                sound.metadata.update({"language": "fra", "title": "Commentary"})
                sound.disposition = av.stream.Disposition.comment
            text = out.add_stream(subtitles)
            text.metadata["language"] = "eng"
            text.codec_context.subtitle_header = HEADER
            facts = [{"id": k, "start": s, "end": e, "metadata": {"title": t}} for k, (t, s, e) in enumerate(CHAPTERS)]
            out.set_chapters([{**fact, "time_base": MS} for fact in facts])
            out.start_encoding()
            line = SubtitleSet.create(b"0,0,Default,,0,0,0,,Hello you", start=0, end=1000, pts=500_000)
            packet = text.codec_context.encode_subtitle(line)
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = text, MS, 500, 500, 1000
            out.mux(packet)
            for number in range(50):
                frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number, np.uint8), "rgb24")
                out.mux(video.encode(frame.reformat(format="yuv420p")))
            out.mux(video.encode(None))
            for sound in sounds:
                block = av.AudioFrame.from_ndarray(np.zeros((1, 96_000), np.float32), "fltp", "mono")
                block.sample_rate = 48_000
                out.mux(sound.encode(block))
                out.mux(sound.encode(None))
        return path

    return make


@pytest.fixture
def rendered(tmp_path, make_audio):
    """Write a result of so many seconds; return its path and what was lost."""

    def make(source: Path, name: str, seconds: float = 2.0) -> tuple[Path, tuple[str, ...]]:
        voice = probe(make_audio(tmp_path / "voice.wav", np.zeros(round(16_000 * seconds), np.int16)))
        clip, count = probe_video(source), round(25 * seconds)
        frames = zip(ping_pong(clip, count, clip.video.frame_count), strict=True)
        path = tmp_path / name
        (file,) = write(frames, [path], video=clip, audio=voice, frame_count=count, encoding=Encoding())
        return path, file.lost

    return make


def chapters(path: Path) -> list[tuple[str, int, int]]:
    with av.open(str(path)) as container:
        found = [
            (c["metadata"]["title"], c["start"] * c["time_base"], c["end"] * c["time_base"])
            for c in container.chapters()
        ]
    return [(title, round(start * 1000), round(end * 1000)) for title, start, end in found]


def texts(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        packets = [packet for packet in container.demux(stream) if packet.size > 2]
        return [(round(p.pts * p.time_base * 1000), rect.dialogue) for p in packets for rect in stream.decode2(p)]


@pytest.mark.parametrize(
    "source", [("a.mp4", "mov_text"), ("a.mov", "mov_text"), ("a.mkv", "subrip"), ("a.mkv", "ass")]
)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v", "mkv"])
def test_the_rest_of_the_file_is_carried_over(full, rendered, source, suffix):
    path, lost = rendered(full(*source), f"out.{suffix}")
    m4v = suffix == "m4v"  # FFmpeg writes no names, dispositions and timecodes there
    assert lost == (("timecode",) if m4v and source[1] == "mov_text" else ())
    assert chapters(path) == CHAPTERS
    ((time, text),) = texts(path)
    assert (time, b"Hello you" in text) == (500, True)
    with av.open(str(path)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags["artist"]) == ("My title", "Me")
        second = container.streams.audio[1]
        assert second.language == "fra"
        if not m4v:
            assert "Commentary" in second.metadata.values()
        assert sum(frame.samples for frame in container.decode(second)) == pytest.approx(96_000, abs=2048)
        if suffix not in ("mov", "m4v") and source[0] != "a.mov":  # MOV has no dispositions
            assert second.disposition & second.disposition.comment
        if source[1] == "mov_text" and not m4v:
            codes = {tags.get("timecode"), container.streams.video[0].metadata.get("timecode")}
            assert "01:00:00:00" in codes
        first = next(container.decode(video=0)) if container.seek(0) is None else None
        assert first.pts == 0


def test_chapters_and_packets_end_with_the_result(full, rendered):
    path, _ = rendered(full("a.mp4", "mov_text"), "out.mp4", seconds=0.6)
    assert chapters(path) == [("One", 0, 600)]
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(container.streams.audio[1])) < 0.7 * 48_000


def test_a_copy_with_another_offset_keeps_the_rest(tmp_path, full, rendered):
    path, _ = rendered(full("a.mp4", "mov_text", tracks=3), "out.mp4")
    copy, voice = tmp_path / "copy.mp4", probe(tmp_path / "voice.wav")
    write_av_offset_copy(path, copy, audio=voice, offset=Fraction(1, 25), encoding=Encoding())
    assert (chapters(copy), texts(copy)) == (chapters(path), texts(path))
    with av.open(str(copy)) as container:
        assert [stream.language for stream in container.streams.audio] == ["und", "fra", "fra"]
        assert container.metadata["title"] == "My title"


def test_what_the_container_cannot_hold_is_named(tmp_path, full, rendered):
    with av.open(str(full("a.mkv", "subrip"))) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        out.metadata.update({"title": "Mine", "weather": "rain"})
        streams = {
            s.index: out.add_stream_from_template(s, opaque=True)
            for s in (source.streams.video[0], source.streams.audio[0])
        }
        bitmaps = out.add_mux_stream("hdmv_pgs_subtitle")
        bitmaps.metadata["language"] = "deu"
        out.add_attachment("font.ttf", "application/x-truetype-font", b"\0\1\0\0" + bytes(100))
        for packet in source.demux(list(source.streams.video) + list(source.streams.audio[:1])):
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    assert rendered(tmp_path / "b.mkv", "out.mp4")[1] == (
        "subtitles (pgssub, deu)",
        "attachment (font.ttf)",
        "tags (weather)",
    )
    path, lost = rendered(tmp_path / "b.mkv", "out.mkv")
    assert lost == ()
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "subtitle", "attachment"]


def test_cover_art_stays_cover_art(tmp_path, full, rendered):
    with av.open(str(full("a.mp4", "mov_text"))) as source, av.open(str(tmp_path / "b.mp4"), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        out.mux(cover.encode(None))
    path, lost = rendered(tmp_path / "b.mp4", "out.mp4")
    assert lost == ()
    with av.open(str(path)) as container:
        art = container.streams.video[1]
        assert art.disposition & art.disposition.attached_pic
        assert art.codec_context.name == "png"
