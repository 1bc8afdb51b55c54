from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces.cuts import change, is_blank, is_cut_candidate, normalise_thumbnail


@pytest.fixture
def scenes() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.uniform(20, 220, (32, 32)).astype(np.float32) for _ in range(3)]


def test_brightness_and_contrast_change_nothing(scenes):
    assert change(normalise_thumbnail(scenes[0]), normalise_thumbnail(scenes[0] * 1.4 + 30)) < 0.01
    assert change(normalise_thumbnail(scenes[0]), normalise_thumbnail(scenes[1])) > 0.5


def test_a_new_scene_is_a_cut(scenes):
    one, other = normalise_thumbnail(scenes[0]), normalise_thumbnail(scenes[1])
    assert is_cut_candidate([one, one, one], other, [other, other, other])
    assert not is_cut_candidate([one, one, one], one, [one, other])
    assert not is_cut_candidate([], one, [other])


def test_neither_end_of_a_flash_is_a_cut(scenes):
    scene, flash = normalise_thumbnail(scenes[0]), normalise_thumbnail(scenes[1])
    assert not is_cut_candidate([scene, scene, scene], flash, [flash, scene, scene])
    assert not is_cut_candidate([scene, flash, flash], scene, [scene, scene, scene])


def test_steady_motion_is_not_a_cut(scenes):
    path = [normalise_thumbnail((1 - t) * scenes[0] + t * scenes[1]) for t in np.linspace(0, 1, 8)]
    assert not any(is_cut_candidate(path[:k], path[k], path[k + 1 :]) for k in range(1, 8))


def test_motion_at_half_the_rate_is_not_a_cut(scenes):
    path = [normalise_thumbnail((1 - t) * scenes[0] + t * scenes[1]) for t in np.linspace(0, 1, 6) for _ in range(2)]
    assert not any(is_cut_candidate(path[max(0, k - 6) : k], path[k], path[k + 1 : k + 5]) for k in range(1, 12))


def test_black_is_not_a_cut_but_another_scene_after_it_is(scenes):
    one, other, black = (
        normalise_thumbnail(scenes[0]),
        normalise_thumbnail(scenes[1]),
        normalise_thumbnail(np.full((32, 32), 16, np.float32)),
    )
    assert is_blank(black)
    assert not is_blank(one)
    assert not is_cut_candidate([one, one], black, [black, black])
    assert not is_cut_candidate([one, one, black], one, [one, one])
    assert is_cut_candidate([one, one, black], other, [other, other])
