"""Statistics of the video from the first pass: the speaker's closed mouth, appearance and donors."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np

from lipsync.engines.reservoir import Reservoir
from lipsync.engines.rewrite.appearance import Appearance, mean_appearance, measure_appearance, vertex_normals
from lipsync.engines.rewrite.closing import closed_mouth
from lipsync.engines.rewrite.contact import seam_costs
from lipsync.engines.rewrite.donors import Donor, DonorCollection
from lipsync.engines.rewrite.inside import with_common_edge
from lipsync.engines.rewrite.light import Light, LightTrack, measure_light
from lipsync.engines.rewrite.occlusion import Occluders
from lipsync.faces.geometry import MESH, fit_pose
from lipsync.speech.motion import Basis
from lipsync.types import Face, Float32, Frame

SAMPLE_SIZE: Final = 500  # faces
APPEARANCE_INTERVAL: Final = 16  # frames between two measurements of the appearance
APPEARANCES: Final = 64


class FootageStats:
    """Collects every frame of the first pass. Of the memory, only the light's 6 bytes a frame grow with the video."""

    def __init__(self, canonical: Float32, basis: Basis) -> None:
        self._canonical, self._basis = canonical, basis
        self._faces: Reservoir[Float32] = Reservoir(SAMPLE_SIZE)
        self._normals = vertex_normals(canonical, basis.triangles)
        self._appearances: deque[Appearance] = deque(maxlen=APPEARANCES)
        self._typical_lights: deque[Light] = deque(maxlen=APPEARANCES)
        self.donors, self.lights, self.occluders = DonorCollection(), LightTrack(), Occluders(canonical)

    def observe(self, frame: Frame, face: Face) -> None:
        points = face.landmarks[:MESH]
        pose = fit_pose(points[None], self._canonical)
        mesh = pose.to_face(points[None])[0]
        light = measure_light(frame, points)
        if self._faces.count % APPEARANCE_INTERVAL == 0:
            self._appearances.append(measure_appearance(frame, points, pose, self._normals))
            self._typical_lights.append(light)
        self._faces.offer(lambda: mesh)
        self.lights.add(frame.index, light.rgb)
        self.occluders.observe(frame, points)
        self.donors.offer(frame, points[:, :2], mesh, pose, light, lambda: self.occluders.colours(frame, points))

    def closed_mouth(self) -> Float32:
        """The speaker's closed mouth, (468, 3) in the face frame."""
        return closed_mouth(np.stack(self._faces.items), self._basis)

    def filmed_donors(self) -> list[Donor]:
        """The donors that the footage gave, compared with each other: their teeth's common edge, missing seams."""
        donors = self.donors.donors
        mouths = with_common_edge([donor.mouth for donor in donors], self.closed_mouth())
        costs = seam_costs(mouths)
        return [replace(donor, mouth=mouths[k], cost=costs[k]) for k, donor in enumerate(donors)]

    def appearance(self) -> Appearance:
        """How the footage shows this face."""
        return mean_appearance(self._appearances)

    def typical_light(self) -> Light:
        """The light in which ``appearance`` was measured."""
        rgb = np.median(np.stack([light.rgb for light in self._typical_lights]), 0)
        return replace(self._typical_lights[-1], rgb=np.asarray(rgb, np.float32))
