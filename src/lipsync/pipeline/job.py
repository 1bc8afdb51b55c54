"""What a job is asked to do, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from lipsync.engines.base import EngineOptions
from lipsync.media.encoding import Encoding
from lipsync.media.framing import WHOLE
from lipsync.models.session import Conditions


@dataclass(frozen=True, slots=True)
class Job:
    """One face, one sound, one result of each engine.

    ``select``: whose mouth, of several people: largest, left, right or centre.
    ``delay``: seconds by which the mouth is to be later than the sound. ``resize_factor``: how many times smaller the
    result is than the footage, then ``rotated`` clockwise by 90 degrees, then cut to ``crop`` (see ``media.framing``).
    ``static``: only the first frame of the footage is shown.
    """

    face: Path
    audio: Path
    output: Path
    engines: tuple[str, ...] = ("rewrite",)
    select: str = "largest"
    encoding: Encoding = field(default_factory=Encoding)
    photo_rate: Fraction = Fraction(25)
    allow_clipped: bool = False
    options: EngineOptions = field(default_factory=EngineOptions)
    delay: Fraction = Fraction(0)
    resize_factor: int = 1
    rotated: bool = False
    crop: tuple[int, int, int, int] = WHOLE
    static: bool = False

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Where each engine's result goes: ``output`` itself if there is one, else with the engine's name added."""
        if len(self.engines) == 1:
            return (self.output,)
        return tuple(self.output.with_stem(f"{self.output.stem}-{engine}") for engine in self.engines)


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One engine's file. ``edited``: frames that were changed; ``conditions``: how it was computed."""

    engine: str
    output: Path
    edited: int
    conditions: Conditions | None


@dataclass(frozen=True, slots=True)
class Result:
    """What was made. ``faces``: frames in which the followed face was seen or bridged; ``crop``: rows and columns
    (right, bottom) that a player hides because the encoder needs even sizes; ``resize_factor``: how many times smaller
    the picture is than the footage; ``peak_memory`` in bytes."""

    outputs: tuple[EngineResult, ...]
    frames: int
    faces: int
    width: int
    height: int
    rate: Fraction
    duration: Fraction
    crop: tuple[int, int]
    resize_factor: int
    seconds: Mapping[str, float]
    peak_memory: int
    warnings: tuple[str, ...] = ()

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
