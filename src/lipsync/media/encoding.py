"""How the result is encoded: the named choices, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass

from lipsync.errors import OptionInvalid

DEFAULT = "fast"
MAX_CRF = 51
MAX_CRF_OF = {"libsvtav1": 63, "libvpx-vp9": 63}  # of encoders with a wider scale


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the result is written: one lossy encode. ``pixel_format`` None keeps the source's depth in 4:2:0.

    ``crf`` and ``preset`` are said as libx264 has them and translated for other encoders (see ``media.encoders``),
    whose own presets may be named as well. ``audio_codec``: audio encoder: aac, flac or pcm_s24le.
    """

    codec: str = "libx264"
    crf: int = 17
    preset: str = "veryfast"
    pixel_format: str | None = None
    audio_bitrate: int = 192_000
    audio_codec: str = "aac"


@dataclass(frozen=True, slots=True)
class EncodingPreset:
    """A named encoding. ``purpose``: one line for a person. ``suffix``: of files that it is best put into."""

    encoding: Encoding
    purpose: str
    suffix: str = ".mp4"


PRESETS = {
    "fast": EncodingPreset(Encoding(), "H.264 of high quality in the shortest time"),
    "q17": EncodingPreset(Encoding(preset="slow"), "H.264 of high quality for masters, slowly"),
    "q20": EncodingPreset(Encoding(crf=20, preset="slow"), "H.264 of good quality for publishing, slowly"),
    "small": EncodingPreset(
        Encoding(crf=26, preset="medium", audio_bitrate=128_000), "H.264 in small files for previews"
    ),
    "hevc": EncodingPreset(
        Encoding("libx265", 20, "fast"), "HEVC: a third of H.264's size; Apple's and newer players take it"
    ),
    "av1": EncodingPreset(
        Encoding("libsvtav1", 24, "6"), "AV1: the smallest files; browsers and players from 2020 on take it"
    ),
    "prores": EncodingPreset(
        Encoding("prores_ks", preset="hq", audio_codec="pcm_s24le"), "ProRes 422 HQ for video editing", ".mov"
    ),
    "lossless": EncodingPreset(Encoding(crf=0, audio_codec="flac"), "H.264 without any loss, for archives", ".mkv"),
    "nvenc": EncodingPreset(Encoding("h264_nvenc", 19, "p6"), "H.264 by an NVIDIA card"),
    "hevc-nvenc": EncodingPreset(Encoding("hevc_nvenc", 22, "p6"), "HEVC by an NVIDIA card"),
    "av1-nvenc": EncodingPreset(Encoding("av1_nvenc", 26, "p6"), "AV1 by an NVIDIA card, RTX 40 or newer"),
    "qsv": EncodingPreset(Encoding("h264_qsv", 19, "slow"), "H.264 by an Intel graphics unit"),
    "hevc-qsv": EncodingPreset(Encoding("hevc_qsv", 21, "slow"), "HEVC by an Intel graphics unit"),
    "av1-qsv": EncodingPreset(Encoding("av1_qsv", 24, "slow"), "AV1 by an Intel graphics unit, Arc or newer"),
    "amf": EncodingPreset(Encoding("h264_amf", 19, "quality"), "H.264 by an AMD card"),
    "hevc-amf": EncodingPreset(Encoding("hevc_amf", 21, "quality"), "HEVC by an AMD card"),
    "videotoolbox": EncodingPreset(Encoding("h264_videotoolbox", 17), "H.264 by Apple silicon"),
    "hevc-videotoolbox": EncodingPreset(Encoding("hevc_videotoolbox", 19), "HEVC by Apple silicon"),
}


def encoding_named(name: str) -> Encoding:
    """The choice of that name. Raises OptionInvalid; whether it can be had here says ``encoders.check_encoding``."""
    if name not in PRESETS:
        raise OptionInvalid(f"there is no encoding named {name}; there are {', '.join(PRESETS)}")
    return PRESETS[name].encoding


def check_crf(encoding: Encoding) -> None:
    """OptionInvalid unless the encoder's scale includes the CRF."""
    most = MAX_CRF_OF.get(encoding.codec, MAX_CRF)
    if not 0 <= encoding.crf <= most:
        raise OptionInvalid(f"invalid crf {encoding.crf}: expected an integer from 0 to {most} for {encoding.codec}")
