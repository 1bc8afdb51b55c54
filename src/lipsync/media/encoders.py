"""Options of each encoder, whether it works on this machine, and the files that may hold its output."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from lipsync.errors import OptionInvalid
from lipsync.media.encoding import AUDIO_CODECS, MIN_AUDIO_BITRATE, X264_PRESETS, Encoding, check_crf

MUXERS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
MATROSKA = (".mkv", ".webm")
SUFFIXES = tuple(MUXERS)
CONTAINERS = {  # suffixes that players can read, which are fewer than FFmpeg can write
    "h264": (".mp4", ".m4v", ".mov", ".mkv"),
    "hevc": (".mp4", ".mov", ".mkv"),
    "av1": (".mp4", ".mkv", ".webm"),
    "vp9": (".mp4", ".mkv", ".webm"),
    "prores": (".mov", ".mkv"),
    "ffv1": (".mkv",),
    "aac": (".mp4", ".m4v", ".mov", ".mkv"),
    "opus": (".mp4", ".mkv", ".webm"),
    "flac": (".mkv",),
    "pcm_s24le": (".mov", ".mkv"),
}
TRANSPARENT = {"vp8": MATROSKA, "vp9": MATROSKA, "prores": (".mov", ".mkv"), "ffv1": (".mkv",), "qtrle": (".mov",)}
CLEAR_FORMATS = ("yuva420p10le", "yuva420p", "yuva444p10le", "argb")  # with alpha, best first
PRORES_4444 = ("4444", "4444xq")  # presets of ProRes with as much chroma as luma, and alpha
HARDWARE = ("nvenc", "qsv", "amf", "videotoolbox")
QP2LAMBDA = 118  # FF_QP2LAMBDA, by which FFmpeg multiplies -q:v


@dataclass(frozen=True, slots=True)
class EncoderProfile:
    """How an encoder takes quality and preset.

    ``quality``: its options for a CRF of libx264. ``preset``: the name of its preset option; None if it has none.
    ``presets``: its equivalents of libx264's presets, fastest first; empty if the names are the same. ``extra``:
    options that are always set.
    """

    quality: Callable[[int], dict[str, str]]
    preset: str | None = "preset"
    presets: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


def _crf(crf: int) -> dict[str, str]:
    return {"crf": str(crf)}


def _x264(crf: int) -> dict[str, str]:
    return _crf(crf) if crf else {"qp": "0"}  # lossless in 10 bits too, unlike CRF 0


def _fixed(crf: int) -> dict[str, str]:
    return {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)}


def _percent(crf: int) -> dict[str, str]:
    """VideoToolbox: quality 1..100, higher is better. The mapping is an estimate: CRF 17 becomes 66, 28 becomes 44."""
    return {"flags": "+qscale", "global_quality": str(QP2LAMBDA * max(1, 100 - 2 * crf))}


PROFILES = {
    "libx264": EncoderProfile(_x264),
    "libx265": EncoderProfile(_crf, extra={"x265-params": "log-level=error"}),
    "libsvtav1": EncoderProfile(_crf, presets=("12", "10", "8", "8", "7", "6", "5", "4", "3")),
    "libvpx-vp9": EncoderProfile(_crf, preset=None, extra={"b": "0", "cpu-used": "4", "row-mt": "1"}),
    "prores_ks": EncoderProfile(lambda crf: {}, "profile", ("hq",) * 9, {"vendor": "apl0"}),
    "nvenc": EncoderProfile(
        lambda crf: {"rc": "vbr", "cq": str(max(1, crf)), "b": "0"},
        presets=("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"),
    ),
    "qsv": EncoderProfile(
        lambda crf: {"global_quality": str(max(1, crf)), "b": "0"}, presets=("veryfast",) * 2 + X264_PRESETS[2:]
    ),
    "amf": EncoderProfile(_fixed, "quality", ("speed",) * 3 + ("balanced",) * 3 + ("quality",) * 3),
    "videotoolbox": EncoderProfile(_percent, preset=None),
}


def encoder_options(encoding: Encoding, transparent: bool = False) -> dict[str, str]:
    """Return the encoder's options; empty for an encoder without a profile. ``transparent``: it encodes alpha."""
    family = encoding.codec.rpartition("_")[2]
    profile = PROFILES.get(encoding.codec) or PROFILES.get(family)
    if profile is None:
        return {}
    options = {**profile.quality(encoding.crf), **profile.extra}
    if transparent and encoding.codec == "libvpx-vp9":
        options["auto-alt-ref"] = "0"  # it refuses alpha with these frames
    if profile.preset is not None:
        equivalents = dict(zip(X264_PRESETS, profile.presets or X264_PRESETS, strict=True))
        options[profile.preset] = equivalents.get(encoding.preset, encoding.preset)
    return options


def pixel_format_of(encoding: Encoding, depth: int, transparent: bool = False) -> str:
    """Return the requested pixel format, else 4:2:0 at ``depth`` bits if supported, else the encoder's first one.

    ``transparent``: one with alpha if the encoder has any.
    """
    if encoding.pixel_format is not None:
        return encoding.pixel_format
    codec = av.codec.Codec(encoding.codec, "w")
    supported = [form.name for form in codec.video_formats or []]
    deep = depth > 8 and not (codec.canonical_name == "h264" and _is_hardware(encoding.codec))  # no 10 bits in hardware
    preferred = (("yuv420p10le", "p010le") if deep else ()) + ("yuv420p", "nv12")
    if encoding.preset in PRORES_4444:
        preferred = (*preferred, "yuv444p10le")
    if transparent and (codec.canonical_name != "prores" or encoding.preset in PRORES_4444):
        preferred = (*CLEAR_FORMATS[0 if deep else 1 :], *preferred)
    return next(
        (name for name in preferred if name in supported or not supported), supported[0] if supported else "yuv420p"
    )


def holds_transparency(encoding: Encoding, suffix: str) -> bool:
    """Return whether players see transparency in such a file. The encoder must exist."""
    form = av.VideoFormat(pixel_format_of(encoding, 8, transparent=True))
    return any(part.is_alpha for part in form.components) and suffix in TRANSPARENT.get(family_of(encoding.codec), ())


def family_of(codec: str) -> str:
    """Return the standard that an encoder produces: h264, hevc, av1, prores, aac …"""
    return av.codec.Codec(codec, "w").canonical_name


def suffixes_of(encoding: Encoding) -> tuple[str, ...]:
    """Return the suffixes of files in which players can read both video and audio. Both encoders must exist."""
    audio_suffixes = _suffixes(encoding.audio_codec)
    return tuple(suffix for suffix in _suffixes(encoding.codec) if suffix in audio_suffixes)


def check_encoding(encoding: Encoding) -> None:
    """Raise OptionInvalid unless the encoder is available on this machine and accepts these settings."""
    if encoding.audio_codec not in AUDIO_CODECS:
        raise OptionInvalid(f"invalid audio codec {encoding.audio_codec!r}: expected {', '.join(AUDIO_CODECS)}")
    if encoding.audio_bitrate < MIN_AUDIO_BITRATE:
        raise OptionInvalid(f"audio bitrate must be at least {MIN_AUDIO_BITRATE} bit/s")
    check_crf(encoding)
    try:
        _open(encoding)
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError, ValueError) as exc:
        raise OptionInvalid(_refusal(encoding)) from exc


@contextmanager
def quiet_encoder(codec: str) -> Iterator[None]:
    """Silence SVT-AV1 while it opens; it reads its log level from the environment, which is restored afterwards."""
    if codec != "libsvtav1" or "SVT_LOG" in os.environ:
        yield
        return
    os.environ["SVT_LOG"] = "0"
    try:
        yield
    finally:
        os.environ.pop("SVT_LOG", None)


def _refusal(encoding: Encoding) -> str:
    try:
        _open(Encoding(encoding.codec), defaults=True)
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError, ValueError):
        return f"encoder '{encoding.codec}' is not available on this machine; choose another encoding"
    settings = f"CRF {encoding.crf}, preset {encoding.preset}, pixel format {encoding.pixel_format or 'default'}"
    return f"encoder '{encoding.codec}' does not accept these settings: {settings}"


def _open(encoding: Encoding, defaults: bool = False) -> None:
    context = av.CodecContext.create(encoding.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise OptionInvalid(f"'{encoding.codec}' is not a video encoder")
    context.width, context.height, context.framerate = 320, 240, Fraction(25)
    context.pix_fmt = pixel_format_of(encoding, 8)
    context.options = {} if defaults else encoder_options(encoding)
    with quiet_encoder(encoding.codec):
        context.open()


def _is_hardware(codec: str) -> bool:
    return codec.endswith(HARDWARE)


def _suffixes(codec: str) -> tuple[str, ...]:
    readable = CONTAINERS.get(family_of(codec))
    return tuple(suffix for suffix in SUFFIXES if codec in _muxable(suffix)) if readable is None else readable


def _muxable(suffix: str) -> set[str]:
    with av.open(io.BytesIO(), "w", format=MUXERS[suffix]) as container:
        return container.supported_codecs
