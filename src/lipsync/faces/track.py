"""Where the followed face is in every frame of the footage, whatever its length."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import NoFaceFound
from lipsync.faces.smoothing import reach, smooth
from lipsync.files import scratch_errors
from lipsync.types import Face, Float32, Shot

POINTS = 478
ROW = POINTS * 3 * 4  # bytes of one face
BRIDGED_SECONDS = 0.5  # gaps shorter than this are filled in


class Track:
    """The followed face, frame by frame; a context manager, because its landmarks lie in an anonymous file.

    ``shots``: the runs between cuts, which cover all frames. ``seen`` (n,): where the face was found. ``present`` (n,):
    where it was found or a gap shorter than half a second within a shot is filled in.
    """

    def __init__(self, file: IO[bytes], seen: NDArray[np.bool_], shots: tuple[Shot, ...], rate: Fraction) -> None:
        self._file = file
        self._rate = rate
        self.seen = seen
        self.shots = shots
        self._row = np.cumsum(seen, dtype=np.int64) - 1
        self._faces = np.flatnonzero(seen)
        self._starts = np.array([shot.start for shot in shots], np.int64)
        self.present = self._bridged()
        self._reach = reach(rate)
        self._rest = self._face(len(self._faces) // 2) if len(self._faces) else np.zeros((POINTS, 3), np.float32)

    def __len__(self) -> int:
        return len(self.seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up the landmarks; ``seen``, ``present`` and ``shots`` stay."""
        self._file.close()

    def landmarks(self, start: int, stop: int) -> Float32:
        """Smoothed landmarks of the frames from ``start`` up to ``stop``: (stop - start, 478, 3) in pixels.

        Frames without a face have the nearest face's, so that every row is finite. Raises IndexError out of range.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start} to {stop} of a track of {len(self)}")
        result = np.empty((stop - start, POINTS, 3), np.float32)
        for low, high in self._runs(start, stop):
            from_, to = max(low, start), min(high, stop)
            if self.present[low]:
                first, last = max(low, from_ - 2 * self._reach), min(high, to + 2 * self._reach)
                calm = smooth(self._filled(first, last), self._rest, self._rate)
                result[from_ - start : to - start] = calm[from_ - first : to - first]
            else:
                for frame in range(from_, to):
                    result[frame - start] = self._face(self._nearest(frame))
        return result

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Runs of frames in one shot that are all present or all absent, and touch the frames asked for; cut off a
        little outside of those."""
        margin = 2 * self._reach
        low, high = max(0, start - margin), min(len(self), stop + margin)
        edges = np.flatnonzero(np.diff(self.present[low:high])) + low + 1
        cuts = self._starts[(self._starts > low) & (self._starts < high)]
        marks = [low, *np.union1d(edges, cuts).tolist(), high]
        for first, last in itertools.pairwise(marks):
            if first < stop and last > start:
                yield first, last

    def _filled(self, start: int, stop: int) -> Float32:
        """Landmarks of present frames, gaps filled in along a straight line."""
        rows = self._row[start:stop]
        first, last = max(int(rows[0]), 0), int(rows[-1])
        if not self.seen[stop - 1]:
            last += 1
        faces = self._read(first, last + 1)
        frames = self._faces[first : last + 1]
        if len(frames) == stop - start:
            return faces
        asked = np.arange(start, stop)
        after = (
            np.clip(np.searchsorted(frames, asked), 1, len(frames) - 1) if len(frames) > 1 else np.ones(len(asked), int)
        )
        if len(frames) == 1:
            return np.repeat(faces, stop - start, axis=0)
        gap = (frames[after] - frames[after - 1]).astype(np.float32)
        share = np.clip((asked - frames[after - 1]) / gap, 0, 1).astype(np.float32)[:, None, None]
        return np.asarray((1 - share) * faces[after - 1] + share * faces[after], np.float32)

    def _nearest(self, frame: int) -> int:
        place = int(np.searchsorted(self._faces, frame))
        around = [k for k in (place - 1, place) if 0 <= k < len(self._faces)]
        return min(around, key=lambda k: abs(int(self._faces[k]) - frame))

    def _face(self, row: int) -> Float32:
        return np.asarray(self._read(row, row + 1)[0])

    def _read(self, first: int, last: int) -> Float32:
        with scratch_errors():
            self._file.seek(first * ROW)
            content = self._file.read((last - first) * ROW)
        return np.frombuffer(content, np.float32).reshape(-1, POINTS, 3).copy()

    def _bridged(self) -> NDArray[np.bool_]:
        present = self.seen.copy()
        shot_of = np.searchsorted(self._starts, self._faces, side="right")
        gaps = np.diff(self._faces) - 1
        short = (gaps > 0) & (gaps < BRIDGED_SECONDS * float(self._rate)) & (np.diff(shot_of) == 0)
        for k in np.flatnonzero(short):
            present[self._faces[k] : self._faces[k + 1]] = True
        return present


class TrackBuilder:
    """Takes the faces in order and keeps them in an anonymous file, so that memory doesn't grow with the footage."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        """``file``: where the landmarks go, by default an anonymous temporary file."""
        with scratch_errors():
            self._file: IO[bytes] | None = file or tempfile.TemporaryFile()  # noqa: SIM115 - outlives this call
        self._seen = bytearray()
        self._cuts: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Drop what was kept, unless ``finish`` handed it on."""
        if self._file is not None:
            with suppress(OSError):  # what is still to be written is dropped as well
                self._file.close()
            self._file = None

    def add(self, face: Face | None, cut: bool) -> None:
        """The next frame: the face in it, and whether a new shot begins with it. Raises DiskFull."""
        assert self._file is not None
        if cut and self._seen:
            self._cuts.append(len(self._seen))
        self._seen.append(face is not None)
        if face is not None:
            with scratch_errors():
                self._file.write(np.ascontiguousarray(face.landmarks, np.float32).tobytes())

    def finish(self, rate: Fraction, *, faceless: bool = False) -> Track:
        """What was added, as a track at ``rate`` frames a second, which owns the landmarks from then on.

        Raises NoFaceFound if no frame had a face, unless a ``faceless`` track will do.
        """
        assert self._file is not None
        if not faceless and not any(self._seen):
            self.close()
            raise NoFaceFound("no face was found in the footage")
        with scratch_errors():
            self._file.flush()
        edges = [0, *self._cuts, len(self._seen)]
        shots = tuple(Shot(low, high) for low, high in itertools.pairwise(edges))
        seen = np.frombuffer(bytes(self._seen), np.uint8).astype(bool)
        track = Track(self._file, seen, shots, rate)
        self._file = None
        return track
