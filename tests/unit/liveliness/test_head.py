from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy
from lipsync.liveliness.head import head_warp, picture_box
from lipsync.liveliness.sway import EXCURSION
from lipsync.types import Box

LIMITS = np.array(EXCURSION, np.float32)


@pytest.fixture(scope="module")
def picture(photo, to_frame, landmarker):
    """The photo as a frame, and its face."""
    frame = to_frame(photo)
    with TrackBuilder() as builder:
        builder.add(landmarker.find(frame)[0], False)
        with builder.finish(Fraction(25)) as track:
            yield frame, SmoothedFaces(track).at(0)


def warp_of(frame, face):
    warp = head_warp(frame, face)
    assert warp is not None
    return warp


@pytest.fixture(scope="module", params=["photo", "cut through the hair", "small"])
def cut(request, picture, photo, moved, to_frame, landmarker):
    """A picture, its face and the warp of its head."""
    if request.param == "photo":
        frame, face = picture
    else:
        at, zoom = ((160, 120), 1.6) if request.param == "cut through the hair" else ((60, 60), 0.6)
        frame = to_frame(moved(at, zoom))
        with TrackBuilder() as builder:
            builder.add(landmarker.find(frame)[0], False)
            with builder.finish(Fraction(25)) as track:
                face = SmoothedFaces(track).at(0)
    return frame, face, warp_of(frame, face)


@pytest.mark.parametrize("signs", [(1, 1, 1, 1, 1), (-1, -1, -1, -1, -1), (1, -1, 1, -1, 1), (-1, 1, 1, 1, -1)])
def test_no_sample_is_outside_the_picture_and_nothing_folds(cut, signs):
    frame, _, warp = cut
    luma, chroma = warp.source_maps(LIMITS * np.array(signs, np.float32))
    height, width = frame.y.shape
    corner = np.array([warp.box.left, warp.box.top])
    for source, size in ((luma + corner, (width, height)), (chroma + corner / 2, (width // 2, height // 2))):
        assert source.min() > -0.01
        assert (source < np.array(size) - 0.99).all()
    assert np.diff(luma[..., 0], axis=1).min() > 0.7
    assert np.diff(luma[..., 1], axis=0).min() > 0.7
    assert np.diff(luma[..., 0], axis=1).max() < 1.3


def test_the_face_turns_as_one_and_the_background_far_away_stays(picture):
    frame, face = picture
    warp = warp_of(frame, face)
    roll = LIMITS * [0, 0, 1, 0, 0]
    luma, _ = warp.source_maps(np.asarray(roll, np.float32))
    places = np.rint(face.points).astype(int) - [warp.box.left, warp.box.top]
    come_from = luma[places[:, 1], places[:, 0]]
    matrix, _ = cv2.estimateAffinePartial2D(places.astype(np.float32), come_from)
    rigid = places @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(rigid - come_from).max() < 0.25
    assert np.abs(come_from - places).max() > 0.5
    rows, columns = np.mgrid[: warp.box.height, : warp.box.width]
    shift = np.abs(luma - np.stack([columns, rows], -1))
    assert warp.box.left > 0
    assert warp.box.bottom < frame.y.shape[0]
    assert max(shift[:, 0].max(), shift[-1].max()) < 0.1


def test_a_turn_moves_the_nose_further_than_the_ears(picture):
    frame, face = picture
    warp = warp_of(frame, face)
    luma, _ = warp.source_maps(np.asarray(LIMITS * [1, 0, 0, 0, 0], np.float32))
    nose, ear = (np.rint(face.points[k]).astype(int) - [warp.box.left, warp.box.top] for k in (1, 234))
    assert abs(luma[nose[1], nose[0], 0] - nose[0]) > 2 * abs(luma[ear[1], ear[0], 0] - ear[0])


def test_only_the_box_changes_and_rest_changes_nothing(picture):
    frame, face = picture
    warp = warp_of(frame, face)
    still, moved = writable_copy(frame), writable_copy(frame)
    warp.apply(still, np.zeros(5, np.float32))
    assert np.array_equal(still.y, frame.y)
    warp.apply(moved, LIMITS)
    outside = np.ones_like(frame.y, bool)
    outside[warp.box.luma] = False
    assert np.array_equal(moved.y[outside], frame.y[outside])
    assert not np.array_equal(moved.y, frame.y)
    assert not np.array_equal(moved.u, frame.u)


def test_the_moved_head_stays_sharp(picture):
    frame, face = picture
    warp = warp_of(frame, face)
    low, high = face.points.min(0).astype(int), face.points.max(0).astype(int)
    area = slice(low[1], high[1]), slice(low[0], high[0])

    def sharpness(y):
        return cv2.Laplacian(y[area].astype(np.float32), cv2.CV_32F).std()

    for share in np.linspace(-1, 1, 9):
        moved = writable_copy(frame)
        warp.apply(moved, LIMITS * np.float32(share))
        assert sharpness(moved.y) > 0.85 * sharpness(frame.y)


def test_the_bands_hold_all_visible_motion_without_overlap(cut):
    _, _, warp = cut
    covered = np.zeros((warp.box.height, warp.box.width), np.uint8)
    for band in warp.bands:
        covered[band.luma] += 1
    assert covered.max() == 1
    rows, columns = np.mgrid[: warp.box.height, : warp.box.width]
    for signs in ((1, 1, 1, 1, 1), (1, -1, 1, -1, 1)):
        luma, _ = warp.source_maps(np.asarray(LIMITS * signs, np.float32))
        shift = np.abs(luma - np.stack([columns, rows], -1)).max(-1)
        assert shift[covered == 0].max(initial=0) < 0.1


def test_a_nod_lowers_the_face(picture):
    frame, face = picture
    warp = warp_of(frame, face)
    luma, _ = warp.source_maps(np.asarray(LIMITS * [0, 1, 0, 0, 0], np.float32))
    nose = np.rint(face.points[1]).astype(int) - [warp.box.left, warp.box.top]
    assert luma[nose[1], nose[0], 1] < nose[1] - 0.5


def test_black_bars_stay_straight(picture):
    frame, face = picture
    barred = writable_copy(frame)
    barred.y[:, :120], barred.y[-40:] = 16, 17
    assert picture_box(frame) == Box(0, 0, 512, 512)
    assert picture_box(barred) == Box(120, 0, 512, 472)
    warp, moved = warp_of(barred, face), writable_copy(barred)
    warp.apply(moved, LIMITS)
    assert np.array_equal(moved.y[:, :120], barred.y[:, :120])
    assert np.abs(moved.y[:, 120].astype(int) - barred.y[:, 120]).mean() < 12
    assert warp.box.left >= 120
    assert picture_box(to_black(frame)) == Box(0, 0, 512, 512)


def to_black(frame):
    black = writable_copy(frame)
    black.y[:] = 16
    return black


def test_each_pixel_of_the_bands_comes_from_its_place_in_the_map(cut):
    frame, _, warp = cut
    moved = writable_copy(frame)
    warp.apply(moved, LIMITS)
    luma, chroma = warp.source_maps(LIMITS)
    for plane, before, source, lines, method in (
        (moved.y[warp.box.luma], frame.y[warp.box.luma], luma, 1, cv2.INTER_CUBIC),
        (moved.u[warp.box.chroma], frame.u[warp.box.chroma], chroma, 2, cv2.INTER_LINEAR),
    ):
        expected = cv2.remap(before, source, None, method, borderMode=cv2.BORDER_REPLICATE)
        for band in warp.bands:
            area = band.luma if lines == 1 else band.chroma
            assert np.abs(plane[area].astype(int) - expected[area]).max() <= 2


def test_frames_of_ten_bits_move_alike(picture):
    frame, face = picture
    deep = replace(frame, **{n: getattr(frame, n).astype(np.uint16) * 4 for n in "yuv"}, depth=10)
    moved = writable_copy(frame)
    warp_of(frame, face).apply(moved, LIMITS)
    warp_of(deep, face).apply(deep, LIMITS)
    assert np.abs(deep.y / 4 - moved.y).max() <= 1
