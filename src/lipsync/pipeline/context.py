"""What the frames of a result are made from, to be gone through once or more."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from lipsync.engines.base import Scene
from lipsync.faces.track import Track
from lipsync.frames.rgb import BT601, HD_LINES, UNSPECIFIED
from lipsync.media.writer import Written, write
from lipsync.pipeline.job import Job
from lipsync.pipeline.plan import Plan
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Clip, Frame, VideoClip


@dataclass(frozen=True, slots=True)
class RenderContext:
    """A job with all that was found out about its inputs."""

    job: Job
    footage: VideoClip
    sound: Clip
    voice: SpeechAudio
    track: Track
    plan: Plan

    @property
    def rate(self) -> Fraction:
        return self.footage.video.rate

    @property
    def scene(self) -> Scene:
        """What the engines work from."""
        return Scene(self.track, self.voice, self.rate, self.plan.frames, self.job.av_offset)

    def pictures(self) -> Generator[Frame, None, None]:
        """The footage's pictures, in the order of the output, new with each call."""
        return self.plan.pictures(self.footage, len(self.track))

    def write(self, rows: Iterable[Sequence[Frame]], outputs: Sequence[Path], factor: int = 1) -> list[Written]:
        """Encode one file of each column of rows, of pictures that are ``factor`` times as large as the footage's.

        Raises what ``media.writer.write`` does.
        """
        video = self.footage.video
        colour = video.colour
        if factor > 1 and colour.matrix == UNSPECIFIED and video.height < HD_LINES:
            colour = replace(colour, matrix=BT601)  # a larger picture would be taken to have other colours
        size = (video.width * factor, video.height * factor)
        larger = replace(self.footage, video=replace(video, width=size[0], height=size[1], colour=colour))
        frames, encoding = self.plan.frames, self.job.encoding
        return write(rows, outputs, video=larger, audio=self.sound, frame_count=frames, encoding=encoding)
