"""How the result is encoded, and named presets."""

from __future__ import annotations

from dataclasses import dataclass

from lipsync.errors import OptionInvalid

DEFAULT_PRESET = "fast"
AUDIO_CODECS = ("aac", "flac", "pcm_s24le", "libopus")
MIN_AUDIO_BITRATE, MAX_AUDIO_BITRATE = 8_000, 10_000_000  # bits/s
X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
MAX_CRF = 51
MAX_CRF_OF = {"libsvtav1": 63, "libvpx-vp9": 63}  # encoders with a wider scale


@dataclass(frozen=True, slots=True)
class Encoding:
    """Settings of the one lossy encode. ``codec``: an FFmpeg video encoder.

    ``crf`` (0..51, for AV1 and VP9 0..63; lower is better) and ``preset`` follow libx264 and are translated for other
    encoders, whose own presets are accepted too (see ``media.encoders``). ``pixel_format``: None keeps the source's
    bit depth in 4:2:0. ``audio_codec``: one of AUDIO_CODECS. ``audio_bitrate``: bits per second.
    """

    codec: str = "libx264"
    crf: int = 17
    preset: str = "veryfast"
    pixel_format: str | None = None
    audio_bitrate: int = 192_000
    audio_codec: str = "aac"


@dataclass(frozen=True, slots=True)
class EncodingPreset:
    """A named encoding. ``purpose``: one line of help. ``suffix``: of the files that suit it best."""

    encoding: Encoding
    purpose: str
    suffix: str = ".mp4"


PRESETS = {
    "fast": EncodingPreset(Encoding(), "H.264, high quality, fastest"),
    "q17": EncodingPreset(Encoding(preset="slow"), "H.264, high quality, slow, for masters"),
    "q20": EncodingPreset(Encoding(crf=20, preset="slow"), "H.264, good quality, slow, for publishing"),
    "small": EncodingPreset(
        Encoding(crf=26, preset="medium", audio_bitrate=128_000), "H.264, small files for previews"
    ),
    "hevc": EncodingPreset(
        Encoding("libx265", 20, "fast"), "HEVC, a third of the size of H.264, for Apple and recent players"
    ),
    "av1": EncodingPreset(Encoding("libsvtav1", 24, "6"), "AV1, smallest files, for browsers and players since 2020"),
    "prores": EncodingPreset(
        Encoding("prores_ks", preset="hq", audio_codec="pcm_s24le"), "ProRes 422 HQ for video editing", ".mov"
    ),
    "prores4444": EncodingPreset(
        Encoding("prores_ks", preset="4444", audio_codec="pcm_s24le"),
        "ProRes 4444 for video editing, keeps transparency",
        ".mov",
    ),
    "webm": EncodingPreset(
        Encoding("libvpx-vp9", 24, audio_codec="libopus", audio_bitrate=128_000),
        "VP9 and Opus for browsers, keeps transparency",
        ".webm",
    ),
    "lossless": EncodingPreset(Encoding(crf=0, audio_codec="flac"), "H.264 and FLAC, lossless, for archives", ".mkv"),
    "nvenc": EncodingPreset(Encoding("h264_nvenc", 19, "p6"), "H.264 on an NVIDIA GPU"),
    "hevc-nvenc": EncodingPreset(Encoding("hevc_nvenc", 22, "p6"), "HEVC on an NVIDIA GPU"),
    "av1-nvenc": EncodingPreset(Encoding("av1_nvenc", 26, "p6"), "AV1 on an NVIDIA GPU, RTX 40 or newer"),
    "qsv": EncodingPreset(Encoding("h264_qsv", 19, "slow"), "H.264 on an Intel GPU"),
    "hevc-qsv": EncodingPreset(Encoding("hevc_qsv", 21, "slow"), "HEVC on an Intel GPU"),
    "av1-qsv": EncodingPreset(Encoding("av1_qsv", 24, "slow"), "AV1 on an Intel GPU, Arc or newer"),
    "amf": EncodingPreset(Encoding("h264_amf", 19, "quality"), "H.264 on an AMD GPU"),
    "hevc-amf": EncodingPreset(Encoding("hevc_amf", 21, "quality"), "HEVC on an AMD GPU"),
    "videotoolbox": EncodingPreset(Encoding("h264_videotoolbox", 17), "H.264 on Apple silicon"),
    "hevc-videotoolbox": EncodingPreset(Encoding("hevc_videotoolbox", 19), "HEVC on Apple silicon"),
}


def encoding_named(name: str) -> Encoding:
    """Return a preset's encoding; ``encoders.check_encoding`` checks if it works here. Raises OptionInvalid."""
    if name not in PRESETS:
        raise OptionInvalid(f"invalid encoding {name!r}: expected {', '.join(PRESETS)}")
    return PRESETS[name].encoding


def check_crf(encoding: Encoding) -> None:
    """Raise OptionInvalid unless the CRF is within the encoder's range."""
    max_crf = MAX_CRF_OF.get(encoding.codec, MAX_CRF)
    if not 0 <= encoding.crf <= max_crf:
        raise OptionInvalid(f"invalid crf {encoding.crf}: expected an integer from 0 to {max_crf} for {encoding.codec}")
