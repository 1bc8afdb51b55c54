from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.rewrite.donor_choice import DonorSelector, InsideSelector
from lipsync.engines.rewrite.donors import Donor, conditions, mouth_descriptors
from lipsync.engines.rewrite.jaws import measure_jaws
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
            jaws = replace(measure_jaws(pose(), mesh), parted=True)
            mouth = Mouth(np.zeros((4, 4, 3), np.uint8), measure_lips(points, 60.0), points, LIGHT, jaws=jaws)
            found.append(Donor(mouth, mouth_descriptors(mesh[None], AHEAD)[0], gap))
        return found

    return make


def targets(canonical, gaps, gain: float = 1.0, unit: float = 60.0):
    meshes = np.stack([open_lips(canonical, float(gap)) for gap in gaps])
    filmed = conditions(LIGHT.rgb[None] * gain, np.array([unit], np.float32)).repeat(len(gaps), 0)
    return meshes, mouth_descriptors(meshes, np.repeat(AHEAD, len(gaps), 0)), filmed


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


def test_the_inside_comes_from_a_donor_that_is_open_enough(canonical, mouths):
    selector = InsideSelector(mouths(0.02, 0.1, 0.2))
    assert selector.choose(*targets(canonical, [0.12] * 4), 4) == [2] * 4


def test_the_same_teeth_are_shown_while_the_mouth_moves(canonical, mouths):
    donors, gaps = mouths(0.05, 0.08, 0.1, 0.14, 0.2), 0.12 + 0.07 * np.sin(np.arange(24))
    wanted = targets(canonical, gaps)
    assert len(set(InsideSelector(donors).choose(*wanted, 24))) == 1
    assert len(set(DonorSelector(donors).choose(*wanted, 24))) > 1


def test_other_teeth_come_in_while_the_mouth_is_closed(canonical, mouths):
    first, second = mouths(0.15, 0.15)
    dim = replace(second.mouth, light=replace(LIGHT, rgb=LIGHT.rgb * np.float32(0.4)))
    meshes, descriptors, bright = targets(canonical, [0.14] * 5 + [0.0] * 4 + [0.14] * 5)
    filmed = np.concatenate([bright[:7], targets(canonical, [0.0] * 7, 0.4)[2]])
    chosen = InsideSelector([first, replace(second, mouth=dim)]).choose(meshes, descriptors, filmed, 14)
    assert (chosen[:5], chosen[9:]) == ([0] * 5, [1] * 5)


def test_an_open_mouth_does_not_get_clenched_teeth(canonical, mouths):
    clenched, parted = mouths(0.15, 0.17)
    clenched = replace(clenched, mouth=replace(clenched.mouth, jaws=replace(clenched.mouth.jaws, parted=False)))
    assert InsideSelector([clenched, parted]).choose(*targets(canonical, [0.15] * 4), 4) == [1] * 4


def test_an_upper_lip_that_hides_the_teeth_is_avoided(canonical, mouths):
    showing, hiding = mouths(0.2, 0.2)
    jaws = replace(hiding.mouth.jaws, top=hiding.mouth.jaws.top + 0.05)
    hiding = replace(hiding, mouth=replace(hiding.mouth, jaws=jaws))
    assert InsideSelector([hiding, showing]).choose(*targets(canonical, [0.2] * 4), 4) == [1] * 4


@pytest.mark.parametrize("odd", [4, 250], ids=["blurred", "glaring"])
def test_an_inside_with_unusual_detail_gives_way_to_a_usual_one(canonical, mouths, odd):
    unusual, *usual = mouths(0.12, 0.15, 0.15)
    stripes = np.zeros((3, 128, 128, 3), np.uint8)
    stripes[0, :, ::4], stripes[1:, :, ::4] = odd, 60
    donors = [
        replace(donor, mouth=replace(donor.mouth, patch=patch))
        for donor, patch in zip((unusual, *usual), stripes, strict=True)
    ]
    assert 0 not in InsideSelector(donors).choose(*targets(canonical, [0.12] * 4), 4)
