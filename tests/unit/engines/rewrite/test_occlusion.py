"""Things in front of the mouth are found and held out of the edit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.engines.rewrite.animator import Animator
from lipsync.engines.rewrite.face_grid import FaceGrid
from lipsync.engines.rewrite.hold_out import guided_filter, hold_out, painted
from lipsync.engines.rewrite.occlusion import FADE_FRAMES, Occluders
from lipsync.engines.rewrite.usual_look import MIN_SAMPLES, usual_look
from lipsync.faces.geometry import MESH
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import POINTS, TrackBuilder
from lipsync.frames.patch import read_patch
from lipsync.types import Box, Colour, Face, Float32, Frame

SIDE, UNIT = 256, 100  # pixels of the frame, and per eye distance
COUNT = 40


@pytest.fixture(scope="module")
def points(canonical) -> Float32:
    """A face that fills the frame, (478, 3) in pixels."""
    placed = canonical * UNIT + np.array([SIDE / 2, 60, 0], np.float32)
    return np.concatenate([placed, placed[: POINTS - MESH]]).astype(np.float32)


def portrait(index: int, light: float = 1.0) -> Frame:
    """Skin with a slow change of tone and a little noise, in some light."""
    y, x = np.mgrid[:SIDE, :SIDE]
    random = np.random.default_rng(index)
    luma = (120 + 0.2 * x + 10 * np.sin(y / 20) + random.normal(0, 2, (SIDE, SIDE))) * light
    half = np.ones((SIDE // 2, SIDE // 2))
    u, v = (128 + tint * light * half + random.normal(0, 1, half.shape) for tint in (-12, 22))
    return Frame(index, *(np.rint(plane).astype(np.uint8) for plane in (luma, u, v)), 8, Colour())


def paint(frame: Frame, top: int, left: int, right: int) -> Frame:
    """Something lighter and bluer that comes from below, up to row ``top``."""
    frame.y[top:, left:right] = np.minimum(frame.y[top:, left:right].astype(int) + 60, 235)
    frame.u[top // 2 :, left // 2 : right // 2] = 140
    frame.v[top // 2 :, left // 2 : right // 2] = 118
    return frame


@pytest.fixture
def followed(canonical, points):
    """Occlusions found in frames that ``make`` gives for each index."""

    def follow(make, cuts=()):
        occluders = Occluders(canonical)
        with TrackBuilder() as builder:
            for index in range(COUNT):
                builder.add(Face(points, 1.0), index in cuts)
                occluders.observe(make(index), points[:MESH])
            with builder.finish(Fraction(25)) as track:
                frames = ((make(index), index) for index in range(COUNT))
                return [found for _, _, found in occluders.follow(frames, SmoothedFaces(track))]

    return follow


def chin(points: Float32) -> int:
    return int(points[152, 1])


def test_a_free_face_is_free_in_any_light(followed):
    assert followed(lambda k: portrait(k, light=1 - 0.7 * k / COUNT)) == [None] * COUNT


def test_what_comes_over_the_chin_is_held_out_and_the_edit_goes_on(followed, points):
    hand = range(10, 16)
    found = followed(lambda k: paint(portrait(k), chin(points) - 20, 90, 170) if k in hand else portrait(k))
    assert [k for k in range(COUNT) if found[k] is not None] == list(hand)
    for k in hand:
        assert found[k].covered < 0.1
        assert found[k].strength == 1
        assert found[k].matte.max() == 1


def test_hands_on_both_sides_leave_the_mouth_between_them_free(followed, points):
    top = int(points[2, 1])

    def make(k: int) -> Frame:
        return paint(paint(portrait(k), top, 40, 88), top, 168, 216) if 10 <= k < 16 else portrait(k)

    found = followed(make)
    assert all(found[k] is not None and found[k].covered < 0.1 for k in range(10, 16))


def test_a_covered_mouth_passes_through_with_a_fade(followed, points):
    hand = range(12, 18)
    found = followed(lambda k: paint(portrait(k), int(points[2, 1]), 40, 216) if k in hand else portrait(k))
    strengths = [1.0 if f is None else f.strength for f in found]
    assert [k for k in range(COUNT) if strengths[k] == 0] == list(hand)
    ramp = [k / (FADE_FRAMES + 1) for k in range(1, FADE_FRAMES + 1)]
    assert strengths[18 : 18 + FADE_FRAMES] == ramp
    assert strengths[12 - FADE_FRAMES : 12] == ramp[::-1]


def test_a_moment_without_evidence_between_covered_frames_stays_covered(followed, points):
    hand = set(range(12, 22)) - {16}
    found = followed(lambda k: paint(portrait(k), int(points[2, 1]), 40, 216) if k in hand else portrait(k))
    assert found[16].strength == 0


def test_a_single_odd_frame_is_noise(followed, points):
    assert not any(followed(lambda k: paint(portrait(k), chin(points) - 20, 90, 170) if k == 14 else portrait(k)))


def test_a_spot_inside_the_face_is_part_of_it(followed, points):
    """A tongue or a shadow under the lip does not come from outside."""

    def make(k: int) -> Frame:
        frame = portrait(k)
        if 10 <= k < 16:
            below = int(points[17, 1]) + 2
            frame.y[below : below + 12, 110:146] -= 60
        return frame

    assert not any(followed(make))


def test_another_shot_of_other_colours_is_no_occlusion(followed):
    assert not any(followed(lambda k: portrait(k, light=1.0 if k < 20 else 0.5), cuts={20}))


def test_a_short_shot_is_not_judged(followed, points):
    """Nobody knows what a face looks like from a few frames of which half show something else."""
    first = COUNT - MIN_SAMPLES + 1
    hand = range(first + 2, COUNT)
    found = followed(
        lambda k: paint(portrait(k), int(points[2, 1]), 40, 216) if k in hand else portrait(k), cuts={first}
    )
    assert not any(found)


def test_a_donor_behind_a_hand_is_recognised(canonical, points):
    occluders = Occluders(canonical)
    covered = occluders.grid.sample(paint(portrait(30), int(points[0, 1]), 60, 200), points[:MESH])
    free = occluders.grid.sample(portrait(31), points[:MESH])
    with TrackBuilder() as builder:
        for index in range(COUNT):
            builder.add(Face(points, 1.0), False)
            occluders.observe(portrait(index), points[:MESH])
        with builder.finish(Fraction(25)) as track:
            faces = SmoothedFaces(track)
            assert occluders.over_mouth(covered, faces) is not None
            assert occluders.over_mouth(free, faces) is None
            assert occluders.over_mouth(None, faces) is None


def caption(frame: Frame, points: Float32, from_lips: bool = False) -> Frame:
    """Yellow letters with black outlines, of which six frames show the same; they cover half of their rows."""
    top = int(points[0 if from_lips else 17, 1]) + 4 & ~1
    random, rows = np.random.default_rng(frame.index // 6), slice(top, top + 24)
    half = slice(top // 2, top // 2 + 12)
    first, last = (60, 190) if from_lips else (92, 156)
    for left in range(first + 2 * int(random.integers(6)), last, 12):
        if random.random() < 0.7:
            letter, inner = slice(left, left + 10), slice(left + 2, left + 8)
            frame.y[rows, letter], frame.y[rows, inner] = 20, 210
            frame.u[half, letter.start // 2 : letter.stop // 2], frame.v[half, letter.start // 2 : letter.stop // 2] = (
                128,
                128,
            )
            frame.u[half, inner.start // 2 : inner.stop // 2], frame.v[half, inner.start // 2 : inner.stop // 2] = (
                20,
                146,
            )
    return frame


def letters(frame: Frame) -> np.ndarray:
    return (frame.y > 200) & (np.kron(frame.u, np.ones((2, 2), np.uint8)) < 60)


def test_a_caption_over_the_chin_stays_to_the_pixel(followed, canonical, points):
    found = followed(lambda k: caption(portrait(k), points))
    assert None not in found
    frame = caption(portrait(20), points)
    before = [plane.copy() for plane in (frame.y, frame.u, frame.v)]
    assert found[20].letters
    grid, seen = FaceGrid(canonical), found[20]
    held = hold_out(frame, points[:MESH, :2], seen.matte, seen.behind, grid, UNIT, letters=True)
    assert not letters(frame).any()  # their colour does not enter the edit
    frame.y[:] = 100
    held.restore(frame)
    kept = letters(Frame(20, *before, 8, Colour()))
    assert (frame.y[kept] == before[0][kept]).all()


def test_a_logo_in_the_middle_of_the_chin_is_found(followed, points):
    def with_logo(index):
        frame = portrait(index)
        top = int(points[17, 1]) + 4
        if index >= 20:
            frame.y[top : top + 16, 112:144], frame.u[top // 2 : top // 2 + 8, 56:72] = 60, 210
        return frame

    found = followed(with_logo)
    assert not any(found[:20])
    assert None not in found[20:]


def test_letters_in_every_donor_are_painted_over(canonical, points):
    grid, occluders = FaceGrid(canonical), Occluders(canonical)
    with TrackBuilder() as builder:
        for index in range(COUNT):
            builder.add(Face(points, 1.0), False)
            occluders.observe(caption(portrait(index), points, True), points[:MESH])
        with builder.finish(Fraction(25)) as track:
            frame = caption(portrait(21), points, True)
            cover = occluders.over_mouth(grid.sample(frame, points[:MESH]), SmoothedFaces(track))
    box = Box(70, 130, 190, 240)
    with_letters, plain = (read_patch(one, box) for one in (frame, portrait(21)))
    mesh = points[:MESH, :2] - np.array([box.left, box.top], np.float32)
    clean = painted(with_letters, mesh, cover.matte, cover.behind, grid, UNIT)
    before, after = (np.abs(one.astype(float) - plain) for one in (with_letters, clean))
    assert after.mean() < before.mean() / 4
    assert after.max() < 40


def test_a_beard_is_a_part_of_the_face(followed, points):
    def bearded(index):
        frame = portrait(index)
        texture = np.random.default_rng(7).normal(0, 8, (SIDE, SIDE))
        row = int(points[17, 1]) + 4
        frame.y[row:] = np.clip(
            32 + texture[row:] + np.random.default_rng(index).normal(0, 2, (SIDE - row, SIDE)), 16, 60
        )
        frame.u[row // 2 :], frame.v[row // 2 :] = 126, 130
        return frame

    assert not any(followed(bearded))


class CountingGrid(FaceGrid):
    count = 0

    def sample(self, frame, points):
        self.count += 1
        return super().sample(frame, points)


def test_a_photo_is_examined_once(canonical, points):
    occluders = Occluders(canonical)
    with TrackBuilder() as builder:
        for index in range(COUNT):
            builder.add(Face(points, 1.0), False)
            occluders.observe(portrait(index), points[:MESH])
        with builder.finish(Fraction(25)) as track:
            occluders.grid = grid = CountingGrid(canonical)
            covered = paint(portrait(5), chin(points) - 10, 90, 170)
            found = [found for _, _, found in occluders.follow(((covered, k) for k in range(9)), SmoothedFaces(track))]
    assert grid.count == 1
    assert all(occlusion is not None for occlusion in found)


def test_covered_frames_pass_through_unchanged_and_are_counted(basis, points):
    hand = range(12, 18)

    def make(k: int) -> Frame:
        return paint(portrait(k), int(points[2, 1]), 40, 216) if k in hand else portrait(k)

    animator = Animator(basis)
    with TrackBuilder() as builder:
        for index in range(COUNT):
            builder.add(Face(points, 1.0), False)
            animator.observe(make(index), Face(points, 1.0))
        with builder.finish(Fraction(25)) as track:
            assert animator.notes == ()
            motion = iter([np.repeat(basis.neutral[None] + 1, COUNT, axis=0)])
            outputs = list(animator.animate((make(k) for k in range(COUNT)), motion, SmoothedFaces(track)))
    assert [k for k, output in enumerate(outputs) if not output.edited] == list(hand)
    for k, output in enumerate(outputs):
        assert (output.frame.y == make(k).y).all() == (k in hand)
    assert animator.notes == ("frames copied unchanged because something covers the mouth: 6",)


def test_the_look_ignores_what_covers_the_face_in_a_third_of_the_frames(canonical, points):
    grid = FaceGrid(canonical)

    def sample(k: int, top: int):
        colours = grid.sample(paint(portrait(k), top, 40, 216) if k % 3 == 0 else portrait(k), points[:MESH])
        assert colours is not None
        return colours

    look = usual_look([sample(k, int(points[2, 1])) for k in range(24)], grid)
    assert look is not None
    difference, _ = look.difference(sample(25, 0))
    assert difference[grid.lower].max() < 2


def test_cells_of_a_cheek_that_turns_away_are_not_visible(canonical, points):
    turned = points[:MESH].copy()
    angle = np.radians(55)
    turned[:, 0] = SIDE / 2 + (canonical[:, 0] * np.cos(angle) - canonical[:, 2] * np.sin(angle)) * UNIT
    grid = FaceGrid(canonical)
    colours = grid.sample(portrait(0), turned)
    assert colours is not None
    left, right = colours.visible[:, :24], colours.visible[:, 24:]
    assert abs(int(left.sum()) - int(right.sum())) > 100


def test_a_face_outside_the_frame_has_no_colours(canonical, points):
    assert FaceGrid(canonical).sample(portrait(0), points[:MESH] + 1000) is None


def test_held_out_pixels_return_exactly_and_the_others_keep_the_edit(canonical, points):
    grid, frame = FaceGrid(canonical), portrait(0)
    matte = np.zeros((48, 48), np.float32)
    matte[:, :16] = 1
    before = frame.y.copy(), frame.u.copy(), frame.v.copy()
    held = hold_out(frame, points[:MESH, :2], matte, None, grid, UNIT)
    assert held is not None
    for plane in (frame.y, frame.u, frame.v):
        plane[:] = 50
    held.restore(frame)
    mouth = int(points[13, 1])
    assert (frame.y[mouth : mouth + 20, 75:85] == before[0][mouth : mouth + 20, 75:85]).all()
    assert (frame.v[mouth // 2 : mouth // 2 + 10, 38:42] == before[2][mouth // 2 : mouth // 2 + 10, 38:42]).all()
    assert (frame.y[mouth : mouth + 20, 150:180] == 50).all()


def test_the_face_is_painted_behind_what_is_held_out_before_the_edit(canonical, points):
    grid, frame = FaceGrid(canonical), portrait(0)
    matte = np.zeros((48, 48), np.float32)
    matte[:, :16] = 1
    before = frame.y.copy()
    behind = grid.sample(frame, points[:MESH]).colours.astype(np.float32)
    behind[:, :18] = 77
    held = hold_out(frame, points[:MESH, :2], matte, behind, grid, UNIT)
    mouth = int(points[13, 1])
    assert (frame.y[mouth : mouth + 20, 75:85] == 77).all()
    assert (frame.u[mouth // 2 : mouth // 2 + 10, 38:42] == 77).all()
    assert (frame.y[mouth : mouth + 20, 150:180] == before[mouth : mouth + 20, 150:180]).all()
    assert held is not None
    held.restore(frame)
    assert (frame.y[mouth : mouth + 20, 75:85] == before[mouth : mouth + 20, 75:85]).all()


def test_the_matte_moves_to_an_edge_of_the_picture():
    guide = np.zeros((60, 60), np.float32)
    guide[:, 33:] = 0.5
    coarse = np.zeros((60, 60), np.float32)
    coarse[:, 30:] = 1
    fitted = guided_filter(guide, coarse, 8)
    assert fitted[30, 34:].min() > 0.75
    assert fitted[30, :20].max() < 0.1
    assert np.abs(np.diff(fitted[30])).argmax() == 32
