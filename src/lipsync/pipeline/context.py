"""Records that pass from stage to stage: the render context, and the outcome of the lip-sync."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync.engines.base import Scene
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track
from lipsync.frames.rgb import BT601, HD_LINES, UNSPECIFIED
from lipsync.media.writer import Written, write
from lipsync.models.session import RunInfo
from lipsync.pipeline.enliven import prepare_photo
from lipsync.pipeline.job import EngineResult, Enhanced, Job
from lipsync.pipeline.plan import Plan
from lipsync.pipeline.synthesise import EngineChain
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Clip, Frame, VideoClip

if TYPE_CHECKING:
    from lipsync.liveliness.photo import LivelyPhoto


@dataclass(frozen=True, slots=True)
class RenderContext:
    """One attempt at a job: the job at the resolution of the attempt, its inputs, and their analysis.

    ``video``: with the job's frame transform.
    """

    job: Job
    video: VideoClip
    audio: Clip
    speech: SpeechAudio
    faces: SmoothedFaces
    plan: Plan

    @property
    def rate(self) -> Fraction:
        return self.video.video.rate

    @property
    def track(self) -> Track:
        return self.faces.track

    @property
    def scene(self) -> Scene:
        """The input of the engines."""
        return Scene(self.faces, self.speech, self.rate, self.plan.frame_count, self.job.av_offset)

    @property
    def face_count(self) -> int:
        """The number of output frames in which the followed face was seen or interpolated."""
        present, length = self.track.present, len(self.track)
        return sum(bool(present[self.plan.source_index(i, length)]) for i in range(self.plan.frame_count))

    def frames(self) -> Generator[Frame, None, None]:
        """Read the source frames in the order of the output; each call reads them again."""
        return self.plan.frames(self.video, len(self.track))

    def lively_photo(self) -> LivelyPhoto | None:
        """The photo ready to blink and move; None for a video, or if the job wants it still.

        Raises what ``enliven.prepare_photo`` raises.
        """
        voice = self.speech.blocks(self.job.av_offset)
        return prepare_photo(self.video, self.faces, self.job.liveliness, voice)

    def write(self, frame_sets: Iterable[Sequence[Frame]], outputs: Sequence[Path], factor: int = 1) -> list[Written]:
        """Encode frames that are ``factor`` times as large as the video's, one of each set for each output.

        Raises what ``media.writer.write`` raises.
        """
        video = self.video.video
        colour = video.colour
        if factor > 1 and colour.matrix == UNSPECIFIED and video.height < HD_LINES:
            colour = replace(colour, matrix=BT601)  # players assume another matrix for larger untagged video
        enlarged = replace(video, width=video.width * factor, height=video.height * factor, colour=colour)
        return write(
            frame_sets,
            outputs,
            video=replace(self.video, video=enlarged),
            audio=self.audio,
            frame_count=self.plan.frame_count,
            encoding=self.job.encoding,
        )

    def result_of(
        self, file: Written, engine: str, edited: int, run_info: RunInfo | None, variant: str
    ) -> EngineResult:
        """Describe a written file."""
        size = file.width, file.height, file.padding
        return EngineResult(engine, file.path, edited, run_info, variant, *size, self.speech.stats.duration, file.lost)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The outcome of a job's stages so far.

    ``chains``: one for each engine. ``outputs``: the files, the final one of each engine first. ``enhanced``: None
    until the enhancement has run.
    """

    context: RenderContext
    chains: Sequence[EngineChain]
    outputs: tuple[EngineResult, ...]
    enhanced: Enhanced | None = None
