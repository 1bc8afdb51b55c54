"""The engine port: an engine observes the whole video once, then gives each output frame a new mouth."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import Track
from lipsync.models.session import RunInfo
from lipsync.monitor import Monitor
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Face, Float32, Frame, Sides


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of all engines; each engine reads those that apply to it.

    ``device``, ``precision``: see ``models.devices.choose_runtime``. ``batch_size``: maximum number of frames per
    inference; None: the default of the device. ``original``: reproduce the published inference step by step.
    ``checkpoint``: a file of weights, or their name in the store; None: the engine's own name. ``models_dir``: folder
    of the store; None: the default folder.

    ``pads``: pixels added to each side of the face box; None: the engine's default. ``box``: a fixed face box, used
    instead of face detection. ``smooth``: average face boxes over time.
    """

    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    original: bool = False
    checkpoint: str | None = None
    models_dir: Path | None = None
    pads: Sides | None = None
    box: Sides | None = None
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """The input of a synthesis, shared by all engines of a job.

    ``rate``: frames/s. ``frame_count``: number of output frames. ``av_offset``: delay of the mouth against the audio in
    seconds.
    """

    faces: SmoothedFaces
    speech: SpeechAudio
    rate: Fraction
    frame_count: int
    av_offset: Fraction = Fraction(0)

    @property
    def track(self) -> Track:
        return self.faces.track


@dataclass(frozen=True, slots=True)
class OwnSound:
    """The sound of footage in which a person talks.

    ``delay``: of the sound's first sample after the first frame, in seconds. ``seconds``: how much of the footage, from
    its first frame, it covers. ``monitor``: cancels the work on it.
    """

    speech: SpeechAudio
    delay: Fraction
    seconds: Fraction
    monitor: Monitor

    def blocks(self) -> Generator[Float32, None, None]:
        """Yield mono samples (n,), 16 kHz, -1..1, from the time of the first frame. Raises DiskFull, Cancelled."""
        for block in self.speech.blocks(self.delay):
            self.monitor.check()
            yield block


@dataclass(frozen=True, slots=True)
class Rendered:
    """An output frame of an engine; ``edited`` is False if it is an unchanged frame of the video."""

    frame: Frame
    edited: bool


@dataclass(frozen=True, slots=True)
class FrameRules:
    """How the pipeline prepares an engine's frames and treats its output.

    ``loops``: a video that ends before the audio restarts, instead of playing backwards (ping-pong). ``nearest``: see
    ``FrameTransform``. ``transforms_photos``: photos are downscaled, rotated and cropped as videos are.
    ``enlivens_photos``: the faces of photos may blink and move. ``transfers_detail``: mouths are softer than the video
    and take its texture.
    """

    loops: bool = False
    nearest: bool = False
    transforms_photos: bool = True
    enlivens_photos: bool = True
    transfers_detail: bool = False


class Engine(Protocol):
    """An engine for one job: ``observe`` receives all source frames in order, then ``synthesise`` runs once.

    ``needs_faces``: whether a face must be tracked; if not, ``observe`` receives None for each face. ``adapts``:
    whether the engine adapts to the person, from what ``listen`` and ``study`` receive.
    """

    needs_faces: bool
    adapts: bool = False
    frame_rules: FrameRules = FrameRules()

    @property
    def run_info(self) -> RunInfo | None:
        """How the frames so far were computed; None if the engine runs no model."""

    def frame_count(self, speech: SpeechAudio, rate: Fraction) -> int:
        """Return the number of output frames for the audio at ``rate`` frames/s: its duration, rounded to frames."""
        return max(1, round(speech.stats.duration * rate))

    def observe(self, frame: Frame, face: Face | None) -> None:
        """Study a source frame during the first pass, without changing it."""

    def listen(self, sound: OwnSound) -> None:
        """Hear the sound of a clip in which the person talks, in another thread while its faces are tracked.

        ``study`` follows, unless the clip is the video itself and is being observed. By default, nothing is learned.
        """
        return

    def study(self, faces: SmoothedFaces) -> None:
        """Study the faces of the clip that was listened to, before the first pass. By default, nothing is learned."""
        return

    def synthesise(self, frames: Iterable[Frame], scene: Scene) -> Generator[Rendered, None, None]:
        """Yield ``scene.frame_count`` output frames, one for each of ``frames``, which are in output order."""
