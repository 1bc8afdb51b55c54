"""Limits on what is decoded: checked before, and counted where a file states nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lipsync.errors import InputTooLarge, NotMedia
from lipsync.media.audio_reader import decode_speech
from lipsync.media.decoding import FrameDecoder
from lipsync.media.limits import MediaLimits
from lipsync.media.picture import Picture
from lipsync.media.probe import open_media, probe
from lipsync.pipeline.build_job import build_job
from lipsync.pipeline.probe import probe_inputs


@pytest.fixture
def no_decoding(monkeypatch):
    """Fail when anything is decoded."""

    def fail(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(FrameDecoder, "decode", fail)
    monkeypatch.setattr(Picture, "_loaded", fail)


def test_media_within_its_limits_pass(tmp_path, make_video, make_audio):
    limits = MediaLimits(max_seconds=1.0, max_pixels=192 * 96, max_decoded_bytes=16 * 192 * 96 * 3 // 2)
    probe(make_video(tmp_path / "v.mp4", frames=25), limits=limits)
    probe(make_audio(tmp_path / "a.wav", np.zeros(16_000, np.int16)), limits=limits)
    Image.new("RGB", (192, 96)).save(tmp_path / "p.png")
    probe(tmp_path / "p.png", limits=limits)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_is_refused_by_what_it_states_before_it_is_decoded(tmp_path, make_video, no_decoding, suffix):
    path = make_video(tmp_path / f"v.{suffix}", frames=26, codec="mpeg4")
    with pytest.raises(InputTooLarge, match=r"1\.0 s long; the limit is 1 s \(LIPSYNC_MAX_INPUT_SECONDS\)"):
        probe(path, limits=MediaLimits(max_seconds=1.0))
    pixels = r"192x96 has 18432 pixels; the limit is 18431 \(LIPSYNC_MAX_INPUT_PIXELS\)"
    with pytest.raises(InputTooLarge, match=pixels):
        probe(path, limits=MediaLimits(max_pixels=192 * 96 - 1))
    with pytest.raises(InputTooLarge, match=r"192x96 takes 442368 bytes .*LIPSYNC_MAX_DECODED_BYTES"):
        probe(path, limits=MediaLimits(max_decoded_bytes=442_367))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".tif", ".avif", ".bmp", ".jp2"])
def test_a_photo_is_refused_by_its_stated_size_before_it_is_decoded(tmp_path, no_decoding, suffix):
    Image.new("RGB", (200, 100)).save(tmp_path / f"p{suffix}")
    with pytest.raises(InputTooLarge, match=r"200x100 has 20000 pixels; the limit is 19999 \(LIPSYNC_MAX_INPUT_PIXELS"):
        probe(tmp_path / f"p{suffix}", limits=MediaLimits(max_pixels=19_999))
    with pytest.raises(InputTooLarge, match="LIPSYNC_MAX_DECODED_BYTES"):
        probe(tmp_path / f"p{suffix}", limits=MediaLimits(max_decoded_bytes=79_999))


def test_the_default_limits_take_photos_of_phones_but_no_more():
    limits, path = MediaLimits(), Path("p.jpg")
    limits.check_picture(path, (12_000, 12_000), 12)
    with pytest.raises(InputTooLarge, match="16000x16000 has 256000000 pixels"):
        limits.check_picture(path, (16_000, 16_000), 4)


def test_an_animation_is_counted_while_it_is_read(tmp_path):
    pictures = [Image.new("RGB", (64, 64), (k,) * 3) for k in range(20)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    probe(tmp_path / "a.gif", limits=MediaLimits(max_seconds=2))
    with pytest.raises(InputTooLarge, match=r"1\.6 s long; .*MAX_INPUT_SECONDS"):
        probe(tmp_path / "a.gif", limits=MediaLimits(max_seconds=1.5))


def test_sound_has_a_limit_too(tmp_path, make_audio, no_decoding):
    path = make_audio(tmp_path / "a.wav", np.zeros(80_000, np.int16))
    with pytest.raises(InputTooLarge, match=r"5\.0 s long; .*MAX_INPUT_SECONDS"):
        probe(path, limits=MediaLimits(max_seconds=4.9))


def test_sound_of_unstated_length_is_counted_while_it_is_decoded(tmp_path):
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("flac", rate=16_000, layout="mono")
        for k in range(5):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), 99, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, k * 16_000
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples in the header: unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    clip = probe(path)
    assert clip.audio.duration == 0
    with decode_speech(clip, allow_clipped=False, limits=MediaLimits(max_seconds=6)):
        pass
    with (
        pytest.raises(InputTooLarge, match=r"s long; the limit is 3 s \(LIPSYNC_MAX_INPUT_SECONDS\)"),
        decode_speech(clip, allow_clipped=False, limits=MediaLimits(max_seconds=3)),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "size"),
    [({"upscale": "4:lanczos"}, "768x384, 294912"), ({"upscale": "4:lanczos", "resize_factor": 2}, "384x192, 73728")],
)
def test_a_result_that_would_be_too_large_is_refused_with_its_numbers(tmp_path, make_video, voice, options, size):
    video = make_video(tmp_path / "v.mp4", frames=25)
    job = build_job(video, voice, tmp_path / "o.mp4", max_output_pixels=20_000, **options)
    message = rf"the result would have {size} pixels; the limit is 20000 \(LIPSYNC_MAX_OUTPUT_PIXELS\)"
    with pytest.raises(InputTooLarge, match=message):
        probe_inputs(job)
    probe_inputs(replace(job, enhancement=None))


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>{}</Period></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_lists_of_other_files_and_addresses_are_no_media(tmp_path, make_video, name):
    other = make_video(tmp_path / "other.ts", codec="mpeg2video", frames=25)
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].format(other.name))
    with pytest.raises(NotMedia):
        open_media(path)
    path.rename(tmp_path / "v.mp4")
    with pytest.raises(NotMedia):
        open_media(tmp_path / "v.mp4")


def test_only_the_whole_clip_counts(tmp_path, make_video):
    clip = probe(make_video(tmp_path / "v.mp4", frames=26), limits=MediaLimits(max_seconds=1.04))
    assert clip.video.duration == Fraction(26, 25)
