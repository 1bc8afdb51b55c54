from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.donors import Donor, DonorCollection, DonorSelector, conditions, mouth_descriptors
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.look import Look
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import Pose

AHEAD = np.eye(3, dtype=np.float32)[None]
LIGHT = Light(np.array([0.7, 0.5, 0.4], np.float32), 16, 128)


def pose(unit: float = 60.0) -> Pose:
    return Pose(np.array([unit], np.float32), AHEAD, np.zeros((1, 3), np.float32))


def placed(mesh, unit: float = 60.0):
    return (mesh[:, :2] * unit + (64, 20)).astype(np.float32)


@pytest.fixture
def mouths(canonical):
    """A function that creates donors with the given gaps."""

    def make(*gaps: float) -> list[Donor]:
        found = []
        for gap in gaps:
            mesh = open_lips(canonical, gap)
            points = placed(mesh)
            mouth = Mouth(np.zeros((4, 4, 3), np.uint8), measure_lips(points, 60.0), points, LIGHT)
            found.append(Donor(mouth, mouth_descriptors(mesh[None], AHEAD)[0], gap))
        return found

    return make


def targets(canonical, gaps, gain: float = 1.0, unit: float = 60.0):
    meshes = np.stack([open_lips(canonical, float(gap)) for gap in gaps])
    filmed = conditions(LIGHT.rgb[None] * gain, np.array([unit], np.float32)).repeat(len(gaps), 0)
    return meshes, mouth_descriptors(meshes, np.repeat(AHEAD, len(gaps), 0)), filmed


def test_different_mouths_are_kept_and_repeats_dropped(grey, canonical):
    collection = DonorCollection()
    for gap in (0.0, 0.0, 0.1, 0.1, 0.2, 0.0):
        mesh = open_lips(canonical, gap)
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert [round(d.gap, 1) for d in collection.donors] == [0.0, 0.1, 0.2]


def test_the_number_of_donors_is_bounded(grey, canonical):
    collection = DonorCollection(limit=10)
    for gap in np.linspace(0, 0.4, 100):
        mesh = open_lips(canonical, float(gap))
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert 3 <= len(collection.donors) <= 10
    assert max(d.gap for d in collection.donors) > 0.3


def test_the_size_of_the_donors_is_bounded(grey, canonical):
    collection = DonorCollection(limit_bytes=100_000)
    for gap in np.linspace(0, 0.4, 60):
        mesh = open_lips(canonical, float(gap))
        collection.offer(grey, placed(mesh), mesh, pose(), LIGHT)
    assert 0 < sum(d.mouth.patch.nbytes for d in collection.donors) <= 100_000


def test_the_sharper_of_two_similar_mouths_is_kept(grey, canonical, copy_of):
    blurred, other = copy_of(grey), open_lips(canonical, 0.2)
    blurred.y[:] = cv2.GaussianBlur(grey.y, (0, 0), 3)
    for first, second in ((blurred, grey), (grey, blurred)):
        collection = DonorCollection()
        for shape in (other, open_lips(canonical, 0.3)):
            collection.offer(grey, placed(shape), shape, pose(), LIGHT)
        for frame in (first, second):
            collection.offer(frame, placed(canonical), canonical, pose(), LIGHT)
        assert len(collection.donors) == 3
        closed = min(collection.donors, key=lambda donor: donor.gap)
        sharp, soft = (cv2.Laplacian(frame.y, cv2.CV_32F).std() for frame in (grey, blurred))
        assert cv2.Laplacian(closed.mouth.patch[..., 0].copy(), cv2.CV_32F).std() > (sharp + soft) / 2


def test_the_same_mouth_in_another_light_or_size_is_kept_too(grey, canonical):
    collection = DonorCollection()
    dim = replace(LIGHT, rgb=LIGHT.rgb * np.float32(0.5))
    collection.offer(grey, placed(canonical), canonical, pose(), LIGHT)
    collection.offer(grey, placed(canonical), canonical, pose(), dim)
    collection.offer(grey, placed(canonical, 30.0), canonical, pose(30.0), LIGHT)
    assert len(collection.donors) == 3


def test_a_mouth_outside_the_frame_is_skipped(grey, canonical):
    collection = DonorCollection()
    collection.offer(grey, placed(canonical) + 1000, canonical, pose(), LIGHT)
    assert not collection.donors


def test_the_donor_nearest_in_shape_is_selected(canonical, mouths):
    chosen = DonorSelector(mouths(0.0, 0.1, 0.2)).choose(*targets(canonical, [0.01] * 8 + [0.19] * 8), 16)
    assert chosen[0] == 0
    assert chosen[-1] == 2


def test_a_flicker_of_the_target_does_not_change_the_donor(canonical, mouths):
    gaps = [0.1 + 0.003 * (-1) ** k for k in range(20)]
    chosen = DonorSelector(mouths(0.095, 0.105)).choose(*targets(canonical, gaps), 20)
    assert len(set(chosen)) == 1


@pytest.mark.parametrize(
    "poor", [Look(0.4, 0.0), Look(1.0, 0.9)], ids=["out of focus", "with a gap that shows the lips"]
)
def test_a_donor_with_a_poor_look_gives_way_to_a_slightly_less_similar_one(canonical, mouths, poor):
    near, far = (replace(donor, look=Look(1.0, 0.0)) for donor in mouths(0.1, 0.11))
    wanted = targets(canonical, [0.1] * 4)
    assert DonorSelector([near, far, far]).choose(*wanted, 4) == [0] * 4
    assert 0 not in DonorSelector([replace(near, look=poor), far, far]).choose(*wanted, 4)


def test_a_donor_from_the_same_light_is_preferred(canonical, mouths):
    near, far = mouths(0.1, 0.11)
    dim = replace(far.mouth, light=replace(LIGHT, rgb=LIGHT.rgb * np.float32(0.4)))
    selector = DonorSelector([near, replace(far, mouth=dim)])
    assert selector.choose(*targets(canonical, [0.1] * 4), 4) == [0] * 4
    assert DonorSelector([near, replace(far, mouth=dim)]).choose(*targets(canonical, [0.1] * 4, 0.4), 4) == [1] * 4


def test_a_small_donor_is_not_used_in_a_closeup_if_there_is_a_large_one(canonical, mouths):
    near, far = mouths(0.1, 0.105)
    large = replace(far, mouth=replace(far.mouth, lips=replace(far.mouth.lips, unit=240.0)))
    assert DonorSelector([near, large]).choose(*targets(canonical, [0.1] * 4, unit=240.0), 4) == [1] * 4
    assert DonorSelector([near, large]).choose(*targets(canonical, [0.1] * 4, unit=60.0), 4) == [0] * 4


def cost_of_shape(donor: Donor, descriptors) -> float:
    return float(np.linalg.norm(donor.descriptor - descriptors[0], axis=-1).mean())


@pytest.mark.parametrize(("gap", "extra"), [(0.115, 0.02), (0.05, 0.1)], ids=["stretched", "torn"])
def test_a_donor_less_open_than_the_target_costs_more_than_its_shape(canonical, mouths, gap, extra):
    meshes, descriptors, filmed = targets(canonical, [0.2] * 4)
    narrow, fitting = mouths(gap, 0.2)
    fitting = replace(fitting, cost=cost_of_shape(narrow, descriptors) + extra)
    assert DonorSelector([narrow, fitting]).choose(meshes, descriptors, filmed, 4) == [1] * 4
    costly = replace(fitting, cost=10.0)
    assert DonorSelector([narrow, costly]).choose(meshes, descriptors, filmed, 4) == [0] * 4


def test_lookahead_frames_are_not_returned_and_the_next_run_continues(canonical, mouths):
    selector = DonorSelector(mouths(0.0, 0.2))
    assert selector.choose(*targets(canonical, [0.2] * 6), 4) == [1] * 4
    assert selector.choose(*targets(canonical, [0.2] * 3), 3) == [1] * 3
