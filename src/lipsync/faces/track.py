"""The tracked face in every frame of a video, in bounded memory."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import NoFaceFound
from lipsync.faces.smoothing import reach, smooth
from lipsync.files import SYSTEM_SCRATCH, scratch_errors
from lipsync.types import Face, Float32, Shot

POINTS = 478
FACE_BYTES = POINTS * 3 * 4
MAX_GAP_SECONDS = 0.5  # shorter gaps are bridged
NO_FACE = "no face was detected in the video"


class Track:
    """The tracked face, frame by frame; a context manager that owns the file with its landmarks.

    ``rate``: frames per second. ``shots``: the runs between cuts; together they cover all frames. ``detected`` (n,):
    frames in which the face was found. ``present`` (n,): frames in which it was found, or that lie in a gap of less
    than half a second within one shot. ``score``: the median of the faces' scores, about 1 for a person's face.
    """

    def __init__(
        self, file: IO[bytes], detected: NDArray[np.bool_], shots: tuple[Shot, ...], rate: Fraction, score: float
    ) -> None:
        self._file = file
        self.rate, self.score = rate, score
        self.detected = detected
        self.shots = shots
        self._row = np.cumsum(detected, dtype=np.int64) - 1
        self._faces = np.flatnonzero(detected)
        self._starts = np.array([shot.start for shot in shots], np.int64)
        self.present = self._bridged()
        self._reach = reach(rate)
        self._reference = self._face(len(self._faces) // 2) if len(self._faces) else np.zeros((POINTS, 3), np.float32)

    def __len__(self) -> int:
        return len(self.detected)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Discard the landmarks; ``detected``, ``present`` and ``shots`` remain."""
        self._file.close()

    def head(self, length: int) -> Track:
        """Return the track of the first ``length`` frames, over the same file.

        Raises NoFaceFound if the face is in none of them.
        """
        if length >= len(self):
            return self
        detected = self.detected[:length]
        if self.detected.any() and not detected.any():
            raise NoFaceFound(NO_FACE)
        shots = tuple(Shot(shot.start, min(shot.stop, length)) for shot in self.shots if shot.start < length)
        return Track(self._file, detected, shots, self.rate, self.score)

    def landmarks(self, start: int, stop: int) -> Float32:
        """Return smoothed landmarks of the frames ``start`` to ``stop``, excluded: (stop - start, 478, 3) in pixels.

        Frames without a face get the landmarks of the nearest face, so that all values are finite. Raises IndexError
        if a frame is out of range.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start} to {stop} of a track of {len(self)}")
        result = np.empty((stop - start, POINTS, 3), np.float32)
        for low, high in self._runs(start, stop):
            from_, to = max(low, start), min(high, stop)
            if self.present[low]:
                first, last = max(low, from_ - 2 * self._reach), min(high, to + 2 * self._reach)
                smoothed = smooth(self._interpolated(first, last), self._reference, self.rate)
                result[from_ - start : to - start] = smoothed[from_ - first : to - first]
            else:
                for frame in range(from_, to):
                    result[frame - start] = self._face(self._nearest(frame))
        return result

    def shot_numbers(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index into ``shots`` for each frame, (n,)."""
        return np.searchsorted(self._starts, frames, side="right") - 1

    def shot_number(self, frame: int) -> int:
        """Return the index into ``shots`` of the shot that holds ``frame``."""
        return int(np.searchsorted(self._starts, frame, side="right")) - 1

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield runs of one shot, all present or all absent, that overlap the requested frames.

        Runs end at most two filter lengths outside the request, where they no longer matter to it.
        """
        margin = 2 * self._reach
        low, high = max(0, start - margin), min(len(self), stop + margin)
        edges = np.flatnonzero(np.diff(self.present[low:high])) + low + 1
        cuts = self._starts[(self._starts > low) & (self._starts < high)]
        marks = [low, *np.union1d(edges, cuts).tolist(), high]
        for first, last in itertools.pairwise(marks):
            if first < stop and last > start:
                yield first, last

    def _interpolated(self, start: int, stop: int) -> Float32:
        """Landmarks of present frames; gaps are filled by linear interpolation."""
        rows = self._row[start:stop]
        first, last = max(int(rows[0]), 0), int(rows[-1])
        if not self.detected[stop - 1]:
            last += 1
        faces = self._read(first, last + 1)
        known = self._faces[first : last + 1]
        if len(known) == stop - start:
            return faces
        if len(known) == 1:
            return np.repeat(faces, stop - start, axis=0)
        frames = np.arange(start, stop)
        after = np.clip(np.searchsorted(known, frames), 1, len(known) - 1)
        gap = (known[after] - known[after - 1]).astype(np.float32)
        share = np.clip((frames - known[after - 1]) / gap, 0, 1).astype(np.float32)[:, None, None]
        return np.asarray((1 - share) * faces[after - 1] + share * faces[after], np.float32)

    def _nearest(self, frame: int) -> int:
        following = int(np.searchsorted(self._faces, frame))
        neighbours = [k for k in (following - 1, following) if 0 <= k < len(self._faces)]
        return min(neighbours, key=lambda k: abs(int(self._faces[k]) - frame))

    def _face(self, row: int) -> Float32:
        return np.asarray(self._read(row, row + 1)[0])

    def _read(self, first: int, last: int) -> Float32:
        with scratch_errors():
            self._file.seek(first * FACE_BYTES)
            content = self._file.read((last - first) * FACE_BYTES)
        return np.frombuffer(content, np.float32).reshape(-1, POINTS, 3).copy()

    def _bridged(self) -> NDArray[np.bool_]:
        present = self.detected.copy()
        gaps = np.diff(self._faces) - 1
        same_shot = np.diff(self.shot_numbers(self._faces)) == 0
        short = (gaps > 0) & (gaps < MAX_GAP_SECONDS * float(self.rate)) & same_shot
        for k in np.flatnonzero(short):
            present[self._faces[k] : self._faces[k + 1]] = True
        return present


class TrackBuilder:
    """Collect faces in frame order into an anonymous file, so that memory does not grow with the video."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        """``file``: destination of the landmarks; by default an anonymous temporary file. Raises DiskFull."""
        with scratch_errors():
            self._file: IO[bytes] | None = file or SYSTEM_SCRATCH.open()
        self._detected = bytearray()
        self._scores = array("f")
        self._cuts: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._detected)

    def close(self) -> None:
        """Discard the collected faces, unless ``finish`` has handed them to a track."""
        if self._file is not None:
            with suppress(OSError):  # unwritten landmarks are discarded as well
                self._file.close()
            self._file = None

    def add(self, face: Face | None, cut: bool) -> None:
        """Append the face of the next frame and whether that frame starts a new shot. Raises DiskFull."""
        assert self._file is not None
        if cut and self._detected:
            self._cuts.append(len(self._detected))
        self._detected.append(face is not None)
        if face is not None:
            self._scores.append(face.score)
            with scratch_errors():
                self._file.write(np.ascontiguousarray(face.landmarks, np.float32).tobytes())

    def finish(self, rate: Fraction, *, faceless: bool = False) -> Track:
        """Return a track at ``rate`` frames per second, which takes over the landmarks.

        Raises NoFaceFound if no frame has a face, unless ``faceless``. Raises DiskFull.
        """
        assert self._file is not None
        if not faceless and not any(self._detected):
            self.close()
            raise NoFaceFound(NO_FACE)
        with scratch_errors():
            self._file.flush()
        edges = [0, *self._cuts, len(self._detected)]
        shots = tuple(Shot(low, high) for low, high in itertools.pairwise(edges))
        detected = np.frombuffer(bytes(self._detected), np.uint8).astype(bool)
        score = float(np.median(self._scores)) if self._scores else 0.0
        track = Track(self._file, detected, shots, rate, score)
        self._file = None
        return track
