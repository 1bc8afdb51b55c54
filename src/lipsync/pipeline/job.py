"""What a job is asked to do, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from lipsync.engines.base import EngineOptions
from lipsync.enhancers.base import EnhancerOptions
from lipsync.media.encoding import Encoding
from lipsync.media.transform import NO_CROP
from lipsync.models.session import RunInfo
from lipsync.types import Sides

FINAL_VARIANT, PLAIN_VARIANT = (
    "final",
    "plain",
)  # what an output is, beside the variants with another offset of the sound


@dataclass(frozen=True, slots=True)
class Enhancement:
    """What is done to each result after the lip-sync, as a step that may fail without losing it.

    ``restorer``: a name in RESTORERS, None: the face stays as it is. ``factor``: how many times larger the picture
    becomes, by ``upscaler``, a name in UPSCALERS; None: the best that is here. ``seconds``: how long it may take.
    ``required``: what is missing for it stops the job before it begins, instead of the enhancement alone.
    """

    restorer: str | None = None
    factor: int = 1
    upscaler: str | None = None
    options: EnhancerOptions = field(default_factory=EnhancerOptions)
    seconds: float | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One face, one sound, one result of each engine.

    ``face_select``: whose mouth, of several people: largest, left, right or centre.
    ``av_offset``: seconds by which the mouth is to be later than the sound. ``resize_factor``: how many times smaller
    the result is than the footage, then ``rotate`` clockwise by 90 degrees, cut to ``crop`` (see ``media.transform``).
    ``static``: only the first frame of the footage is shown. ``detail`` 0..1: how much of the footage's own texture is
    given to mouths that are softer than it. ``offset_copies``: seconds by which the mouth is later than the sound in
    further copies of each result.
    """

    video: Path
    audio: Path
    output: Path
    engines: tuple[str, ...] = ("rewrite",)
    face_select: str = "largest"
    encoding: Encoding = field(default_factory=Encoding)
    photo_rate: Fraction = Fraction(25)
    allow_clipped: bool = False
    options: EngineOptions = field(default_factory=EngineOptions)
    av_offset: Fraction = Fraction(0)
    resize_factor: int = 1
    rotate: bool = False
    crop: Sides = NO_CROP
    static: bool = False
    detail: float = 1.0
    enhancement: Enhancement | None = None
    offset_copies: tuple[Fraction, ...] = ()

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Where each engine's result goes: ``output`` itself if there is one, else with the engine's name added."""
        if len(self.engines) == 1:
            return (self.output,)
        return tuple(self.output.with_stem(f"{self.output.stem}-{engine}") for engine in self.engines)

    @property
    def plain_outputs(self) -> tuple[Path, ...]:
        """Where the lip-sync alone goes: beside the results if these are to be enhanced."""
        if self.enhancement is None:
            return self.outputs
        return tuple(output.with_stem(f"{output.stem}-{PLAIN_VARIANT}") for output in self.outputs)


class EnhanceStatus(StrEnum):
    """How far an enhancement is."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Enhanced:
    """What became of an enhancement: ``code`` and ``message`` tell why it failed or was skipped,
    or what would have been better. ``names``: by what the ``face`` and the ``picture`` were enhanced, ``run_info``:
    how these computed."""

    step: EnhanceStatus
    code: str | None = None
    message: str | None = None
    run_info: Mapping[str, RunInfo] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, dict[str, Any]]:
        """``names`` and ``run_info`` as plain values."""
        how = {part: asdict(run_info) for part, run_info in self.run_info.items()}
        return {part: {"name": name} | how.get(part, {}) for part, name in self.names.items()}


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One file of one engine. ``edited``: frames that were changed; ``run_info``: how it was computed.

    ``variant``: FINAL_VARIANT; PLAIN_VARIANT, where an enhanced one lies beside it; or the name by ``av_offset_name``.
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


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a job. ``outputs``: each engine's final file first, then the others.

    ``faces``: frames in which the tracked face was seen or a short gap was bridged. ``padding``: columns on the right
    and rows at the bottom that the encoder adds to reach even sizes and players hide. ``resize_factor``: how many times
    smaller the lip-sync's picture is than the footage. ``enhanced``: None if enhancement was not requested.
    ``peak_memory``: bytes.
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
        """How many frames the first engine changed."""
        return self.outputs[0].edited


class OutputObserver(Protocol):
    """Who is told of each file as soon as it is complete, while the job goes on."""

    def made(self, output: EngineResult) -> None:
        """A file is complete. Where an enhancement fails, its plain file takes the place of the final one."""

    def enhancing(self, enhanced: Enhanced) -> None:
        """The enhancement of another result begins, or all of it has ended."""


class NullObserver:
    """A receiver that waits for the result."""

    def made(self, output: EngineResult) -> None:
        """Say nothing."""

    def enhancing(self, enhanced: Enhanced) -> None:
        """Say nothing."""
