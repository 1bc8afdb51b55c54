"""What a task's options mean for the job that is done for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from lipsync.engines.base import EngineOptions
from lipsync.enhancers.base import EnhancerOptions
from lipsync.errors import OptionInvalid
from lipsync.media.av_offset import check_offset
from lipsync.media.encoding import PRESETS, Encoding, encoding_named
from lipsync.pipeline.check import check_enhancement
from lipsync.pipeline.job import Enhancement, Job
from lipsync.pipeline.wish import parse_enhancement
from lipsync.tasks.task import JSON, Task

DEFAULTS: Mapping[str, JSON] = {
    "face_select": "largest",
    "original": False,
    "av_offset": 0,  # milliseconds
    "resize_factor": 1,
    "photo_rate": 25,
    "allow_clipped": False,
    "encode": "fast",
    "codec": None,  # these three in place of what the encoding says
    "crf": None,
    "preset": None,
    "detail": 1.0,
    "enhance": None,
    "fidelity": 0.7,
    "upscale": None,
    "offset_copies": [],  # milliseconds
}


def job_of(task: Task, video: Path, audio: Path, folder: Path, models: Path | None, seconds: float | None) -> Job:
    """The job with everything that the task does not say as ``DEFAULTS`` have it; its files go into the folder.

    ``seconds``: how long enhancing may take. Raises OptionInvalid.
    """
    told = complete(task.options)
    with _sensible():
        return Job(
            video,
            audio,
            folder / f"result{PRESETS[str(told['encode'])].suffix}",
            engines=task.engines,
            face_select=str(told["face_select"]),
            encoding=_encoding(told),
            photo_rate=Fraction(str(told["photo_rate"])),
            allow_clipped=bool(told["allow_clipped"]),
            options=EngineOptions(original=bool(told["original"]), models_dir=models),
            av_offset=Fraction(int(told["av_offset"]), 1000),
            resize_factor=int(told["resize_factor"]),
            detail=float(told["detail"]),
            enhancement=_enhancement(told, models, seconds),
            offset_copies=_offsets(told),
        )


def check_options(options: Mapping[str, JSON]) -> None:
    """OptionInvalid if no job can be made of them, whatever the inputs are."""
    told = complete(options)
    with _sensible():
        _encoding(told)
        _enhancement(told, None, None)
        _offsets(told)


@contextmanager
def _sensible() -> Iterator[None]:
    """Values of another kind than an option's as OptionInvalid."""
    try:
        yield
    except (TypeError, ValueError, ZeroDivisionError, LookupError, AttributeError) as exc:
        raise OptionInvalid(f"an option's value makes no sense: {exc}") from exc


def complete(options: Mapping[str, JSON]) -> dict[str, Any]:
    """The options with what they leave out. Raises OptionInvalid for one that there is not."""
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise OptionInvalid(f"there is no option {unknown[0]}; there are {', '.join(DEFAULTS)}")
    return {**DEFAULTS, **options}


def _encoding(told: Mapping[str, Any]) -> Encoding:
    said = {"codec": str, "crf": int, "preset": str}
    others = {name: kind(told[name]) for name, kind in said.items() if told[name] is not None}
    return replace(encoding_named(str(told["encode"])), **others)


def _enhancement(told: Mapping[str, Any], models: Path | None, seconds: float | None) -> Enhancement | None:
    options = EnhancerOptions(fidelity=float(told["fidelity"]), models_dir=models)
    wish = parse_enhancement(told["enhance"], told["upscale"], options, seconds=seconds, required=False)
    if wish is not None:
        check_enhancement(wish)
    return wish


def _offsets(told: Mapping[str, Any]) -> tuple[Fraction, ...]:
    offsets = tuple(dict.fromkeys(Fraction(int(offset), 1000) for offset in told["offset_copies"]))
    for offset in offsets:
        check_offset(offset)
    return offsets
