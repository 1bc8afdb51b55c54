from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import lipsync
from lipsync.errors import MediaTruncated
from lipsync.media.probe import audio_of, probe

FORMATS = [
    ("a.wav", "pcm_s16le", {}),
    ("a.w64", "pcm_s16le", {}),
    ("rf64.wav", "pcm_s16le", {"rf64": "always"}),
    ("a.aiff", "pcm_s16be", {}),
    ("a.au", "pcm_s16be", {}),
    ("a.flac", "flac", {}),
    ("a.mp3", "libmp3lame", {}),
    ("tagged.mp3", "libmp3lame", {"id3v2_version": "3"}),
    ("a.m4a", "aac", {"movflags": "+faststart"}),
    ("a.mka", "aac", {}),
]


def noise(path: Path, codec: str, options: dict[str, str], seconds: int = 4) -> Path:
    with av.open(str(path), "w", options=options) as out:
        out.metadata["title"] = "Noise"
        stream = out.add_stream(codec, rate=48_000, layout="mono")
        samples = np.random.default_rng(3).normal(0, 0.1, (1, 48_000 * seconds)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
        frame.sample_rate = 48_000
        sizes = stream.codec_context.frame_size or 1024
        packer = av.AudioResampler(stream.codec_context.format, "mono", 48_000, frame_size=sizes)
        for block in (*packer.resample(frame), *packer.resample(None)):
            out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize(("name", "codec", "options"), FORMATS, ids=lambda value: str(value))
def test_an_audio_file_that_ends_early_is_refused_or_used_on_request(tmp_path, name, codec, options):
    path = noise(tmp_path / name, codec, options)
    assert audio_of(probe(path)).stated is None
    cut(path, 0.6)
    with pytest.raises(MediaTruncated, match="truncated after"):
        probe(path)
    audio = audio_of(probe(path, allow_truncated=True))
    assert float(audio.stated) == pytest.approx(4, abs=0.05)
    assert float(audio.duration) == pytest.approx(2.4, abs=0.25)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_file_from_a_pipe_states_no_length(tmp_path, make_audio, size):
    path = make_audio(tmp_path / "a.wav", np.zeros(16_000, np.int16))
    content = bytearray(path.read_bytes())
    position = content.index(b"data") + 4
    content[position : position + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert audio_of(probe(path)).stated is None


def test_an_mp3_file_without_a_tag_states_no_length(tmp_path):
    path = cut(noise(tmp_path / "a.mp3", "libmp3lame", {"write_xing": "0"}), 0.6)
    assert audio_of(probe(path)).stated is None


def test_a_truncated_file_is_used_with_a_warning(tmp_path, make_video):
    video, voice = make_video(tmp_path / "a.mp4"), cut(noise(tmp_path / "a.wav", "pcm_s16le", {}), 0.6)
    result = lipsync.sync(video, voice, tmp_path / "out.mp4", engine="passthrough", allow_truncated=True)
    assert result.warnings == ("the audio file is truncated: it ends after 2.4 of 4.0 s",)
    assert result.frames == 60
