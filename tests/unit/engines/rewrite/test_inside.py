from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.inside import warp_inside, with_common_edge, with_teeth_edge
from lipsync.engines.rewrite.jaws import measure_jaws
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.faces.geometry import LIPS_INNER, Pose
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


def test_the_edge_of_what_the_donor_does_not_show_is_as_soft_as_the_footage(canonical, points):
    target, donor = measure_lips(points, UNIT), bright_mouth(canonical, 0.1)
    column = slice(int(points[13, 1]) + 2, int(points[14, 1]) - 2), 80, 0
    steepest = [
        np.abs(np.diff(warp_inside(donor, target, BOX, DARK, softness=softness)[0][column])).max()
        for softness in (0.5, 2.0)
    ]
    assert steepest[1] < 0.75 * steepest[0]


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


def bright_mouth(canonical, gap):
    """A mouth, open by ``gap``, all of whose pixels are bright."""
    points = in_pixels(open_lips(close_lips(canonical), gap), canonical[[78, 308]].mean(0))
    return Mouth(np.full((120, 160, 3), 200, np.uint8), measure_lips(points, UNIT), points)


@pytest.mark.parametrize(("gap", "brightness"), [(0.012, (30, 70)), (0.03, (70, 110)), (0.1, (160, 199))])
def test_less_light_falls_into_a_gap_that_is_narrower_than_the_donors(canonical, gap, brightness):
    target = bright_mouth(canonical, gap)
    inside, opacity = warp_inside(bright_mouth(canonical, 0.2), target.lips, BOX, DARK)
    row, column = np.rint(target.points[[13, 14]].mean(0)[::-1]).astype(int)
    assert opacity > 0
    assert brightness[0] <= inside[row, column, 0] <= brightness[1]


@pytest.mark.parametrize("gap", [0.02, 0.06, 0.2])
def test_a_gap_as_wide_as_the_donors_keeps_its_light(canonical, gap):
    donor = bright_mouth(canonical, gap)
    inside, _ = warp_inside(donor, donor.lips, BOX, DARK)
    row, column = np.rint(donor.points[[13, 14]].mean(0)[::-1]).astype(int)
    assert inside[row, column, 0] == pytest.approx(200, abs=1)


def test_the_soft_border_of_the_inside_is_shown_right_at_the_lips_only(points):
    """The donor's outermost pixels mix inside and lip; a wider target must not spread them."""
    donor = measure_lips(points, UNIT)
    patch = np.full((120, 160, 3), 200, np.uint8)
    top, bottom = (donor.points(0.5, donor.height(0.5, side))[1] for side in (0, 1))
    patch[: int(top) + 2], patch[int(bottom) - 1 :] = 100, 100
    wider = points.copy()
    wider[[13, 82, 312, 81, 311, 80, 310], 1] -= 6
    for target, rows in ((points, 2), (wider, 2)):
        inside, _ = warp_inside(Mouth(patch, donor, points), measure_lips(target, UNIT), BOX, DARK)
        edge = int(np.ceil(target[13, 1]))
        assert inside[edge, 80, 0] < 120
        assert inside[edge + rows + 1 : edge + rows + 6, 80, 0].min() > 190


def test_the_edge_of_the_upper_teeth_is_found(toothed, points, middle):
    expected = (points[13, 1] - 45) / UNIT + middle[1] + EDGE
    assert toothed.jaws.parted
    assert toothed.jaws.edge == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("luma", [170, 30], ids=["clenched", "hidden"])
def test_no_edge_is_found_where_the_image_shows_none(toothed, luma):
    plain = np.full_like(toothed.patch, luma)
    jaws = replace(toothed.jaws, edge=np.nan, parted=False)
    assert not with_teeth_edge(replace(toothed, patch=plain, jaws=jaws)).jaws.parted


def test_teeth_that_fill_the_gap_end_at_the_lower_lip(toothed, canonical, points, middle):
    patch = np.full_like(toothed.patch, (90, 118, 160))
    cv2.fillPoly(patch, [np.rint(points[list(LIPS_INNER)]).astype(np.int32)], (190, 124, 134))
    full = with_teeth_edge(replace(toothed, patch=patch, jaws=replace(toothed.jaws, edge=np.nan, parted=False)))
    expected = (points[14, 1] - 45) / UNIT + middle[1]
    assert not full.jaws.parted
    assert full.jaws.edge == pytest.approx(expected, abs=0.015)
    alone, hidden = with_common_edge([full, replace(full, jaws=replace(full.jaws, edge=np.nan))], canonical)
    assert alone.jaws.edge == hidden.jaws.edge == full.jaws.edge


def test_all_mouths_of_a_speaker_share_the_edge_of_the_teeth(toothed, canonical):
    edges = ((0.80, True), (0.81, True), (0.82, True), (0.95, True), (0.99, False), (np.nan, False))
    mouths = [replace(toothed, jaws=replace(toothed.jaws, edge=edge, parted=parted)) for edge, parted in edges]
    found = [mouth.jaws.edge for mouth in with_common_edge(mouths, canonical)]
    assert found == pytest.approx([0.80, 0.81, 0.82, 0.815, 0.815, 0.815])
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
        light = (luma[row, columns] - DARK[0]) / (toothed.patch[row, columns, 0] - DARK[0])
        assert np.ptp(light) < 0.03
        assert 0.75 < light.mean() < 1.02


def test_lower_teeth_follow_the_jaw_without_stretching(toothed, canonical, middle):
    first = in_pixels(open_lips(canonical, 0.2), middle)
    for gap in (0.17, 0.22):
        luma, points = shown(toothed, open_lips(canonical, gap), middle)
        row, source = int(points[14, 1]) - 4, int(first[14, 1]) - 4
        assert np.abs(luma[row, 70:91] - toothed.patch[source, 70:91, 0]).max() < 25


def test_the_jaw_hides_behind_the_upper_teeth(toothed, canonical, middle):
    luma, points = shown(toothed, open_lips(canonical, 0.08), middle)
    row, columns = int(points[13, 1]) + 4, slice(70, 91)
    light = (luma[row, columns] - DARK[0]) / (toothed.patch[row, columns, 0] - DARK[0])
    assert np.ptp(light) < 0.03
    assert light.mean() > 0.7


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


def test_teeth_in_a_narrow_gap_take_the_colour_of_what_shades_them(canonical):
    donor, target, red = bright_mouth(canonical, 0.2), bright_mouth(canonical, 0.02), np.add(DARK, (10, -8, 24))
    donor.patch[:] = (200, 128, 128)
    inside, _ = warp_inside(donor, target.lips, BOX, red)
    row, column = np.rint(target.points[[13, 14]].mean(0)[::-1]).astype(int)
    luma, blue, tint = (inside[row, column] - red) / ((200, 128, 128) - red)
    assert 0.15 < luma < 0.4
    assert (blue, tint) == pytest.approx((luma**2, luma**2), abs=0.02)
