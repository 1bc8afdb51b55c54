"""What the generator is shown of the footage: crops that turn with the head and do not shake, each frame's own face,
and a closed mouth in silence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from lipsync.engines.base import EngineOptions, Scene
from lipsync.engines.wav2lip.compose import Placement, place_in_box, place_of
from lipsync.engines.wav2lip.crop import (
    UNDER_CHIN,
    Crop,
    Crops,
    aligned_box,
    boxed,
    check_inside,
    generator_input,
    view,
)
from lipsync.engines.wav2lip.inference import FrameJob, GeneratorInput
from lipsync.engines.wav2lip.mel import mel_columns, mel_windows, trained_starts
from lipsync.engines.wav2lip.reference import ClosedMouths
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.speech.silence import silence
from lipsync.types import Face, Float32, Frame, Shot

SHARES = 4  # steps in which the closed mouth comes and goes, so that a frame's few references can be told by name

# Where the face goes and, where one is known, its mesh (468, 2) and the shot that it is in.
Located = tuple[Placement, Float32 | None, Shot | None]


class Views:
    """Fed with every frame of the first pass, then says what the generator is to see of each."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._crops, self._closed = Crops(), ClosedMouths()
        self._always: Located | None = None if options.box is None else (place_in_box(boxed(options.box)), None, None)

    @property
    def needs_faces(self) -> bool:
        return self._always is None

    def observe(self, picture: Frame, face: Face | None) -> Crop | None:
        """Look at a frame; gives where its face is cut out, as it was seen there."""
        if self._options.box is not None:
            check_inside(self._options.box, picture)
        crop = None if face is None else self._padded(aligned_box(face.landmarks))
        self._crops.add(crop)
        if face is not None and crop is not None:
            self._closed.offer(picture, face.landmarks, crop)
        return crop

    def works(self, pictures: Iterable[Frame], scene: Scene) -> Generator[FrameJob[Placement | None], None, None]:
        """The pictures, each with its sound and what the generator sees of it."""
        columns = mel_columns(scene.voice.blocks(scene.av_offset))
        windows = mel_windows(columns, trained_starts(scene.frames, scene.rate))
        quiet = silence(scene.voice.blocks(scene.av_offset), scene.rate, scene.frames)
        locate = self._locator(scene)
        for picture, mel, share in zip(pictures, windows, quiet, strict=True):
            located = locate(picture.index)
            if located is None:
                yield FrameJob(picture, mel, None, None)
            else:
                yield FrameJob(picture, mel, self._view(picture, *located, share), located[0])

    def _locator(self, scene: Scene) -> Callable[[int], Located | None]:
        """What tells where the face is in a frame of the footage; None where it is not to be seen."""
        if self._always is not None:
            return lambda index: self._always
        track = scene.track
        crops = self._crops.placed(track.present, track.shots, scene.rate, self._options.smooth)
        window = SmoothedFaces(track)

        def locate(index: int) -> Located | None:
            face, crop = window.at(index), crops[index]
            if face is None or crop is None:
                return None
            shot = track.shots[track.shot_number(index)]
            return place_of(crop, face.points, face.strength), face.points, shot

        return locate

    def _view(
        self, picture: Frame, place: Placement, points: Float32 | None, shot: Shot | None, quiet: float
    ) -> GeneratorInput:
        """What the generator sees: the frame's own face and, the more silent it is, one whose mouth is closed."""
        face = view(picture, place.crop)
        share = round(quiet * SHARES) / SHARES
        closed = None if not share or points is None or shot is None else self._closed.nearest(points, shot)
        if closed is None:
            return GeneratorInput(generator_input(face, face), (picture.index, None, 0.0))
        frame, other = closed
        return GeneratorInput(generator_input(face, (1 - share) * face + share * other), (picture.index, frame, share))

    def _padded(self, crop: Crop) -> Crop:
        return crop.padded(self._options.pads or (0, UNDER_CHIN * crop.height, 0, 0))
