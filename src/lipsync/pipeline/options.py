"""Every option of a job, in one table.

``lipsync.sync()``, the command line, the API and stored tasks take their names, defaults, ranges and help from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from lipsync.engines import ENGINES
from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.errors import OptionInvalid
from lipsync.media.encoding import (
    AUDIO_CODECS,
    DEFAULT_PRESET,
    MAX_AUDIO_BITRATE,
    MAX_CRF,
    MAX_CRF_OF,
    MIN_AUDIO_BITRATE,
    PRESETS,
    X264_PRESETS,
)
from lipsync.pipeline.background import COLOUR_HELP
from lipsync.pipeline.option import LIBRARY, LOCAL, Door, Group, Kind, Option

SIDES: Final = "top, bottom, left, right"
MAX_PADDING: Final = 10_000  # pixels
BY_ENCODE: Final = "set by encode"
DEVICES: Final = ("auto", "cpu", "onnxruntime", "cuda", "tensorrt", "coreml", "directml", "ncnn", "vulkan")
API_CODECS: Final = ("libx264", "libx265", "libsvtav1")

_TABLE: Final = (
    Option(
        "photo_rate",
        Kind.RATE,
        25,
        "frame rate of the video made from a photo",
        Group.INPUT,
        minimum=1,
        maximum=120,
        unit="frames/s",
        metavar="RATE",
    ),
    Option("allow_clipped", Kind.BOOLEAN, False, "accept badly clipped, distorted audio", Group.INPUT),
    Option(
        "allow_truncated", Kind.BOOLEAN, False, "accept an audio file that ends before its stated length", Group.INPUT
    ),
    Option(
        "av_offset",
        Kind.INTEGER,
        0,
        "delay of the mouth against the audio; if negative, the mouth moves earlier",
        Group.INPUT,
        minimum=-10_000,
        maximum=10_000,
        unit="ms",
        metavar="MS",
    ),
    Option(
        "resize_factor",
        Kind.INTEGER,
        1,
        "downscale the output by this factor",
        Group.INPUT,
        minimum=1,
        maximum=16,
        metavar="N",
    ),
    Option(
        "background",
        Kind.TEXT,
        "black",
        f"colour behind a transparent video or photo, where the encoding cannot keep transparency: {COLOUR_HELP}",
        Group.INPUT,
        metavar="COLOUR",
        example="#00b140",
    ),
    Option("rotate", Kind.BOOLEAN, False, "rotate the video clockwise by 90 degrees", Group.INPUT, LIBRARY),
    Option(
        "crop",
        Kind.INTEGERS,
        (0, -1, 0, -1),
        f"region of the video to keep, after resize_factor and rotate: {SIDES}; -1 is the bottom or right edge",
        Group.INPUT,
        LIBRARY,
        minimum=-1,
        length=(4, 4),
        unit="pixels",
    ),
    Option("static", Kind.BOOLEAN, False, "use only the first frame of the video", Group.INPUT, LIBRARY),
    Option(
        "max_input_seconds",
        Kind.INTEGER,
        None,
        "longest input that is accepted",
        Group.INPUT,
        LOCAL,
        minimum=1,
        unit="s",
        metavar="N",
        default_help="any",
        variable="LIPSYNC_MAX_INPUT_SECONDS",
    ),
    Option(
        "max_input_pixels",
        Kind.INTEGER,
        12_288 * 12_288,
        "largest photo or video frame that is accepted",
        Group.INPUT,
        LOCAL,
        minimum=1024,
        unit="pixels",
        metavar="N",
        variable="LIPSYNC_MAX_INPUT_PIXELS",
    ),
    Option(
        "max_decoded_bytes",
        Kind.INTEGER,
        2 << 30,
        "most memory for a decoded photo, or for 16 frames of a video",
        Group.INPUT,
        LOCAL,
        minimum=1048576,
        unit="bytes",
        metavar="N",
        variable="LIPSYNC_MAX_DECODED_BYTES",
    ),
    Option(
        "max_output_pixels",
        Kind.INTEGER,
        8192 * 4320,
        "largest frame of a result",
        Group.INPUT,
        LOCAL,
        minimum=1024,
        unit="pixels",
        metavar="N",
        variable="LIPSYNC_MAX_OUTPUT_PIXELS",
    ),
    Option(
        "face_select",
        Kind.TEXT,
        "largest",
        "face to animate if there are several",
        Group.FACE,
        choices=("largest", "left", "right", "centre"),
        metavar="FACE",
    ),
    Option(
        "box",
        Kind.INTEGERS,
        None,
        f"fixed face box: {SIDES}",
        Group.FACE,
        LIBRARY,
        length=(4, 4),
        unit="pixels",
        default_help="detect the face",
    ),
    Option(
        "pads",
        Kind.INTEGERS,
        None,
        f"padding of the face box: {SIDES}",
        Group.FACE,
        LIBRARY,
        minimum=-MAX_PADDING,
        maximum=MAX_PADDING,
        length=(4, 4),
        unit="pixels",
        default_help="the engine's own",
    ),
    Option("smooth", Kind.BOOLEAN, True, "average face boxes over time", Group.FACE, LIBRARY),
    Option(
        "engine",
        Kind.NAMES,
        ("rewrite",),
        "engine that moves the mouth; repeatable, one result per engine. "
        + "; ".join(f"{name} {info.summary}" for name, info in ENGINES.items()),
        Group.ENGINE,
        LOCAL,
        length=(1, len(ENGINES)),
        choices=tuple(ENGINES),
        metavar="NAME",
    ),
    Option(
        "original",
        Kind.BOOLEAN,
        False,
        "reproduce the original Wav2Lip step by step, faults included; for wav2lip and wav2lip-gan",
        Group.ENGINE,
    ),
    Option(
        "checkpoint",
        Kind.TEXT,
        None,
        "weights of the engine: a file, or a name from 'lipsync models list'",
        Group.ENGINE,
        LOCAL,
        metavar="FILE",
        default_help="the engine's name",
    ),
    Option(
        "adapt",
        Kind.TEXT,
        "auto",
        "let rewrite learn from the video how the person's mouth moves, if the person talks in it",
        Group.ENGINE,
        choices=("auto", "off"),
        metavar="WHEN",
    ),
    Option(
        "reference",
        Kind.PATH,
        None,
        "another video in which the same person talks, for rewrite to learn from",
        Group.ENGINE,
        LOCAL,
        metavar="FILE",
        default_help="the video alone",
    ),
    Option(
        "detail",
        Kind.NUMBER,
        1.0,
        "share of the video's own texture given to the mouths of wav2lip and wav2lip-gan",
        Group.ENGINE,
        minimum=0,
        maximum=1,
        metavar="SHARE",
    ),
    Option(
        "liveliness",
        Kind.NUMBER,
        0.5,
        "blinks and slight head motion of a photo; 0 keeps everything but the mouth still",
        Group.ENGINE,
        minimum=0,
        maximum=1,
        metavar="SHARE",
    ),
    Option(
        "encode",
        Kind.TEXT,
        DEFAULT_PRESET,
        "named encoding; the other encoding options override its parts",
        Group.ENCODING,
        choices=tuple(PRESETS),
        metavar="NAME",
    ),
    Option(
        "codec",
        Kind.TEXT,
        None,
        "video encoder, as FFmpeg names it",
        Group.ENCODING,
        api_choices=API_CODECS,
        metavar="NAME",
        default_help=BY_ENCODE,
    ),
    Option(
        "crf",
        Kind.INTEGER,
        None,
        f"quality: lower is better and larger; above {MAX_CRF} only with {' and '.join(MAX_CRF_OF)}",
        Group.ENCODING,
        minimum=0,
        maximum=max(MAX_CRF_OF.values()),
        metavar="N",
        default_help=BY_ENCODE,
        example=20,
    ),
    Option(
        "preset",
        Kind.TEXT,
        None,
        "encoding speed: ultrafast to veryslow, or a preset of the encoder",
        Group.ENCODING,
        api_choices=X264_PRESETS,
        metavar="NAME",
        default_help=BY_ENCODE,
    ),
    Option(
        "pixel_format",
        Kind.TEXT,
        None,
        "pixel format, such as yuv420p10le",
        Group.ENCODING,
        LOCAL,
        metavar="NAME",
        default_help="4:2:0 at the video's bit depth",
    ),
    Option(
        "audio_codec",
        Kind.TEXT,
        None,
        "audio encoder",
        Group.ENCODING,
        LOCAL,
        choices=AUDIO_CODECS,
        metavar="NAME",
        default_help=BY_ENCODE,
    ),
    Option(
        "audio_bitrate",
        Kind.INTEGER,
        None,
        "audio bit rate",
        Group.ENCODING,
        LOCAL,
        minimum=MIN_AUDIO_BITRATE,
        maximum=MAX_AUDIO_BITRATE,
        unit="bits/s",
        metavar="N",
        default_help=BY_ENCODE,
    ),
    Option(
        "enhance",
        Kind.TEXT,
        None,
        f"face restorer for the new mouth, with an optional strength from 0 to 1: {', '.join(RESTORERS)}",
        Group.ENHANCEMENT,
        metavar="NAME[:STRENGTH]",
        default_help="none",
        example="gfpgan-1.4:0.8",
    ),
    Option(
        "fidelity",
        Kind.NUMBER,
        0.7,
        "CodeFormer fidelity: 1 = closest to the input, 0 = highest quality",
        Group.ENHANCEMENT,
        minimum=0,
        maximum=1,
        metavar="SHARE",
    ),
    Option(
        "upscale",
        Kind.TEXT,
        None,
        f"enlarge the frames by 2 or 4, optionally with a named upscaler: {', '.join(UPSCALERS)}",
        Group.ENHANCEMENT,
        metavar="FACTOR[:NAME]",
        default_help="none",
        example="2",
    ),
    Option(
        "tile",
        Kind.INTEGER,
        None,
        "side of the tiles that an upscaler computes at once",
        Group.ENHANCEMENT,
        LOCAL,
        minimum=32,
        unit="pixels",
        metavar="N",
        default_help="256 on a CPU, 512 on a GPU",
    ),
    Option(
        "device",
        Kind.TEXT,
        "auto",
        "device for inference; ncnn and vulkan run upscalers only",
        Group.INFERENCE,
        LOCAL,
        choices=DEVICES,
        metavar="NAME",
    ),
    Option(
        "precision",
        Kind.TEXT,
        "auto",
        "precision of inference",
        Group.INFERENCE,
        LOCAL,
        choices=("auto", "fp32", "bf16", "fp16"),
        metavar="NAME",
    ),
    Option(
        "batch_size",
        Kind.INTEGER,
        None,
        "maximum number of frames per inference",
        Group.INFERENCE,
        LOCAL,
        minimum=1,
        unit="frames",
        metavar="N",
        default_help="4 on a CPU, 16 on a GPU",
    ),
    Option(
        "models_dir",
        Kind.PATH,
        None,
        "folder of model weights",
        Group.INFERENCE,
        LOCAL,
        metavar="DIR",
        default_help="in the user's data folder",
        variable="LIPSYNC_MODELS",
    ),
    Option(
        "offset_copies",
        Kind.INTEGERS,
        (),
        "copies of each result with the mouth delayed by these amounts; negative values are earlier",
        Group.REPORT,
        minimum=-120,
        maximum=120,
        nonzero=True,
        length=(0, 8),
        unit="ms",
        metavar="MS,...",
        default_help="none",
        example=[-80, 80],
    ),
)

OPTIONS: Final[Mapping[str, Option]] = MappingProxyType({option.name: option for option in _TABLE})


def options_of(door: Door) -> dict[str, Option]:
    """The options that a door shows, as it shows them."""
    options = {name: option for name, option in OPTIONS.items() if door in option.doors}
    if door is not Door.API:
        return options
    return {name: replace(option, choices=option.api_choices or option.choices) for name, option in options.items()}


def checked_options(values: Mapping[str, Any], door: Door = Door.LIBRARY) -> dict[str, Any]:
    """The checked value of every option that the door shows; those missing in ``values`` have their defaults.

    Raises OptionInvalid.
    """
    options = options_of(door)
    unknown = sorted(set(values) - set(options))
    if unknown:
        raise OptionInvalid(f"unknown option {unknown[0]!a}: expected one of {', '.join(options)}")
    return {name: option.checked(values.get(name, option.default)) for name, option in options.items()}
