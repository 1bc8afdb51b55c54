from __future__ import annotations

import pytest

from lipsync.engines.rewrite.footage_stats import APPEARANCE_INTERVAL, FootageStats
from lipsync.faces.geometry import opening
from lipsync.types import Face


@pytest.fixture
def face(smile, landmarker) -> Face:
    return landmarker.find(smile)[0]


def test_the_closed_mouth_is_closed_even_if_the_video_shows_none(smile, face, canonical, basis):
    stats = FootageStats(canonical, basis)
    for _ in range(3):
        stats.observe(smile, face)
    assert opening(stats.closed_mouth()[None])[0] < 0.006
    assert len(stats.donors.donors) == 1


def test_the_appearance_is_measured_at_intervals(smile, face, canonical, basis, copy_of):
    stats, dark = FootageStats(canonical, basis), copy_of(smile)
    dark.y[:] = 16
    for k in range(2 * APPEARANCE_INTERVAL):
        stats.observe(smile if k % APPEARANCE_INTERVAL == 0 else dark, face)
    once = FootageStats(canonical, basis)
    once.observe(smile, face)
    assert stats.appearance().skin == pytest.approx(once.appearance().skin, abs=0.01)
    assert stats.typical_light().rgb == pytest.approx(once.typical_light().rgb, abs=0.01)


def test_all_donors_know_the_edge_of_the_upper_teeth(smile, face, canonical, basis):
    stats = FootageStats(canonical, basis)
    stats.observe(smile, face)
    (donor,) = stats.filmed_donors()
    assert donor.mouth.jaws is not None
    assert 0 < donor.mouth.jaws.edge - donor.mouth.jaws.top < 0.2
