from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.engines.rewrite.appearance import Appearance
from lipsync.engines.rewrite.donor_choice import DonorSelector, InsideSelector
from lipsync.engines.rewrite.donors import Donor, mouth_descriptors
from lipsync.engines.rewrite.drawn_mouth import DrawnMouth
from lipsync.engines.rewrite.light import Light
from lipsync.engines.rewrite.look import inside_detail
from lipsync.engines.rewrite.mouth import Mouth, measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.engines.rewrite.synthetic_mouth import (
    cavity_colour,
    drawn_donor,
    drawn_image,
    teeth_colour,
    with_usual_detail,
)
from lipsync.faces.geometry import LIPS_INNER

LIGHT = Light(np.array([0.7, 0.5, 0.45], np.float32), 16, 128)
LIPS_COLOUR = np.array([120, 116, 160], np.float32)
BLACK = np.array([16, 128, 128], np.float32)


@pytest.fixture
def donor(canonical):
    """A donor with a gap, filled with one colour in the upper half and another one below."""

    def make(gap: float, upper, lower) -> Donor:
        mesh = open_lips(canonical, gap)
        points = ((mesh[:, :2] - mesh[list(LIPS_INNER), :2].mean(0)) * 100 + 50).astype(np.float32)
        patch = np.empty((100, 100, 3), np.uint8)
        patch[:] = LIPS_COLOUR
        inside = np.zeros((100, 100), np.uint8)
        cv2.fillPoly(inside, [np.rint(points[list(LIPS_INNER)]).astype(np.int32)], 1)
        rows = np.arange(100)[:, None] < points[list(LIPS_INNER), 1].mean()
        patch[(inside > 0) & rows], patch[(inside > 0) & ~rows] = upper, lower
        mouth = Mouth(patch, measure_lips(points, 100.0), points, LIGHT)
        return Donor(mouth, mouth_descriptors(mesh[None], np.eye(3)[None])[0], gap)

    return make


LOOK = Appearance(
    LIPS_COLOUR, LIPS_COLOUR, np.array([190, 122, 136], np.float32), BLACK, np.zeros(3, np.float32), 0.01, 0.0
)
TEETH, DARK, TONGUE = (190, 122, 136), (30, 122, 136), (135, 117, 160)


def test_teeth_and_cavity_have_the_colours_that_open_donors_show(donor):
    donors = [donor(0.2, TEETH, DARK), donor(0.01, LIPS_COLOUR, LIPS_COLOUR)]
    assert teeth_colour(donors, LIPS_COLOUR, BLACK) == pytest.approx(TEETH, abs=4)
    assert cavity_colour(donors, LIPS_COLOUR, BLACK) == pytest.approx(DARK, abs=4)


def test_a_tongue_is_no_tooth(donor):
    assert teeth_colour([donor(0.2, TONGUE, DARK)], LIPS_COLOUR, BLACK) is None


@pytest.mark.parametrize("softness", [0.6, 0.8, 1.25])
def test_the_drawn_mouth_has_the_detail_of_open_donors(canonical, donor, softness):
    drawing = DrawnMouth(canonical, LOOK, np.array(DARK, np.float32))
    mesh = open_lips(canonical, 0.15)
    shown = donor(0.15, TEETH, DARK)
    real = drawn_image(drawing.softened(softness), mesh, 100.0)
    shown = replace(shown, mouth=replace(real, patch=np.rint(real.patch).astype(np.uint8), light=LIGHT))
    matched = drawn_image(with_usual_detail(drawing, canonical, [shown]), mesh, 100.0)
    assert inside_detail(matched) == pytest.approx(inside_detail(real), rel=0.1)


def test_the_drawn_mouth_of_footage_without_an_open_one_stays(canonical, donor):
    drawing = DrawnMouth(canonical, LOOK, np.array(DARK, np.float32))
    assert with_usual_detail(drawing, canonical, [donor(0.01, LIPS_COLOUR, LIPS_COLOUR)]) is drawing


def test_footage_without_an_open_mouth_gets_a_dark_cavity_in_the_tint_of_the_lips(donor):
    donors = [donor(0.01, LIPS_COLOUR, LIPS_COLOUR)]
    assert teeth_colour(donors, LIPS_COLOUR, BLACK) is None
    cavity = cavity_colour(donors, LIPS_COLOUR, BLACK)
    assert cavity[0] < 50
    assert cavity[2] > 128


@pytest.mark.parametrize("yaw", [0.0, 0.6])
def test_closed_footage_opens_with_the_drawn_mouth_on_any_head(donor, canonical, yaw):
    donors = [donor(0.004, LIPS_COLOUR, LIPS_COLOUR)]
    donors.append(drawn_donor(donors, canonical, LIGHT))
    faces = np.stack([open_lips(canonical, gap) for gap in (0.1, 0.15, 0.2, 0.1)])
    rotation = cv2.Rodrigues(np.array([0, yaw, 0], np.float32))[0]
    descriptors = mouth_descriptors(faces, np.repeat(rotation[None], 4, 0))
    unknown = np.full((4, 4), np.nan, np.float32)
    for selector in (DonorSelector(donors), InsideSelector(donors)):
        assert selector.choose(faces, descriptors, unknown, 4) == [1, 1, 1, 1]


def test_footage_with_an_open_mouth_keeps_its_own_teeth(donor, canonical):
    donors = [donor(0.15, TEETH, DARK)]
    donors.append(drawn_donor(donors, canonical, LIGHT))
    faces = np.stack([open_lips(canonical, gap) for gap in (0.15, 0.08, 0.04, 0.12)])
    descriptors = mouth_descriptors(faces, np.repeat(np.eye(3)[None], 4, 0))
    unknown = np.full((4, 4), np.nan, np.float32)
    for selector in (DonorSelector(donors), InsideSelector(donors)):
        assert selector.choose(faces, descriptors, unknown, 4) == [0, 0, 0, 0]
