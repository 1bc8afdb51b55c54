"""Jobs from option values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.errors import OptionInvalid
from lipsync.pipeline.build_job import build_job
from lipsync.pipeline.job import Job

# of every option: a value other than the default, what else it takes, and where in the job it stands
EXAMPLES = {
    "photo_rate": (50, {}, lambda job: job.photo_rate, Fraction(50)),
    "allow_clipped": (True, {}, lambda job: job.allow_clipped, True),
    "allow_truncated": (True, {}, lambda job: job.allow_truncated, True),
    "av_offset": (-80, {}, lambda job: job.av_offset, Fraction(-2, 25)),
    "resize_factor": (2, {}, lambda job: job.resize_factor, 2),
    "background": ("#00b140", {}, lambda job: job.background, (0, 177, 64)),
    "max_input_seconds": (60, {}, lambda job: job.limits.max_seconds, 60),
    "max_input_pixels": (4096, {}, lambda job: job.limits.max_pixels, 4096),
    "max_decoded_bytes": (1 << 20, {}, lambda job: job.limits.max_decoded_bytes, 1 << 20),
    "max_output_pixels": (4096, {}, lambda job: job.limits.max_output_pixels, 4096),
    "rotate": (True, {}, lambda job: job.rotate, True),
    "crop": ([1, 2, 3, 4], {}, lambda job: job.crop, (1, 2, 3, 4)),
    "static": (True, {}, lambda job: job.static, True),
    "face_select": ("left", {}, lambda job: job.face_select, "left"),
    "box": ([1, 2, 3, 4], {"engine": "wav2lip"}, lambda job: job.options.box, (1, 2, 3, 4)),
    "pads": ([1, 2, 3, 4], {}, lambda job: job.options.pads, (1, 2, 3, 4)),
    "smooth": (False, {}, lambda job: job.options.smooth, False),
    "engine": (["passthrough", "rewrite"], {}, lambda job: job.engines, ("passthrough", "rewrite")),
    "original": (True, {"engine": "wav2lip"}, lambda job: job.options.original, True),
    "checkpoint": ("mine", {"engine": "wav2lip"}, lambda job: job.options.checkpoint, "mine"),
    "detail": (0.5, {}, lambda job: job.detail, 0.5),
    "liveliness": (0.0, {}, lambda job: job.liveliness, 0.0),
    "encode": ("small", {}, lambda job: (job.encoding.crf, job.encoding.preset), (26, "medium")),
    "codec": ("libx265", {}, lambda job: job.encoding.codec, "libx265"),
    "crf": (20, {}, lambda job: job.encoding.crf, 20),
    "preset": ("slow", {}, lambda job: job.encoding.preset, "slow"),
    "pixel_format": ("yuv444p", {}, lambda job: job.encoding.pixel_format, "yuv444p"),
    "audio_codec": ("flac", {}, lambda job: job.encoding.audio_codec, "flac"),
    "audio_bitrate": (96_000, {}, lambda job: job.encoding.audio_bitrate, 96_000),
    "enhance": ("codeformer:0.5", {}, lambda job: (job.enhancement.restorer, job.enhancement.options.strength),
                ("codeformer", 0.5)),
    "fidelity": (0.2, {"enhance": "codeformer"}, lambda job: job.enhancement.options.fidelity, 0.2),
    "upscale": ("4:lanczos", {}, lambda job: (job.enhancement.factor, job.enhancement.upscaler), (4, "lanczos")),
    "tile": (128, {"upscale": "2"}, lambda job: job.enhancement.options.tile, 128),
    "device": ("cpu", {"upscale": "2"}, lambda job: (job.options.device, job.enhancement.options.device),
               ("cpu", "cpu")),
    "precision": ("fp32", {"upscale": "2"}, lambda job: (job.options.precision, job.enhancement.options.precision),
                  ("fp32", "fp32")),
    "batch_size": (8, {}, lambda job: job.options.batch_size, 8),
    "models_dir": ("m", {"upscale": "2"}, lambda job: (job.options.models_dir, job.enhancement.options.models_dir),
                   (Path("m"), Path("m"))),
    "adapt": ("off", {}, lambda job: job.adapts, False),
    "reference": ("r.mp4", {}, lambda job: job.reference, Path("r.mp4")),
    "offset_copies": ([80, -40, 80], {}, lambda job: job.offset_copies, (Fraction(2, 25), Fraction(-1, 25))),
}  # fmt: skip


def test_every_option_reaches_the_job(job_options):
    assert set(EXAMPLES) == set(job_options)
    for name, (value, others, place, expected) in EXAMPLES.items():
        assert place(build(**{name: value}, **others)) == expected, name


def test_the_defaults_are_those_of_the_job():
    assert build() == Job(Path("v.mp4"), Path("a.wav"), Path("o.mp4"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "rewrite", "original": True}, "original"),
        ({"reference": "r.mp4", "adapt": "off"}, "reference"),
        ({"engine": "hybrid", "box": (0, 9, 0, 9)}, "box"),
        ({"engine": "rewrite", "box": (0, 9, 0, 9)}, "box cannot be combined with the rewrite engine"),
        ({"engine": "rewrite", "checkpoint": "x"}, "checkpoint"),
        ({"engine": ("wav2lip", "wav2lip-gan"), "checkpoint": "x"}, "checkpoint"),
        ({"engine": "passthrough", "face_select": "nicest"}, "face_select"),
        ({"codec": "libx264", "crf": 52}, "expected an integer from 0 to 51 for libx264"),
        ({"encode": "av1", "codec": "libx265", "crf": 60}, "51"),
        ({"enhance": "photoshop"}, "photoshop"),
        ({"enhance": "codeformer:2"}, "invalid enhance 'codeformer:2': expected NAME or NAME:STRENGTH"),
        ({"enhance": "codeformer:"}, "STRENGTH"),
        ({"enhance": "codeformer:nan"}, "STRENGTH"),
        ({"upscale": "3"}, "3"),
        ({"background": "mauve"}, "invalid background 'mauve': expected #RRGGBB, or black, white"),
        ({"background": "#12345"}, "#12345"),
        ({"upscale": "2:paint"}, "paint"),
        ({"upscale": "4:realesrgan-x2plus"}, "realesrgan-x2plus"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, words):
    with pytest.raises(OptionInvalid, match=words):
        build(**options)


def test_av1_has_a_wider_crf():
    assert build(encode="av1", crf=63).encoding.crf == 63


@pytest.fixture
def job_options() -> set[str]:
    from lipsync.pipeline.options import OPTIONS

    return set(OPTIONS)


def build(**options: object) -> Job:
    return build_job(Path("v.mp4"), Path("a.wav"), Path("o.mp4"), **options)


@pytest.mark.parametrize(
    ("text", "colour"),
    [("black", (0, 0, 0)), ("White", (255, 255, 255)), ("#0F8", (0, 255, 136))],
)
def test_a_background_has_a_name_or_digits(text, colour):
    assert build(background=text).background == colour
