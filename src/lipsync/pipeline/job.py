"""What a job is asked to do, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from lipsync.media.encoding import Encoding


@dataclass(frozen=True, slots=True)
class Job:
    """One face, one sound, one result. ``select``: whose mouth, of several people: largest, left, right or centre."""

    face: Path
    audio: Path
    output: Path
    engine: str = "rewrite"
    select: str = "largest"
    encoding: Encoding = field(default_factory=Encoding)
    photo_rate: Fraction = Fraction(25)
    allow_clipped: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What was made. ``faces``: frames in which the followed face was seen or bridged; ``edited``: frames that were
    changed; ``crop``: rows and columns (right, bottom) that a player hides because the encoder needs even sizes;
    ``peak_memory`` in bytes."""

    output: Path
    engine: str
    frames: int
    faces: int
    edited: int
    width: int
    height: int
    rate: Fraction
    duration: Fraction
    crop: tuple[int, int]
    seconds: Mapping[str, float]
    peak_memory: int
    warnings: tuple[str, ...] = ()
