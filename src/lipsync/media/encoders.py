"""How each encoder is spoken to, whether it can be had here, and what kind of file takes what it makes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from lipsync.errors import OptionInvalid
from lipsync.media.encoding import PRESETS, Encoding, check_crf

FORMATS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska"}  # FFmpeg's muxers
SUFFIXES = tuple(FORMATS)
SOUNDS = ("aac", "flac", "pcm_s24le")
CONTAINERS = {  # from which files players take it, which is less than what FFmpeg would put it into
    "h264": SUFFIXES,
    "hevc": (".mp4", ".mov", ".mkv"),
    "av1": (".mp4", ".mkv"),
    "vp9": (".mp4", ".mkv"),
    "prores": (".mov", ".mkv"),
    "ffv1": (".mkv",),
    "aac": SUFFIXES,
    "flac": (".mkv",),
    "pcm_s24le": (".mov", ".mkv"),
}
HARDWARE = ("nvenc", "qsv", "amf", "videotoolbox")
STEPS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
LAMBDA = 118  # FF_QP2LAMBDA, by which FFmpeg multiplies -q:v


@dataclass(frozen=True, slots=True)
class EncoderProfile:
    """How an encoder says things. ``quality``: options for a CRF. ``preset``: the option's name, None: it has none.
    ``presets``: what libx264's are here, from the fastest on; empty: they have the same names."""

    quality: Callable[[int], dict[str, str]]
    preset: str | None = "preset"
    presets: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)


def _crf(crf: int) -> dict[str, str]:
    return {"crf": str(crf)}


def _x264(crf: int) -> dict[str, str]:
    return _crf(crf) if crf else {"qp": "0"}  # without loss in 10 bits as well, which CRF 0 is not


def _fixed(crf: int) -> dict[str, str]:
    return {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)}


def _percent(crf: int) -> dict[str, str]:
    """VideoToolbox's quality 1..100, higher is better. The step is an estimate: 17 becomes 66, 28 becomes 44."""
    return {"flags": "+qscale", "global_quality": str(LAMBDA * max(1, 100 - 2 * crf))}


PROFILES = {
    "libx264": EncoderProfile(_x264),
    "libx265": EncoderProfile(_crf, more={"x265-params": "log-level=error"}),
    "libsvtav1": EncoderProfile(_crf, presets=("12", "10", "8", "8", "7", "6", "5", "4", "3")),
    "libvpx-vp9": EncoderProfile(_crf, preset=None, more={"b": "0"}),
    "prores_ks": EncoderProfile(lambda crf: {}, "profile", ("hq",) * 9, {"vendor": "apl0"}),
    "nvenc": EncoderProfile(
        lambda crf: {"rc": "vbr", "cq": str(max(1, crf)), "b": "0"},
        presets=("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"),
    ),
    "qsv": EncoderProfile(
        lambda crf: {"global_quality": str(max(1, crf)), "b": "0"}, presets=("veryfast",) * 2 + STEPS[2:]
    ),
    "amf": EncoderProfile(_fixed, "quality", ("speed",) * 3 + ("balanced",) * 3 + ("quality",) * 3),
    "videotoolbox": EncoderProfile(_percent, preset=None),
}


def options_of(encoding: Encoding) -> dict[str, str]:
    """What the encoder is told; nothing if it isn't one of those known here."""
    family = encoding.codec.rpartition("_")[2]
    dialect = PROFILES.get(encoding.codec) or PROFILES.get(family)
    if dialect is None:
        return {}
    options = {**dialect.quality(encoding.crf), **dialect.more}
    if dialect.preset is not None:
        here = dict(zip(STEPS, dialect.presets or STEPS, strict=True))
        options[dialect.preset] = here.get(encoding.preset, encoding.preset)
    return options


def pixel_format_of(encoding: Encoding, depth: int) -> str:
    """As wished, else 4:2:0 in the footage's depth if the encoder has it, else the first that it has."""
    if encoding.pixel_format is not None:
        return encoding.pixel_format
    codec = av.codec.Codec(encoding.codec, "w")
    known = [form.name for form in codec.video_formats or []]
    deep = depth > 8 and not (codec.canonical_name == "h264" and _is_hardware(encoding.codec))  # cards have no 10 bits
    wished = (("yuv420p10le", "p010le") if deep else ()) + ("yuv420p", "nv12")
    return next((name for name in wished if name in known or not known), known[0] if known else "yuv420p")


def family_of(codec: str) -> str:
    """What an encoder makes, by its standard: h264, hevc, av1, prores, aac …"""
    return av.codec.Codec(codec, "w").canonical_name


def suffixes_of(encoding: Encoding) -> tuple[str, ...]:
    """Of files from which picture and sound are played. Both encoders must exist."""
    pictures, sounds = _suffixes(encoding.codec), _suffixes(encoding.audio_codec)
    return tuple(suffix for suffix in pictures if suffix in sounds)


def available() -> tuple[str, ...]:
    """Names of the choices whose encoders open here; each is tried, some 50 ms altogether without hardware."""
    return tuple(name for name, choice in PRESETS.items() if _opens(choice.encoding))


def check_encoding(encoding: Encoding) -> None:
    """OptionInvalid unless the encoder is to be had here and opens with these settings."""
    if encoding.audio_codec not in SOUNDS:
        raise OptionInvalid(f"sound is not written as {encoding.audio_codec}; there are {', '.join(SOUNDS)}")
    if encoding.audio_bitrate < 8_000:
        raise OptionInvalid(f"{encoding.audio_bitrate} bits/s of sound are too few")
    check_crf(encoding)
    try:
        _open(encoding)
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError, ValueError) as exc:
        raise OptionInvalid(_refusal(encoding)) from exc


def quieten(codec: str) -> None:
    """Keep SVT-AV1 from writing thirty lines to stderr; its environment variable is the only way to tell it."""
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "0")


def _refusal(encoding: Encoding) -> str:
    try:
        _open(Encoding(encoding.codec), nearest=True)
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError, ValueError):
        return f"the encoder {encoding.codec} is not to be had on this machine"
    wish = f"CRF {encoding.crf}, preset {encoding.preset}, pixel format {encoding.pixel_format or 'default'}"
    return f"the encoder {encoding.codec} does not take these settings: {wish}"


def _open(encoding: Encoding, nearest: bool = False) -> None:
    quieten(encoding.codec)
    context = av.CodecContext.create(encoding.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise OptionInvalid(f"{encoding.codec} encodes no pictures")
    context.width, context.height, context.framerate = 320, 240, Fraction(25)
    context.pix_fmt = pixel_format_of(encoding, 8)
    context.options = {} if nearest else options_of(encoding)
    context.open()


def _opens(encoding: Encoding) -> bool:
    try:
        check_encoding(encoding)
    except OptionInvalid:
        return False
    return True


def _is_hardware(codec: str) -> bool:
    return codec.endswith(HARDWARE)


def _suffixes(codec: str) -> tuple[str, ...]:
    told = CONTAINERS.get(family_of(codec))
    return tuple(suffix for suffix in SUFFIXES if codec in _muxed(suffix)) if told is None else told


def _muxed(suffix: str) -> set[str]:
    with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as container:
        return container.supported_codecs
