"""The knowledge of a job about the person in the footage: from the footage itself, and from a reference clip."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lipsync.engines.base import OwnSound
from lipsync.engines.rewrite.closing import closed_mouth
from lipsync.engines.rewrite.mesh_reader import MeshReader, measures_of
from lipsync.faces.geometry import MESH
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.speech.adaptation import Adaptation, HeardRows
from lipsync.speech.agreement import TalkingRows
from lipsync.speech.learning import learn
from lipsync.speech.motion import NETWORK_RATE
from lipsync.speech.personal_motion import PersonalMotion
from lipsync.types import Float32

SAMPLE: Final = 500  # meshes from which a reference clip's closed mouth is found
MIN_ROWS: Final = 2 * NETWORK_RATE  # shorter footage teaches nothing


class Speaker:
    """Collects what is known about one person: for each clip ``listen``, then ``study`` or ``adaptation``."""

    def __init__(self, motion: PersonalMotion) -> None:
        self._motion = motion
        self._heard: HeardRows | None = None  # of a clip that was not seen yet
        self._studied: list[TalkingRows] = []

    def listen(self, sound: OwnSound) -> None:
        """Hear a clip. Raises InferenceFailed, DiskFull, Cancelled."""
        count = int(sound.seconds * NETWORK_RATE)
        if count >= MIN_ROWS:
            with closing(sound.blocks()) as blocks:
                self._heard = self._motion.hear(blocks, count)

    def study(self, faces: SmoothedFaces, closed: Float32 | None = None) -> None:
        """See the clip that was heard. ``closed`` (468, 3): its closed mouth; by default, it is found."""
        heard, self._heard = self._heard, None
        if heard is None:
            return
        meshes, seen = mesh_rows(faces, len(heard))
        known = meshes[seen]
        if len(known) >= MIN_ROWS:
            if closed is None:
                closed = closed_mouth(known[:: -(-len(known) // SAMPLE)], self._motion.basis)
            self._studied.append(self._rows(heard, meshes, seen, closed))

    def adaptation(self, faces: SmoothedFaces, closed: Float32) -> Adaptation | None:
        """The adaptation to the person; None if nothing was heard in which sound and picture agree.

        ``faces`` of the video, and its ``closed`` mouth (468, 3): they belong to what was heard last.
        """
        self.study(faces, closed)
        return learn(self._studied, measures_of(self._motion.basis))

    def _rows(self, heard: HeardRows, meshes: Float32, seen: NDArray[np.bool_], closed: Float32) -> TalkingRows:
        heard = heard.part(0, len(meshes))
        tracked = MeshReader(self._motion.basis, closed).measure(meshes)
        return TalkingRows(heard.predicted, heard.features, tracked, seen)


def mesh_rows(faces: SmoothedFaces, count: int) -> tuple[Float32, NDArray[np.bool_]]:
    """Meshes (n, 468, 3) in the face frame, NETWORK_RATE a second and at most ``count``, and which were seen (n,).

    A row between two frames needs both, in one shot. Other rows are 0.
    """
    track, step = faces.track, float(faces.track.rate / NETWORK_RATE)
    count = min(count, int((len(track) - 1) / step) + 1)
    positions = np.arange(count) * step
    left = np.floor(positions + 1e-9).astype(np.int64)
    right = np.minimum(left + (positions - left > 1e-6), len(track) - 1)
    seen = track.present[left] & track.present[right] & (track.shot_numbers(left) == track.shot_numbers(right))
    meshes = np.zeros((count, MESH, 3), np.float32)
    for row in np.flatnonzero(seen):
        before, after = faces.at(int(left[row])), faces.at(int(right[row]))
        if before is not None and after is not None:
            share = positions[row] - left[row]
            meshes[row] = before.mesh + share * (after.mesh - before.mesh)
    return meshes, seen
