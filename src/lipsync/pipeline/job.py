"""The records of a job: its order, its results, and the observer of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Protocol

from lipsync.engines.base import EngineOptions
from lipsync.enhancers.base import EnhancerOptions
from lipsync.files import Scratch
from lipsync.media.encoding import Encoding
from lipsync.media.limits import MediaLimits
from lipsync.media.transform import NO_CROP
from lipsync.models.session import Adapted, RunInfo
from lipsync.types import Clip, Rgb, Sides, VideoClip

FINAL_VARIANT: Final = "final"
PLAIN_VARIANT: Final = "plain"  # before enhancement; copies with another audio offset have names of their own


@dataclass(frozen=True, slots=True)
class Enhancement:
    """A step after the lip-sync that may fail without losing it.

    ``restorer``: a name in RESTORERS; None leaves the face as it is. ``factor``: enlargement of the frames by
    ``upscaler``, a name in UPSCALERS; None: the best one installed. ``seconds``: time limit. ``required``: a missing
    model or extra fails the job before it starts, instead of the enhancement alone.
    """

    restorer: str | None = None
    factor: int = 1
    upscaler: str | None = None
    options: EnhancerOptions = field(default_factory=EnhancerOptions)
    seconds: float | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One video, one audio track, and one result per engine. ``build_job`` makes valid ones from option values.

    ``av_offset``: delay of the mouth against the audio in seconds; ``offset_copies``: the same for additional copies of
    each result. Frames are downscaled by ``resize_factor``, then rotated clockwise by 90 degrees if ``rotate``, then
    cut to ``crop`` (top, bottom, left, right; -1 is the far edge). ``static``: only the first frame is used.
    ``background``: behind transparent video, where the encoding cannot keep transparency.
    ``detail`` 0..1: share of the video's texture given to softer mouths. ``liveliness`` 0..1: of a photo's eyes
    and head. ``adapts``: whether engines may adapt to the person; ``reference``: another clip of that person.
    ``limits``: on inputs and results. ``scratch``: for temporary files.
    """

    video: Path
    audio: Path
    output: Path
    engines: tuple[str, ...] = ("rewrite",)
    face_select: str = "largest"
    encoding: Encoding = field(default_factory=Encoding)
    photo_rate: Fraction = Fraction(25)
    allow_clipped: bool = False
    allow_truncated: bool = False
    options: EngineOptions = field(default_factory=EngineOptions)
    av_offset: Fraction = Fraction(0)
    resize_factor: int = 1
    rotate: bool = False
    crop: Sides = NO_CROP
    static: bool = False
    background: Rgb = (0, 0, 0)
    detail: float = 1.0
    liveliness: float = 0.5
    enhancement: Enhancement | None = None
    offset_copies: tuple[Fraction, ...] = ()
    adapts: bool = True
    reference: Path | None = None
    limits: MediaLimits = field(default_factory=MediaLimits)
    scratch: Scratch = field(default_factory=Scratch)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that the job reads."""
        return (self.video, self.audio) if self.reference is None else (self.video, self.audio, self.reference)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The result of each engine: ``output`` for a single engine, else with the engine's name appended."""
        if len(self.engines) == 1:
            return (self.output,)
        return tuple(self.output.with_stem(f"{self.output.stem}-{engine}") for engine in self.engines)

    @property
    def plain_outputs(self) -> tuple[Path, ...]:
        """The lip-sync of each engine before enhancement; the same as ``outputs`` if there is none."""
        if self.enhancement is None:
            return self.outputs
        return tuple(output.with_stem(f"{output.stem}-{PLAIN_VARIANT}") for output in self.outputs)


class EnhanceStatus(StrEnum):
    """The status of an enhancement."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Enhanced:
    """The outcome of an enhancement.

    ``code`` and ``message``: the reason for a failure or a skip, or a hint at a better enhancer. ``names``: the
    enhancer of the ``face`` and of the whole ``frame``; ``run_info``: how each was computed.
    """

    status: EnhanceStatus
    code: str | None = None
    message: str | None = None
    run_info: Mapping[str, RunInfo] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def enhancers(self) -> dict[str, dict[str, Any]]:
        """``names`` and ``run_info`` as plain values."""
        infos = {target: asdict(run_info) for target, run_info in self.run_info.items()}
        return {target: {"name": name} | infos.get(target, {}) for target, name in self.names.items()}


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One file of one engine.

    ``edited``: number of changed frames; ``run_info``: how they were computed. ``variant``: FINAL_VARIANT,
    PLAIN_VARIANT, or the name of an offset copy (``av_offset_name``). ``padding``: see ``Result``. ``lost``: what the
    video's file holds and this one cannot, in words.
    """

    engine: str
    output: Path
    edited: int
    run_info: RunInfo | None
    variant: str = FINAL_VARIANT
    width: int = 0
    height: int = 0
    padding: tuple[int, int] = (0, 0)
    duration: Fraction = Fraction(0)
    lost: tuple[str, ...] = ()

    @property
    def adapted(self) -> Adapted | None:
        """The adaptation to the person; None if the engine learned nothing."""
        return None if self.run_info is None else self.run_info.adapted


@dataclass(frozen=True, slots=True)
class Inputs:
    """The probed inputs of a job; ``reference``: None unless it has one."""

    video: VideoClip
    audio: Clip
    reference: VideoClip | None = None

    @property
    def by_name(self) -> dict[str, Clip]:
        """The clips by their names: video, audio and, if there is one, reference."""
        clips: dict[str, Clip] = {"video": self.video, "audio": self.audio}
        return clips if self.reference is None else clips | {"reference": self.reference}


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a job.

    ``outputs``: the final file of each engine, then all other files. ``frames``: frames of the output; ``faces``:
    those in which the followed face was seen or interpolated. ``rate``: frames/s; ``duration``: seconds.
    ``padding``: columns on the right and rows at the bottom that the encoder added and players hide.
    ``resize_factor``: downscaling of the lip-sync, larger than the job's if memory ran out. ``seconds``: time of each
    stage and in ``total``; ``peak_memory``: bytes. ``inputs``: the probed video and audio.
    ``enhanced``: None if the job has no enhancement.
    """

    outputs: tuple[EngineResult, ...]
    frames: int
    faces: int
    width: int
    height: int
    rate: Fraction
    duration: Fraction
    padding: tuple[int, int]
    resize_factor: int
    seconds: Mapping[str, float]
    peak_memory: int
    inputs: Inputs
    warnings: tuple[str, ...] = ()
    enhanced: Enhanced | None = None

    @property
    def output(self) -> Path:
        """The first engine's file."""
        return self.outputs[0].output

    @property
    def engine(self) -> str:
        """The first engine's name."""
        return self.outputs[0].engine

    @property
    def edited(self) -> int:
        """The number of frames that the first engine changed."""
        return self.outputs[0].edited

    @property
    def adapted(self) -> Adapted | None:
        """The first engine's adaptation to the person; None if it learned nothing."""
        return self.outputs[0].adapted

    @property
    def adaptations(self) -> tuple[str, ...]:
        """A sentence about each engine that adapted to the person."""
        learned = {output.engine: output.adapted for output in self.outputs if output.adapted is not None}
        return tuple(f"{engine}: {adapted}" for engine, adapted in learned.items())


class OutputObserver(Protocol):
    """Follows the files of a running job."""

    def on_output(self, output: EngineResult) -> None:
        """Handle a complete file. If the enhancement fails, the plain file is renamed to the final one."""

    def on_enhancement(self, enhanced: Enhanced) -> None:
        """Handle the start of one result's enhancement, or the end of all."""


class NullObserver:
    """An observer that does nothing."""

    def on_output(self, output: EngineResult) -> None:
        """Ignore the file."""

    def on_enhancement(self, enhanced: Enhanced) -> None:
        """Ignore the enhancement."""
