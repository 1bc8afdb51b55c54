"""Option values in, a valid job out: every door builds its job here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from lipsync.engines import check_engines
from lipsync.engines.base import EngineOptions
from lipsync.enhancers import check_enhancer, parse_upscale
from lipsync.enhancers.base import EnhancerOptions
from lipsync.errors import OptionInvalid
from lipsync.media.encoding import Encoding, check_crf, encoding_named
from lipsync.media.limits import MediaLimits
from lipsync.pipeline.background import parse_colour
from lipsync.pipeline.job import Enhancement, Job
from lipsync.pipeline.options import checked_options

ENCODING_PARTS = ("codec", "crf", "preset", "pixel_format", "audio_codec", "audio_bitrate")


def build_job(video: Path, audio: Path, output: Path, **options: Any) -> Job:
    """Build a job. ``options``: see ``pipeline.options``; those left out have their defaults.

    Raises OptionInvalid for an unknown option, a bad value, and options that exclude each other.
    """
    values = checked_options(options)
    if values["reference"] is not None and values["adapt"] == "off":
        raise OptionInvalid("reference cannot be combined with adapt off")
    return Job(
        video,
        audio,
        output,
        engines=values["engine"],
        face_select=values["face_select"],
        encoding=_encoding(values),
        photo_rate=values["photo_rate"],
        allow_clipped=values["allow_clipped"],
        allow_truncated=values["allow_truncated"],
        options=_engine_options(values),
        av_offset=Fraction(values["av_offset"], 1000),
        resize_factor=values["resize_factor"],
        rotate=values["rotate"],
        crop=values["crop"],
        static=values["static"],
        background=parse_colour(values["background"]),
        detail=values["detail"],
        liveliness=values["liveliness"],
        enhancement=_enhancement(values),
        adapts=values["adapt"] == "auto",
        reference=values["reference"],
        limits=_limits(values),
        offset_copies=tuple(Fraction(offset, 1000) for offset in dict.fromkeys(values["offset_copies"])),
    )


def _limits(values: Mapping[str, Any]) -> MediaLimits:
    inputs = values["max_input_seconds"], values["max_input_pixels"], values["max_decoded_bytes"]
    return MediaLimits(*inputs, values["max_output_pixels"])


def _engine_options(values: Mapping[str, Any]) -> EngineOptions:
    options = EngineOptions(
        device=values["device"],
        precision=values["precision"],
        batch_size=values["batch_size"],
        original=values["original"],
        checkpoint=values["checkpoint"],
        models_dir=values["models_dir"],
        pads=values["pads"],
        box=values["box"],
        smooth=values["smooth"],
    )
    check_engines(values["engine"], options)
    return options


def _encoding(values: Mapping[str, Any]) -> Encoding:
    overrides = {name: values[name] for name in ENCODING_PARTS if values[name] is not None}
    encoding = replace(encoding_named(values["encode"]), **overrides)
    check_crf(encoding)
    return encoding


def _enhancement(values: Mapping[str, Any]) -> Enhancement | None:
    restorer, strength = (None, 1.0) if values["enhance"] is None else _parse_enhance(values["enhance"])
    factor, upscaler = (1, None) if values["upscale"] is None else parse_upscale(values["upscale"])
    options = EnhancerOptions(
        strength=strength,
        fidelity=values["fidelity"],
        device=values["device"],
        precision=values["precision"],
        tile=values["tile"],
        models_dir=values["models_dir"],
    )
    check_enhancer(restorer, None if upscaler is None else (factor, upscaler))
    return None if restorer is None and factor == 1 else Enhancement(restorer, factor, upscaler, options)


def _parse_enhance(text: str) -> tuple[str, float]:
    """The restorer's name and the strength of ``NAME`` or ``NAME:STRENGTH``. Raises OptionInvalid."""
    name, colon, share = text.partition(":")
    try:
        strength = float(share) if colon else 1.0
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:
        raise OptionInvalid(f"invalid enhance {text!a}: expected NAME or NAME:STRENGTH with a strength from 0 to 1")
    return name, strength
