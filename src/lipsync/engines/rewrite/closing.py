"""The closed mouth of a face that may never close: the opening is explained by known motion, then taken out.

How wide a mouth opens tells how far lips, chin and cheeks have moved, because the basis of ``speech.motion`` holds them
together. What the basis does not explain is closed by a turn of the jaw, and the last residue by moving each lip as a
band: its inner and outer contours move alike, so that the lip keeps its thickness, which is what as-rigid-as-possible
deformation aims at (Igarashi, Moscovich and Hughes, SIGGRAPH 2005).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lipsync.engines.rewrite.shape import follow
from lipsync.faces.geometry import INNER_BOTTOM, INNER_TOP, LIPS, LIPS_INNER, LIPS_OUTER, MESH, opening
from lipsync.frames.blend import smoothstep
from lipsync.speech.motion import Basis
from lipsync.types import Float32

# Columns of the lips from the speaker's right to the left: outer and inner contour, without the corners.
UPPER_OUTER, UPPER_INNER = LIPS_OUTER[1:10], LIPS_INNER[1:10]
LOWER_OUTER, LOWER_INNER = LIPS_OUTER[:10:-1], LIPS_INNER[:10:-1]
CORNERS: Final = (LIPS_INNER[0], LIPS_INNER[10])
TRACKING_ERROR: Final = 0.01  # eye distances: the standard deviation of a tracked gap
MAX_COEFFICIENTS: Final = 5.0  # standard deviations of speech; the jaw opens the rest
MAX_OVERLAP: Final = 0.025  # eye distances by which lips that press on each other yield
CONTACT_GAP: Final = 0.002  # eye distances between closed lips
SPEAKING_WIDTH: Final = 0.55  # eye distances between the corners of the canonical mouth; a wider one smiles
SMILE_LIFT, MAX_SMILE_LIFT = 0.25, 0.3  # of the upper lip, as a share of the additional width, and of the gap
LOWER_WEIGHT: Final = 0.7  # of the lower lip's place in that of the seam
OPEN_GAP: Final = 0.05  # eye distances from which the seam is not seen and has to be made
SEAM_DEGREE: Final = 3  # of the polynomial that smooths it
CORNER_WEIGHT: Final = 10.0  # of a corner against the other points of the seam
JAW_JOINT: Final = np.array([0.0, 0.3, 0.5], np.float32)  # in the face frame, between the ears
JAW_FADE: Final = 0.3  # eye distances below the corners of the mouth over which the cheeks join the jaw


def closed_mouth(faces: Float32, basis: Basis, share: float = 0.2) -> Float32:
    """The closed mouth (468, 3): the mean of the least open share of the face-frame meshes (n, >= 468, 3), shut."""
    gaps = opening(faces)
    least = np.argsort(gaps)[: max(3, int(len(gaps) * share))]
    return close_mouth(faces[least, :MESH].mean(0), basis)


def close_mouth(face: Float32, basis: Basis) -> Float32:
    """Shut the mouth of a mesh (468, 3) in the face frame, with chin and cheeks. A smile keeps its width."""
    moved = np.tensordot(opening_coefficients(face, basis), basis.components, 1)
    relaxed = np.asarray(face - moved, np.float32)
    gap = float(_gaps(face).max())
    shut = turn_jaw(relaxed, float(np.median(_gaps(relaxed)[2:7])) - _smile_lift(face, gap))
    return close_lips(shut, float(smoothstep(gap / OPEN_GAP)))


def without_overlap(rows: Float32, basis: Basis) -> Float32:
    """Motion coefficients (n, K) whose lips press on each other by MAX_OVERLAP at most.

    Coefficients know no contact: those of a firm closure would push the lower lip and the chin through the upper lip.
    Only the part of the motion that closes the mouth is limited.
    """
    towards_open = basis.components[:, INNER_BOTTOM, 1] - basis.components[:, INNER_TOP, 1]
    gaps = rows @ towards_open + float(basis.mean[INNER_BOTTOM, 1] - basis.mean[INNER_TOP, 1])
    excess = np.maximum(-MAX_OVERLAP - gaps, 0)
    return np.asarray(rows + excess[:, None] * towards_open / (towards_open @ towards_open), np.float32)


def opening_coefficients(face: Float32, basis: Basis) -> Float32:
    """The coefficients (K,), relative to the closed mouth, that explain the gap between the lips of a mesh (468, 3).

    The most probable ones, given the gaps of nine pairs of points and the coefficients' distribution in speech. A gap
    hardly depends on the shape of the person's lips, their position does.
    """
    gaps = basis.components[:, list(LOWER_INNER), 1] - basis.components[:, list(UPPER_INNER), 1]
    gaps = gaps / TRACKING_ERROR
    normal = gaps @ gaps.T + np.eye(len(gaps))
    coefficients = np.linalg.solve(normal, gaps @ _gaps(face) / TRACKING_ERROR)
    size = max(float(np.linalg.norm(coefficients)), 1e-6)
    return np.asarray(coefficients * min(1.0, MAX_COEFFICIENTS / size), np.float32)


def turn_jaw(face: Float32, rise: float) -> Float32:
    """A mesh (468, 3) whose jaw is turned about its joint, so that the lower lip rises by ``rise`` eye distances."""
    arm = face[LOWER_INNER[4]] - JAW_JOINT
    length = float(np.hypot(arm[1], arm[2]))
    before, after = arm[1] / length, (arm[1] - rise) / length
    angle = float(np.arcsin(np.clip(after, -1, 1)) - np.arcsin(np.clip(before, -1, 1)))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]], np.float32)
    turned = (face - JAW_JOINT) @ turn.T + JAW_JOINT
    return np.asarray(face + jaw_share(face)[:, None] * (turned - face), np.float32)


def jaw_share(face: Float32) -> Float32:
    """How far each point of a mesh (468, 3) belongs to the jaw, (468,) in 0..1: lower lip 1, upper lip 0."""
    corners = face[list(CORNERS)]
    below = face[:MESH, 1] - np.interp(face[:MESH, 0], corners[:, 0], corners[:, 1])
    share = smoothstep(below / JAW_FADE + 0.5)
    share[list(UPPER_INNER + UPPER_OUTER)], share[list(LOWER_INNER + LOWER_OUTER)] = 0, 1
    return np.asarray(share, np.float32)


def _smile_lift(face: Float32, gap: float) -> float:
    """How far a smile has raised the upper lip more than speech does, in eye distances: as wide as it is."""
    right, left = face[list(CORNERS), 0]
    return float(np.clip(SMILE_LIFT * (left - right - SPEAKING_WIDTH), 0, MAX_SMILE_LIFT * max(gap, 0)))


def close_lips(face: Float32, smoothing: float = 1.0) -> Float32:
    """Bring the lips of a mesh (468, 3) together along one seam. The skin around follows less and less.

    ``smoothing`` (0..1): from a seam in the middle between the lips, right where they nearly meet, to a smooth curve.
    """
    seam = _seam(face, smoothing)
    contact = np.array([0, CONTACT_GAP, 0], np.float32)
    moved = np.zeros_like(face)
    for outer, inner, target in (
        (UPPER_OUTER, UPPER_INNER, seam - LOWER_WEIGHT * contact),
        (LOWER_OUTER, LOWER_INNER, seam + (1 - LOWER_WEIGHT) * contact),
    ):
        shift = target - face[list(inner)]
        moved[list(inner)], moved[list(outer)] = shift, shift
    lips = list(LIPS)
    around = follow(face, face[lips], moved[lips])
    around[lips] = moved[lips]
    return np.asarray(face + around, np.float32)


def _seam(face: Float32, smoothing: float) -> Float32:
    """Where the lips of a mesh (468, 3) meet, (9, 3)."""
    upper, lower = face[list(UPPER_INNER)], face[list(LOWER_INNER)]
    seam = upper + LOWER_WEIGHT * (lower - upper)
    points = np.concatenate([face[list(CORNERS[:1])], seam, face[list(CORNERS[1:])]])
    x = points[:, 0] - points[:, 0].mean()
    weights = np.array([CORNER_WEIGHT, *[1] * len(seam), CORNER_WEIGHT])
    for axis in (1, 2):
        smooth = np.polyval(np.polyfit(x, points[:, axis], SEAM_DEGREE, w=weights), x)[1:-1]
        seam[:, axis] += smoothing * (smooth - seam[:, axis])
    return np.asarray(seam, np.float32)


def _gaps(face: Float32) -> Float32:
    return np.asarray(face[list(LOWER_INNER), 1] - face[list(UPPER_INNER), 1], np.float32)
