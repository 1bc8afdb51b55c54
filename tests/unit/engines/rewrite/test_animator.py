from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.rewrite.animator import Animator, crossfade_weights
from lipsync.faces.geometry import MESH, canonical_face, fit_pose, opening
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder


@pytest.mark.parametrize(
    ("index", "previous", "weights"),
    [
        (0, None, {0: 1.0}),
        (1, 0, {0: 0.75, 1: 0.25}),
        (2, 0, {0: 0.25, 1: 0.75}),
        (3, 1, {1: 1.0}),
        (0, 2, {2: 0.25, 0: 0.75}),
    ],
)
def test_a_change_of_donor_fades_over_two_frames(index, previous, weights):
    assert crossfade_weights([0, 0, 1, 1], index, previous) == weights


@pytest.fixture
def still(smile, landmarker):
    """The smiling photo as a video of one frame: its face, and the faces of its track."""
    face = landmarker.find(smile)[0]
    builder = TrackBuilder()
    builder.add(face, cut=False)
    with builder.finish(Fraction(25)) as track:
        yield face, SmoothedFaces(track)


def test_a_smiling_photo_closes_its_mouth_and_opens_it(still, smile, basis, landmarker, copy_of):
    face, faces = still
    animator = Animator(basis)
    animator.observe(smile, face)
    wide = basis.neutral + np.eye(1, len(basis.sd), dtype=np.float32)[0] * 4
    motion = np.concatenate([np.repeat(basis.neutral[None], 3, 0), np.repeat(wide[None], 5, 0)])
    results = animator.animate((copy_of(smile) for _ in motion), iter([motion.astype(np.float32)]), faces)
    shown = [landmarker.find(result.frame)[0].landmarks[None, :MESH] for result in results]
    gaps = [float(opening(fit_pose(points, canonical_face()).to_face(points))[0]) for points in shown]
    assert max(gaps[:2]) < 0.04
    assert min(gaps[-3:]) > 0.1
