from __future__ import annotations

import numpy as np
import pytest

from lipsync.frames.blend import MAX_COLOUR_SHIFT, colour_shift, crossfade, edge_ramp, outline_mask, smoothstep
from lipsync.types import Box


def test_smoothstep_eases_between_zero_and_one():
    values = smoothstep(np.array([-1, 0, 0.25, 0.5, 1, 3], np.float32))
    assert values == pytest.approx([0, 0, 0.15625, 0.5, 1, 1])
    assert values.dtype == np.float32


def test_an_edge_ramp_rises_at_both_ends():
    ramp = edge_ramp(10, 4)
    assert ramp == pytest.approx([0.125, 0.375, 0.625, 0.875, 1, 1, 0.875, 0.625, 0.375, 0.125])


def test_an_outline_mask_covers_the_outline_within_its_box():
    outline = np.array([[20, 20], [60, 20], [60, 50], [20, 50]], np.float32)
    mask = outline_mask(outline, Box(10, 10, 70, 60), 1.0)
    assert mask.shape == (50, 60)
    assert mask[25, 30] == pytest.approx(1, abs=0.01)
    assert mask[2, 2] == 0
    assert 0.2 < mask[10, 30] < 0.8


@pytest.mark.parametrize(("difference", "expected"), [((6, -3, 2), (6, -3, 2)), ((90, -90, 0), (24, -24, 0))])
@pytest.mark.parametrize("depth", [8, 10])
def test_the_colour_shift_matches_the_surroundings_up_to_a_limit(difference, expected, depth):
    unit = 1 << (depth - 8)
    patch = np.full((40, 40, 3), 100, np.float32) * unit
    around = patch + np.array(difference, np.float32) * unit
    mask = outline_mask(np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float32), Box(0, 0, 40, 40), 2.0)
    assert max(map(abs, expected)) <= MAX_COLOUR_SHIFT
    assert colour_shift(around, patch, mask, depth) == pytest.approx(np.array(expected) * unit, abs=0.01)


def textures(count):
    """Images of independent fine texture about the same grey."""
    noise = np.random.default_rng(3).normal(0, 12, (count, 60, 80)).astype(np.float32)
    return [np.stack([120 + one, np.full_like(one, 118), np.full_like(one, 150)], -1) for one in noise]


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.25, 0.75), (0.25, 0.5, 0.25)])
def test_a_crossfade_keeps_the_contrast_of_details_that_do_not_coincide(weights):
    images = textures(len(weights))
    mixed = crossfade(images, weights)
    assert mixed[..., 0].std() == pytest.approx(images[0][..., 0].std(), rel=0.1)
    assert mixed.mean((0, 1)) == pytest.approx((120, 118, 150), abs=1)


def test_a_crossfade_of_equal_images_changes_nothing():
    image = textures(1)[0]
    assert crossfade([image, image.copy()], (0.3, 0.7)) == pytest.approx(image, abs=1e-3)
    assert crossfade([image], (1.0,)) is image
