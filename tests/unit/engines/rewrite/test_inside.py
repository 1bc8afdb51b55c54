from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.inside import warp_inside, with_common_edge, with_teeth_edge
from lipsync.engines.rewrite.jaws import measure_jaws
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import Pose
from lipsync.frames.blend import outline_mask
from lipsync.types import Box

UNIT = 150.0
BOX = Box(0, 0, 160, 120)
DARK = np.array([16, 128, 128], np.float32)
EDGE = 0.07  # eye distances below the upper lip


@pytest.fixture
def middle(canonical):
    """The middle between the corners of the mouth."""
    return canonical[[78, 308]].mean(0)


@pytest.fixture
def points(canonical, middle):
    """A mouth that is open by 0.2 eye distances, in pixels of the box."""
    return in_pixels(open_lips(canonical, 0.2), middle)


@pytest.fixture
def patch():
    y, x = np.mgrid[:120, :160]
    return np.stack([60 + x + y / 2, 120 + x / 20, 130 + y / 20], -1).astype(np.uint8)


def in_pixels(mesh, middle):
    return ((mesh - middle)[:, :2] * UNIT + (80, 45)).astype(np.float32)


def pose(middle):
    shift = np.array([[80 - UNIT * middle[0], 45 - UNIT * middle[1], 0]], np.float32)
    return Pose(np.array([UNIT], np.float32), np.eye(3, dtype=np.float32)[None], shift)


@pytest.fixture
def toothed(canonical, middle):
    """A donor with upper teeth in stripes of 4 pixels, darkness below them, and lower teeth in stripes of 6."""
    mesh = open_lips(canonical, 0.2)
    points = in_pixels(mesh, middle)
    y, x = np.mgrid[:120, :160]
    edge, lower = points[13, 1] + EDGE * UNIT, points[14, 1] - 0.05 * UNIT
    luma = np.where(y < edge, 150 + 40 * (x // 4 % 2), np.where(y > lower, 120 + 40 * (x // 6 % 2), 30))
    patch = np.stack([luma, np.full_like(luma, 128), np.full_like(luma, 128)], -1).astype(np.uint8)
    mouth = Mouth(patch, measure_lips(points, UNIT), points, jaws=measure_jaws(pose(middle), mesh))
    return with_teeth_edge(mouth)


def test_a_donor_fits_its_own_lips_unchanged(points, patch):
    lips = measure_lips(points, UNIT)
    warped, opacity = warp_inside(Mouth(patch, lips, points), lips, BOX, DARK)
    inside = outline_mask(points[[82, 13, 312, 317, 14, 87]], BOX, 0.5) > 0.99
    assert opacity == 1
    assert inside.sum() > 100
    assert np.abs(warped - patch)[inside].max() < 2


def test_closed_lips_hide_the_inside(canonical, points, patch):
    donor = Mouth(patch, measure_lips(points, UNIT), points)
    shut = measure_lips(((canonical[:, :2] - canonical[13, :2]) * UNIT + (80, 45)).astype(np.float32) * (1, 0.0), UNIT)
    assert warp_inside(donor, shut, BOX, DARK)[1] == 0


def test_jaws_that_part_more_than_in_the_donor_leave_a_dark_middle(canonical, points, patch):
    narrow = open_lips(canonical, 0.13)[:, :2]
    narrow = ((narrow - narrow[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)
    lips = measure_lips(points, UNIT)
    inside, _ = warp_inside(Mouth(patch, measure_lips(narrow, UNIT), narrow), lips, BOX, DARK)
    top, bottom = points[[13, 14], 1].astype(int)
    column = inside[top + 2 : bottom - 2, 80, 0]
    assert column.min() < 40
    assert column[:4].min() > 100
    assert column[-2:].min() > 60


class Flat:
    """A drawing of one colour."""

    def draw(self, lips, box, *, teeth=True):
        return np.full((box.height, box.width, 3), 250 if teeth else 80, np.float32)


def test_what_is_behind_is_drawn_without_teeth_only_where_the_donor_shows_nothing(canonical, points, patch):
    narrow = open_lips(canonical, 0.13)[:, :2]
    narrow = ((narrow - narrow[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)
    lips, mouth = measure_lips(points, UNIT), Mouth(patch, measure_lips(narrow, UNIT), narrow)
    back = Mouth(patch[:0], lips, None, drawing=Flat())
    dark, drawn = (warp_inside(mouth, lips, BOX, DARK, behind)[0] for behind in (None, back))
    top, bottom = points[[13, 14], 1].astype(int)
    column = slice(top + 2, bottom - 2), 80, 0
    unseen = dark[column] < 30
    assert unseen.any()
    assert drawn[column][unseen] == pytest.approx(80, abs=8)
    assert drawn[column][:4] == pytest.approx(dark[column][:4], abs=1)


@pytest.mark.parametrize(("gap", "brightness"), [(0.012, (30, 110)), (0.02, (90, 150)), (0.06, (199, 200))])
def test_a_narrow_gap_is_darker_than_the_donor(canonical, gap, brightness):
    mesh = open_lips(close_lips(canonical), gap)[:, :2]
    points = ((mesh - mesh[[78, 308]].mean(0)) * UNIT + (80, 45)).astype(np.float32)
    lips = measure_lips(points, UNIT)
    bright = np.full((120, 160, 3), 200, np.uint8)
    inside, opacity = warp_inside(Mouth(bright, lips, points), lips, BOX, DARK)
    row, column = np.rint(points[[13, 14]].mean(0)[::-1]).astype(int)
    assert opacity > 0
    assert brightness[0] <= inside[row, column, 0] <= brightness[1]


def test_the_edge_of_the_upper_teeth_is_found(toothed, points, middle):
    expected = (points[13, 1] - 45) / UNIT + middle[1] + EDGE
    assert toothed.jaws.parted
    assert toothed.jaws.edge == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("luma", [170, 30], ids=["clenched", "hidden"])
def test_no_edge_is_found_where_the_image_shows_none(toothed, luma):
    plain = np.full_like(toothed.patch, luma)
    jaws = replace(toothed.jaws, edge=np.nan, parted=False)
    assert not with_teeth_edge(replace(toothed, patch=plain, jaws=jaws)).jaws.parted


def test_all_mouths_of_a_speaker_share_the_edge_of_the_teeth(toothed, canonical):
    edges = (0.80, 0.81, 0.82, 0.95, np.nan)
    mouths = [replace(toothed, jaws=replace(toothed.jaws, edge=edge)) for edge in edges]
    found = [mouth.jaws.edge for mouth in with_common_edge(mouths, canonical)]
    assert found == pytest.approx([0.80, 0.81, 0.82, 0.815, 0.815])
    lone = with_common_edge(mouths[-1:], canonical)[0].jaws.edge
    assert canonical[13, 1] < lone < canonical[13, 1] + 0.05


def shown(mouth, mesh, middle):
    """The luma of the donor's inside on the same head with another shape."""
    points = in_pixels(mesh, middle)
    inside, _ = warp_inside(mouth.placed(measure_jaws(pose(middle), mesh)), measure_lips(points, UNIT), BOX, DARK)
    return inside[..., 0], points


def test_upper_teeth_stay_on_the_skull_while_the_jaw_moves(toothed, canonical, middle):
    top = int(in_pixels(open_lips(canonical, 0.2), middle)[13, 1])
    row, columns = top + 7, slice(70, 91)
    for gap in (0.1, 0.15, 0.26):
        luma, _ = shown(toothed, open_lips(canonical, gap), middle)
        assert np.abs(luma[row, columns] - toothed.patch[row, columns, 0]).max() < 4


def test_lower_teeth_follow_the_jaw_without_stretching(toothed, canonical, middle):
    first = in_pixels(open_lips(canonical, 0.2), middle)
    for gap in (0.17, 0.22):
        luma, points = shown(toothed, open_lips(canonical, gap), middle)
        row, source = int(points[14, 1]) - 4, int(first[14, 1]) - 4
        assert np.abs(luma[row, 70:91] - toothed.patch[source, 70:91, 0]).max() < 25


def test_the_jaw_hides_behind_the_upper_teeth(toothed, canonical, middle):
    luma, points = shown(toothed, open_lips(canonical, 0.08), middle)
    assert luma[int(points[13, 1]) + 4, 70:91].min() > 140


def test_what_the_upper_lip_of_the_donor_hides_is_not_shown(toothed, canonical, middle):
    mesh = open_lips(canonical, 0.2)
    raised = mesh.copy()
    raised[[13, 82, 312, 81, 311, 80, 310], 1] -= 0.06
    luma, points = shown(toothed, raised, middle)
    top = int(points[13, 1])
    assert luma[top + 2 : top + 8, 70:91].min() > 140


def test_the_corners_are_dark_between_the_jaws_of_a_wide_open_mouth(toothed, canonical, middle):
    mesh = open_lips(canonical, 0.36)
    luma, points = shown(toothed, mesh, middle)
    edge = int(in_pixels(open_lips(canonical, 0.2), middle)[13, 1] + EDGE * UNIT)
    lips = measure_lips(points, UNIT)
    for position in (0.15, 0.85):
        column = int(lips.points(position, 0)[0])
        bottom = int(lips.points(position, lips.height(position, 1))[1])
        between = luma[edge + 6 : bottom - 2, column]
        assert len(between) > 4
        assert between.max() < 90
