from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.engines.rewrite.closing import close_lips
from lipsync.engines.rewrite.mattes import layer_mattes, lip_contours
from lipsync.engines.rewrite.mouth import measure_lips
from lipsync.engines.rewrite.shape import open_lips
from lipsync.types import Box

BOX = Box(0, 0, 200, 120)
UNIT = 200.0


@pytest.fixture
def lips(canonical):
    """A function that places the canonical mouth, opened by ``gap`` eye distances, in pixels of the box."""

    def place(gap, turn=0.0, down=0.0):
        face = open_lips(close_lips(canonical), gap)[:, :2]
        cosine, sine = np.cos(turn), np.sin(turn)
        points = (face - face[13]) @ np.array([[cosine, sine], [-sine, cosine]]) * UNIT + (100, 50 + down)
        return measure_lips(points.astype(np.float32), UNIT)

    return place


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_the_layers_share_each_pixel(lips, turn):
    mattes = layer_mattes(lip_contours(lips(0.1, turn)), BOX, 1.0)
    assert mattes.upper + mattes.inside + mattes.lower == pytest.approx(np.ones((120, 200)))
    assert min(mattes.upper.min(), mattes.inside.min(), mattes.lower.min()) >= 0
    assert mattes.inside.max() > 0.99


def test_closed_lips_leave_nothing_of_the_inside(lips):
    assert layer_mattes(lip_contours(lips(0.1), openness=0.0), BOX, 1.0).inside.max() == pytest.approx(0, abs=1e-5)


def test_lips_that_overlap_touch(lips):
    crossed = lips(0.1)
    contours = lip_contours(replace(crossed, upper=crossed.lower, lower=crossed.upper))
    assert (contours.gaps == 0).all()


def test_the_edges_are_antialiased(lips):
    steps = np.abs(np.diff(layer_mattes(lip_contours(lips(0.1)), BOX, 1.0).inside, axis=0))
    assert steps.max() < 0.4


def test_a_shift_by_a_fraction_of_a_pixel_shows(lips):
    here, below = (layer_mattes(lip_contours(lips(0.1, down=down)), BOX, 0.5).upper.sum(0) for down in (0.0, 0.25))
    assert (below - here)[60:140] == pytest.approx(np.full(80, 0.25), abs=0.02)


def test_the_inside_covers_as_much_as_the_gap(lips):
    contours = lip_contours(lips(0.1))
    covered = layer_mattes(contours, BOX, 1.0).inside.sum()
    assert covered == pytest.approx(float(contours.gaps.mean()) * contours.lips.width, rel=0.05)


def test_closed_lips_touch_along_the_mouth_and_no_farther(lips):
    contact = layer_mattes(lip_contours(lips(0.0)), BOX, 1.0).contact
    assert contact[44:56, 100].max() == pytest.approx(1, abs=0.05)
    assert contact[:, 100].sum() < 0.06 * UNIT
    assert contact[:, :20].max() == 0


def test_lips_that_are_apart_do_not_touch(lips):
    assert layer_mattes(lip_contours(lips(0.1)), BOX, 1.0).contact[:, 80:120].max() == 0
