from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.contact import Gap
from lipsync.engines.rewrite.lip_warp import FLAP_TRIANGLES, with_flaps
from lipsync.engines.rewrite.mouth import LOWER, UPPER, Mouth, measure_lips
from lipsync.engines.rewrite.mouth_layers import MouthLayers, MouthPlace, WarpLayer, compose_mouth
from lipsync.engines.rewrite.shape import influence, open_lips
from lipsync.engines.rewrite.warp import Raster, skin_triangles
from lipsync.faces.geometry import LIPS_INNER, LIPS_OUTER
from lipsync.frames.blend import filled_outline
from lipsync.types import Box

UNIT = 150.0
BOX = Box(0, 0, 160, 120)
BOX_SHAPE = (BOX.height, BOX.width)
SKIN, LIPS, TEETH = (150, 115, 145), (110, 115, 165), (220, 126, 130)  # Y'CbCr
GAP = Gap(np.array([30, 122, 136], np.float32), 0.0, 0.006)


@pytest.fixture
def mesh(canonical):
    """A function that places the canonical mouth, opened by ``gap`` eye distances, in pixels of the box."""

    def place(gap):
        face = open_lips(close_lips(canonical), gap)[:, :2]
        return ((face - canonical[13, :2]) * UNIT + (80, 50)).astype(np.float32)

    return place


@pytest.fixture
def donor(mesh):
    """A mouth with teeth between lips that are open by 0.15 eye distances."""
    points = mesh(0.15)
    image = np.full((BOX.height, BOX.width, 3), SKIN, np.uint8)
    for outline, colour in ((LIPS_OUTER, LIPS), (LIPS_INNER, TEETH)):
        cv2.fillPoly(image, [np.rint(points[list(outline)] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return Mouth(image, measure_lips(points, UNIT), points)


@pytest.fixture
def composed(canonical, mesh, donor):
    """A function that composes the donor's mouth into plain skin at a gap: the image and the target's points."""
    triangles = np.concatenate([skin_triangles(open_lips(canonical, 0.2), influence(canonical)), FLAP_TRIANGLES])

    def compose(gap, look=GAP, scale=1, lips=donor):
        target = mesh(gap)
        raster = Raster(with_flaps(target), triangles, BOX, 2, len(FLAP_TRIANGLES))
        place = MouthPlace(raster, target, UNIT, look.blur)
        mouth, lips = (m if scale == 1 else replace(m, patch=m.patch.astype(np.uint16) * scale) for m in (donor, lips))
        layers, inside = ((WarpLayer(m, 1.0),) for m in (lips, mouth))
        skin = np.full((BOX.height, BOX.width, 3), SKIN, np.float32) * scale
        image = compose_mouth(skin, place, MouthLayers(layers, inside), None, look, 8 if scale == 1 else 10)
        return image, target

    return compose


def seam(image, points):
    """The luma along the line where the lips meet, without the corners."""
    line = (points[list(UPPER)] + points[list(LOWER)]) / 2
    x = np.arange(line[0, 0] + 6, line[-1, 0] - 6)
    y = np.interp(x, line[:, 0], line[:, 1])
    at = np.stack([x, y], -1).astype(np.float32)[None]
    return cv2.remap(np.ascontiguousarray(image[..., 0]), at, None, cv2.INTER_LINEAR)[0]


def test_lips_that_close_show_nothing_of_the_teeth(composed):
    assert seam(*composed(0.0)).max() < LIPS[0] + 15
    assert seam(*composed(0.02)).max() < LIPS[0] + 25


def test_an_open_mouth_shows_the_teeth(composed):
    image, points = composed(0.15)
    middle = (points[13] + points[14]) / 2
    assert image[int(middle[1]), int(middle[0]), 0] > 200


def test_the_seam_is_smooth(composed):
    assert np.abs(np.diff(seam(*composed(0.0)), 2)).mean() < 3


def test_the_contact_is_shaded_as_the_speakers(composed):
    plain, shaded = (seam(*composed(0.0, replace(GAP, shade=shade))) for shade in (0.0, 0.2))
    assert shaded[20:-20] == pytest.approx(0.8 * plain[20:-20], rel=0.03)


def test_the_edges_take_the_blur_of_the_footage(composed):
    sharp, soft = (composed(0.15, replace(GAP, blur=blur))[0][..., 0] for blur in (0.004, 0.02))
    column = slice(30, 90), 80
    assert np.abs(np.diff(sharp[column])).max() > 1.5 * np.abs(np.diff(soft[column])).max()


def test_ten_bits_are_composed_like_eight(composed):
    eight, ten = composed(0.05)[0], composed(0.05, replace(GAP, cavity=GAP.cavity * 4), scale=4)[0]
    assert np.abs(ten / 4 - eight).max() < 2


def test_the_dark_line_of_closed_lips_does_not_become_the_edge_of_open_ones(composed, mesh):
    points = mesh(0.0)
    image = np.full((BOX.height, BOX.width, 3), LIPS, np.uint8)
    cv2.polylines(image, [np.rint(points[list(UPPER)] * 16).astype(np.int32)], False, (10, 115, 165), 3, cv2.LINE_AA, 4)
    closed = Mouth(image, measure_lips(points, UNIT), points)
    opened, target = composed(0.15, lips=closed)
    top, bottom = (int(target[number, 1]) for number in (13, 14))
    assert opened[top - 6 : top + 6, 80, 0].min() > LIPS[0] - 20
    assert opened[bottom - 6 : bottom + 6, 80, 0].min() > LIPS[0] - 20
    assert seam(*composed(0.0, lips=closed)).max() < 60


def test_the_inside_begins_where_the_donors_image_shows_the_edge_of_its_lip(composed, donor, mesh):
    """A donor whose tracked upper edge is 4 pixels above the real one."""
    points = donor.points.copy()
    points[list(UPPER[1:-1]), 1] -= 4
    lips = measure_lips(points, UNIT)
    tracked = replace(donor, points=points, lips=lips, opening=donor.lips)
    place = MouthPlace(Raster(with_flaps(points), FLAP_TRIANGLES, BOX, 2, len(FLAP_TRIANGLES)), points, UNIT, 0.004)
    shown = place.shown_lips((WarpLayer(tracked, 1.0),))
    assert shown.upper[1:-1, 1] == pytest.approx(lips.upper[1:-1, 1] + 4, abs=0.1)
    assert shown.lower == pytest.approx(lips.lower)
    mask = cv2.erode(filled_outline(donor.points[list(LIPS_OUTER)], BOX_SHAPE), np.ones((9, 9), np.uint8)) > 0
    skin = np.full((*BOX_SHAPE, 3), SKIN, np.float32)
    image = compose_mouth(skin, place, MouthLayers(*[(WarpLayer(tracked, 1.0),)] * 2), None, GAP, 8)
    assert np.abs(image - donor.patch)[mask].mean() < 3
