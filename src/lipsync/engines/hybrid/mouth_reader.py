"""Measure the mouth of a generated face as motion coefficients, with the landmark network."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.engines.rewrite.mesh_reader import MeshReader
from lipsync.engines.wav2lip.crop import SIDE, Crop
from lipsync.faces.geometry import MESH, canonical_face, fit_pose
from lipsync.faces.landmarker import MESH_SIDE, Landmarker
from lipsync.faces.region import Region
from lipsync.frames.blend import edge_ramp
from lipsync.frames.rgb import warp_rgb
from lipsync.speech.motion import Basis
from lipsync.types import Float32, Frame

EDGE_FADE_PIXELS, SEAM_PIXELS = 4, 8  # of the generated image: fades at its border, and below its middle


def landmarker_view(frame: Frame, region: Region, crop: Crop, generated: Float32) -> Float32:
    """The landmark network's input (256, 256, 3), RGB in 0..1, with the lower half of a generated face (3, 96, 96).

    The upper half is the frame's own: the generator only copies it, and the frame's resolution gives a steadier pose.
    """
    matrix = region.matrix(MESH_SIDE)
    size = (MESH_SIDE, MESH_SIDE)
    view = warp_rgb(frame, matrix, size)
    to_frame = np.vstack([crop.matrix(), [0, 0, 1]])
    to_generated = np.linalg.solve(to_frame, np.vstack([matrix, [0, 0, 1]]))[:2]
    rgb = np.ascontiguousarray(generated[::-1].transpose(1, 2, 0))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(rgb, to_generated, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(_lower_half_mask(), to_generated, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(np.clip(view + (face - view) * mask[..., None], 0, 1), np.float32)


def _lower_half_mask() -> Float32:
    across = edge_ramp(SIDE, EDGE_FADE_PIXELS)
    down = np.clip((np.arange(SIDE) - SIDE / 2) / SEAM_PIXELS, 0, 1)
    return np.asarray(np.minimum(down, across)[:, None] * across, np.float32)


class MouthReader:
    """Fits motion coefficients to faces. ``closed`` (468, 3): the speaker's closed mouth, the origin of the motion."""

    def __init__(self, landmarker: Landmarker, basis: Basis, closed: Float32) -> None:
        self._landmarker, self._canonical = landmarker, canonical_face()
        self._meshes = MeshReader(basis, closed)

    def read(self, view: Float32) -> Float32 | None:
        """The motion (K,) of a ``landmarker_view``; None if the network finds no face in it."""
        face = self._landmarker.in_view(view)
        return None if face is None else self.measure(face.landmarks[None])[0]

    def measure(self, faces: Float32) -> Float32:
        """The motion (n, K) of landmarks (n, >= 468, 3) in pixels."""
        meshes = fit_pose(faces, self._canonical).to_face(faces[:, :MESH])
        return self._meshes.measure(meshes)
