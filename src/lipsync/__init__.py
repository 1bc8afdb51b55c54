"""Lip-sync: animate the mouth in a video or photo to match a voice recording.

    import lipsync

    result = lipsync.sync("speaker.mp4", "voice.wav", "out.mp4", on_progress=print)

Failures are LipsyncError subclasses with a stable ``code``; see ``lipsync.errors``.
"""

from __future__ import annotations

from importlib import import_module

from lipsync._version import __version__

TYPE_CHECKING = False  # as in typing, whose import alone is a tenth of the time of ``lipsync --help``
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction
    from pathlib import Path
    from typing import Any, Literal

    from lipsync.errors import (
        Cancelled,
        ExtraMissing,
        InputError,
        LipsyncError,
        ModelError,
        OptionInvalid,
        OutOfMemory,
        OutputError,
    )
    from lipsync.models.session import Adapted, RunInfo
    from lipsync.monitor import Monitor, Progress
    from lipsync.pipeline.job import EngineResult, Enhanced, EnhanceStatus, Inputs, Result
    from lipsync.types import AudioInfo, Clip, VideoClip, VideoInfo

_EXPORTS = {  # by module, imported on first use: most of them import NumPy
    "lipsync.errors": (
        "Cancelled", "ExtraMissing", "InputError", "LipsyncError", "ModelError", "OptionInvalid", "OutOfMemory",
        "OutputError",
    ),
    "lipsync.models.session": ("Adapted", "RunInfo"),
    "lipsync.monitor": ("Monitor", "Progress"),
    "lipsync.pipeline.job": ("EngineResult", "EnhanceStatus", "Enhanced", "Inputs", "Result"),
    "lipsync.types": ("AudioInfo", "Clip", "VideoClip", "VideoInfo"),
}  # fmt: skip

__all__ = [
    "Adapted",
    "AudioInfo",
    "Cancelled",
    "Clip",
    "EngineResult",
    "EnhanceStatus",
    "Enhanced",
    "ExtraMissing",
    "InputError",
    "Inputs",
    "LipsyncError",
    "ModelError",
    "Monitor",
    "OptionInvalid",
    "OutOfMemory",
    "OutputError",
    "Progress",
    "Result",
    "RunInfo",
    "VideoClip",
    "VideoInfo",
    "__version__",
    "sync",
]


def __getattr__(name: str) -> Any:
    for module, names in _EXPORTS.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def sync(
    video: str | Path,
    audio: str | Path,
    output: str | Path,
    *,
    photo_rate: float | Fraction = 25,
    allow_clipped: bool = False,
    allow_truncated: bool = False,
    av_offset: int = 0,
    resize_factor: int = 1,
    background: str = "black",
    rotate: bool = False,
    crop: Sequence[int] = (0, -1, 0, -1),
    static: bool = False,
    max_input_seconds: int | None = None,
    max_input_pixels: int = 12_288 * 12_288,
    max_decoded_bytes: int = 2 << 30,
    max_output_pixels: int = 8192 * 4320,
    face_select: Literal["largest", "left", "right", "centre"] = "largest",
    box: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    smooth: bool = True,
    engine: str | Sequence[str] = "rewrite",
    original: bool = False,
    checkpoint: str | None = None,
    adapt: Literal["auto", "off"] = "auto",
    reference: str | Path | None = None,
    detail: float = 1.0,
    liveliness: float = 0.5,
    encode: str = "fast",
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pixel_format: str | None = None,
    audio_codec: Literal["aac", "flac", "pcm_s24le", "libopus"] | None = None,
    audio_bitrate: int | None = None,
    enhance: str | None = None,
    fidelity: float = 0.7,
    upscale: str | None = None,
    tile: int | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    batch_size: int | None = None,
    models_dir: str | Path | None = None,
    offset_copies: Sequence[int] = (),
    on_progress: Callable[[Progress], None] | None = None,
    monitor: Monitor | None = None,
) -> Result:
    """Animate the mouth in ``video``, a video or photo, to ``audio``, an audio file or a video with audio.

    ``output`` (.mp4, .m4v, .mov, .mkv or .webm) appears complete or not at all, and replaces an existing file. With
    several engines, each appends its name to it. ``on_progress`` is called after each frame of each stage. ``monitor``
    carries a callback of its own instead; its ``cancel()`` may be called from any thread.

    Options, of which the command line and the API have the same:

    photo_rate: frame rate of the video made from a photo (1 to 120 frames/s; default: 25)
    allow_clipped: accept badly clipped, distorted audio
    allow_truncated: accept an audio file that ends before its stated length
    av_offset: delay of the mouth against the audio; if negative, the mouth moves earlier (-10000 to 10000 ms; default:
        0)
    resize_factor: downscale the output by this factor (1 to 16; default: 1)
    background: colour behind a transparent video or photo, where the encoding cannot keep transparency: #RRGGBB, or
        black, white, grey, red, green, lime, blue (default: black)
    rotate: rotate the video clockwise by 90 degrees
    crop: region of the video to keep, after resize_factor and rotate: top, bottom, left, right; -1 is the bottom or
        right edge (-1 or more pixels; default: 0, -1, 0, -1)
    static: use only the first frame of the video
    max_input_seconds: longest input that is accepted (1 or more s; default: any)
    max_input_pixels: largest photo or video frame that is accepted (1024 or more pixels; default: 150994944)
    max_decoded_bytes: most memory for a decoded photo, or for 16 frames of a video (1048576 or more bytes; default:
        2147483648)
    max_output_pixels: largest frame of a result (1024 or more pixels; default: 35389440)
    face_select: face to animate if there are several (largest, left, right, centre; default: largest)
    box: fixed face box: top, bottom, left, right (pixels; default: detect the face)
    pads: padding of the face box: top, bottom, left, right (-10000 to 10000 pixels; default: the engine's own)
    smooth: average face boxes over time (default: True)
    engine: engine that moves the mouth; repeatable, one result per engine. rewrite needs no weights and keeps the
        video's resolution; wav2lip generates a 96x96 mouth; wav2lip-gan generates a sharper 96x96 mouth; hybrid renders
        the shape of Wav2Lip's mouth at the video's resolution; passthrough changes nothing (rewrite, wav2lip,
        wav2lip-gan, hybrid, passthrough; default: rewrite)
    original: reproduce the original Wav2Lip step by step, faults included; for wav2lip and wav2lip-gan
    checkpoint: weights of the engine: a file, or a name from 'lipsync models list' (default: the engine's name)
    adapt: let rewrite learn from the video how the person's mouth moves, if the person talks in it (auto, off; default:
        auto)
    reference: another video in which the same person talks, for rewrite to learn from (default: the video alone)
    detail: share of the video's own texture given to the mouths of wav2lip and wav2lip-gan (0 to 1; default: 1)
    liveliness: blinks and slight head motion of a photo; 0 keeps everything but the mouth still (0 to 1; default: 0.5)
    encode: named encoding; the other encoding options override its parts (fast, q17, q20, small, hevc, av1, prores,
        prores4444, webm, lossless, nvenc, hevc-nvenc, av1-nvenc, qsv, hevc-qsv, av1-qsv, amf, hevc-amf, videotoolbox,
        hevc-videotoolbox; default: fast)
    codec: video encoder, as FFmpeg names it (default: set by encode)
    crf: quality: lower is better and larger; above 51 only with libsvtav1 and libvpx-vp9 (0 to 63; default: set by
        encode)
    preset: encoding speed: ultrafast to veryslow, or a preset of the encoder (default: set by encode)
    pixel_format: pixel format, such as yuv420p10le (default: 4:2:0 at the video's bit depth)
    audio_codec: audio encoder (aac, flac, pcm_s24le, libopus; default: set by encode)
    audio_bitrate: audio bit rate (8000 to 10000000 bits/s; default: set by encode)
    enhance: face restorer for the new mouth, with an optional strength from 0 to 1: gfpgan-1.4, codeformer,
        gpen-bfr-512, restoreformer-plus-plus (default: none)
    fidelity: CodeFormer fidelity: 1 = closest to the input, 0 = highest quality (0 to 1; default: 0.7)
    upscale: enlarge the frames by 2 or 4, optionally with a named upscaler: lanczos, span, realesr-animevideov3,
        realesrgan-x2plus, realesrgan-x4plus, realesr-general-x4v3 (default: none)
    tile: side of the tiles that an upscaler computes at once (32 or more pixels; default: 256 on a CPU, 512 on a GPU)
    device: device for inference; ncnn and vulkan run upscalers only (auto, cpu, onnxruntime, cuda, tensorrt, coreml,
        directml, ncnn, vulkan; default: auto)
    precision: precision of inference (auto, fp32, bf16, fp16; default: auto)
    batch_size: maximum number of frames per inference (1 or more frames; default: 4 on a CPU, 16 on a GPU)
    models_dir: folder of model weights (default: in the user's data folder)
    offset_copies: copies of each result with the mouth delayed by these amounts; negative values are earlier (-120 to
        120 ms; default: none)

    Raises InputError (OptionInvalid for a bad option), OutputError, ModelError, ExtraMissing or OutOfMemory with a
    one-line message, and Cancelled.
    """
    from pathlib import Path

    from lipsync.monitor import Monitor
    from lipsync.pipeline.build_job import build_job
    from lipsync.pipeline.run import run

    job = build_job(
        Path(video),
        Path(audio),
        Path(output),
        photo_rate=photo_rate,
        allow_clipped=allow_clipped,
        allow_truncated=allow_truncated,
        av_offset=av_offset,
        resize_factor=resize_factor,
        background=background,
        rotate=rotate,
        crop=crop,
        static=static,
        max_input_seconds=max_input_seconds,
        max_input_pixels=max_input_pixels,
        max_decoded_bytes=max_decoded_bytes,
        max_output_pixels=max_output_pixels,
        face_select=face_select,
        box=box,
        pads=pads,
        smooth=smooth,
        engine=engine,
        original=original,
        checkpoint=checkpoint,
        adapt=adapt,
        reference=reference,
        detail=detail,
        liveliness=liveliness,
        encode=encode,
        codec=codec,
        crf=crf,
        preset=preset,
        pixel_format=pixel_format,
        audio_codec=audio_codec,
        audio_bitrate=audio_bitrate,
        enhance=enhance,
        fidelity=fidelity,
        upscale=upscale,
        tile=tile,
        device=device,
        precision=precision,
        batch_size=batch_size,
        models_dir=models_dir,
        offset_copies=offset_copies,
    )
    return run(job, monitor or Monitor(on_progress))
