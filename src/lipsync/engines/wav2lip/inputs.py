"""Prepare the generator's inputs: stabilized crops that turn with the head, and a closed mouth in silence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Final

from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.wav2lip.compose import Placement, placement_in_box, placement_on_face
from lipsync.engines.wav2lip.crop import (
    UNDER_CHIN,
    Crop,
    Crops,
    aligned_crop,
    check_inside,
    crop_of_box,
    face_view,
    generator_input,
)
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorInput
from lipsync.engines.wav2lip.mel import mel_columns, mel_windows, trained_starts
from lipsync.engines.wav2lip.reference import ClosedMouthReferences
from lipsync.speech.silence import silence
from lipsync.types import Face, Float32, Frame, Shot

SILENCE_LEVELS: Final = 4  # steps of the blend into the closed mouth: few, so that features can be cached by step

# Where the generated face goes and, unless a fixed box is used, the face's mesh (468, 2) and shot.
Location = tuple[Placement, Float32 | None, Shot | None]


class GeneratorInputs:
    """Collects crops and closed-mouth references in the first pass, then builds each frame's input."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._crops, self._references = Crops(), ClosedMouthReferences()
        box = options.box
        self._fixed: Location | None = None if box is None else (placement_in_box(crop_of_box(box)), None, None)

    @property
    def needs_faces(self) -> bool:
        return self._fixed is None

    def observe(self, frame: Frame, face: Face | None) -> Crop | None:
        """Record a frame of the first pass; returns its crop before smoothing, None without a face."""
        if self._options.box is not None:
            check_inside(self._options.box, frame)
        crop = None if face is None else self._padded(aligned_crop(face.landmarks))
        self._crops.add(crop)
        if face is not None and crop is not None:
            self._references.offer(frame, face.landmarks, crop)
        return crop

    def jobs(self, frames: Iterable[Frame], scene: Scene) -> Generator[FrameJob[Placement | None], None, None]:
        """Yield a job for each frame."""
        columns = mel_columns(scene.speech.blocks(scene.av_offset))
        windows = mel_windows(columns, trained_starts(scene.frame_count, scene.rate))
        silences = silence(scene.speech.blocks(scene.av_offset), scene.rate, scene.frame_count)
        locate = self._locator(scene)
        for frame, mel, silent in zip(frames, windows, silences, strict=True):
            location = locate(frame.index)
            if location is None:
                yield FrameJob(frame, mel, None, None)
            else:
                yield FrameJob(frame, mel, self._input(frame, *location, silent), location[0])

    def _locator(self, scene: Scene) -> Callable[[int], Location | None]:
        """A function from a frame's index to its location; None if the face is out of view."""
        if self._fixed is not None:
            return lambda index: self._fixed
        track, faces = scene.track, scene.faces
        crops = self._crops.smoothed(track.present, track.shots, scene.rate, self._options.smooth)

        def locate(index: int) -> Location | None:
            face, crop = faces.at(index), crops[index]
            if face is None or crop is None:
                return None
            shot = track.shots[track.shot_number(index)]
            return placement_on_face(crop, face.points, face.strength), face.points, shot

        return locate

    def _input(
        self, frame: Frame, placement: Placement, points: Float32 | None, shot: Shot | None, silent: float
    ) -> GeneratorInput:
        """The frame's own face as reference, blended with a closed mouth as far as the audio is silent."""
        face = face_view(frame, placement.crop)
        share = round(silent * SILENCE_LEVELS) / SILENCE_LEVELS
        closed = None if not share or points is None or shot is None else self._references.nearest(points, shot)
        if closed is None:
            return GeneratorInput(generator_input(face, face), (frame.index, None, 0.0))
        number, reference = closed
        blended = (1 - share) * face + share * reference
        return GeneratorInput(generator_input(face, blended), (frame.index, number, share))

    def _padded(self, crop: Crop) -> Crop:
        return crop.padded(self._options.pads or (0, UNDER_CHIN * crop.height, 0, 0))
