from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.engines.wav2lip.compose import compose, placement_on_face
from lipsync.engines.wav2lip.crop import aligned_crop, face_view
from lipsync.enhancers.base import EditedFrame
from lipsync.enhancers.detail.bands import missing_detail, shock_filter, similarity
from lipsync.enhancers.detail.enhancer import DetailTransfer
from lipsync.enhancers.detail.warp import CHIN, LOWER_LIP, UPPER_LIP, source_map
from lipsync.faces.geometry import LIPS, MESH
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.difference import changed_box
from lipsync.frames.planes import writable_copy
from lipsync.types import Box

COUNT = 6


@pytest.fixture(scope="module")
def speaker(moved, to_frame, landmarker):
    """Frames of a drifting head with new grain in each, and its landmarks."""
    noise, faces, frames = np.random.default_rng(0), [], []
    for k in range(COUNT):
        frame = to_frame(moved((160 + k, 120), 2.2), k)
        grain = noise.normal(0, 3, frame.y.shape)
        frames.append(replace(frame, y=np.clip(frame.y + grain, 0, 255).astype(np.uint8)))
        faces.append(landmarker.find(frames[-1])[0])
    return frames, faces


@pytest.fixture
def track_of(speaker):
    tracks = []

    def track(detected=lambda k: True, cut=lambda k: False):
        builder = TrackBuilder()
        for k, face in enumerate(speaker[1]):
            builder.add(face if detected(k) else None, cut(k))
        tracks.append(builder.finish(Fraction(25), faceless=True))
        return tracks[-1]

    yield track
    for one in tracks:
        one.close()


@pytest.fixture
def soft(speaker):
    """The frames with their lower faces resampled through 96 pixels, like those of a generator."""

    def edits(blur=0.8):
        for frame, face in zip(*speaker, strict=True):
            crop = aligned_crop(face.landmarks)
            result = softened(face_view(frame, crop), blur)
            after = writable_copy(frame)
            yield EditedFrame(
                after, frame, compose(after, result, placement_on_face(crop, face.landmarks[:MESH, :2], 1.0))
            )

    return edits


def softened(face, blur):
    return np.stack([cv2.GaussianBlur(plane, (0, 0), blur) for plane in face]) if blur else face


def enhanced(landmarker, edits, track, strength=1.0):
    copies = [EditedFrame(writable_copy(edit.after), edit.before, edit.edited) for edit in edits]
    return list(DetailTransfer(landmarker, strength).enhance(copies, SmoothedFaces(track)))


def sharpness(frame, face):
    points = face.landmarks[list(LIPS), :2]
    (left, top), (right, bottom) = points.min(0).astype(int) - 4, points.max(0).astype(int) + 4
    return cv2.Laplacian(np.asarray(frame.y[top:bottom, left:right], np.float32), cv2.CV_32F).var()


def test_a_soft_mouth_becomes_nearly_as_sharp_as_the_source(speaker, soft, track_of, landmarker):
    before = list(soft(0.0))
    after = enhanced(landmarker, before, track_of())
    own, without, with_ = (
        np.mean([sharpness(frame, face) for frame, face in zip(frames, speaker[1], strict=True)])
        for frames in (speaker[0], [e.after for e in before], [e.after for e in after])
    )
    assert without < 0.5 * own
    assert 0.75 * own < with_ < 1.15 * own


def test_the_result_is_closer_to_the_source_where_the_mouth_is_the_same(soft, track_of, landmarker):
    before = list(soft())
    for soft_one, done in zip(before, enhanced(landmarker, before, track_of()), strict=True):
        truth = soft_one.before.y.astype(float)
        assert np.square(done.after.y - truth).sum() < 0.6 * np.square(soft_one.after.y - truth).sum()


def test_nothing_changes_outside_the_edited_area(soft, track_of, landmarker):
    before = list(soft())
    for soft_one, done in zip(before, enhanced(landmarker, before, track_of()), strict=True):
        box = changed_box(soft_one.before, soft_one.after)
        outside = np.ones(done.after.y.shape, bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert (done.after.y[outside] == done.before.y[outside]).all()
        assert (done.after.u == soft_one.after.u).all()
        assert (done.after.v == soft_one.after.v).all()


def test_the_source_frames_are_not_changed(speaker, soft, track_of, landmarker):
    kept = [frame.y.copy() for frame in speaker[0]]
    enhanced(landmarker, soft(), track_of())
    assert all((frame.y == y).all() for frame, y in zip(speaker[0], kept, strict=True))


def test_a_strength_of_zero_changes_nothing_and_half_of_it_about_half(soft, track_of, landmarker):
    before = list(soft())
    track = track_of()
    none, half, full = (enhanced(landmarker, before, track, strength) for strength in (0.0, 0.5, 1.0))
    for k, edit in enumerate(before):
        assert (none[k].after.y == edit.after.y).all()
        change, whole = (done[k].after.y.astype(int) - edit.after.y for done in (half, full))
        assert np.abs(2 * change - whole).max() <= 2


def test_frames_without_edits_are_not_changed(speaker, soft, track_of, landmarker):
    before = [EditedFrame(edit.after, edit.before, k % 2 == 0) for k, edit in enumerate(soft())]
    done = enhanced(landmarker, before, track_of())
    assert [edit.after.index for edit in done] == list(range(COUNT))
    for k, (one, other) in enumerate(zip(before, done, strict=True)):
        assert (one.after.y == other.after.y).all() == (k % 2 == 1)


def test_a_frame_without_a_tracked_face_is_not_changed(soft, track_of, landmarker):
    before = list(soft())
    for one, other in zip(before, enhanced(landmarker, before, track_of(lambda k: False)), strict=True):
        assert (one.after.y == other.after.y).all()


def test_a_result_without_a_visible_face_is_not_changed(speaker, track_of, landmarker):
    edits = []
    for frame in speaker[0]:
        after = writable_copy(frame)
        after.y[:], after.u[:], after.v[:] = 90, 128, 128
        edits.append(EditedFrame(after, frame, True))
    assert all((edit.after.y == 90).all() for edit in enhanced(landmarker, edits, track_of()))


def test_ten_bits_give_the_same_as_eight(soft, track_of, landmarker):
    def deep(frame):
        planes = {name: getattr(frame, name).astype(np.uint16) << 2 for name in "yuv"}
        return replace(frame, depth=10, **planes)

    before = list(soft())
    track = track_of()
    eight = enhanced(landmarker, before, track)
    ten = enhanced(landmarker, [EditedFrame(deep(e.after), deep(e.before), e.edited) for e in before], track)
    for one, other in zip(eight, ten, strict=True):
        assert np.abs(one.after.y - other.after.y / 4).mean() < 0.5
        assert (other.after.y % 4 > 0).any()


def test_state_is_reset_at_a_cut(soft, track_of, landmarker):
    half, before = COUNT // 2, list(soft())
    whole = enhanced(landmarker, before, track_of(cut=lambda k: k == half))
    alone = enhanced(landmarker, before[half:], track_of(cut=lambda k: k == half))
    for one, other in zip(whole[half:], alone, strict=True):
        assert (one.after.y == other.after.y).all()


def test_detail_transfer_is_deterministic(soft, track_of, landmarker):
    before, track = list(soft()), track_of()
    first, second = (enhanced(landmarker, before, track) for _ in range(2))
    assert all((a.after.y == b.after.y).all() for a, b in zip(first, second, strict=True))


def test_the_result_flickers_no_more_than_the_source(speaker, soft, track_of, landmarker):
    done = enhanced(landmarker, soft(), track_of())

    def unrest(frames):
        mouths = []
        for frame, face in zip(frames, speaker[1], strict=True):
            x, y = face.landmarks[13, :2]
            mouths.append(cv2.getRectSubPix(np.asarray(frame.y, np.float32), (70, 50), (float(x), float(y))))
        return np.square(np.diff(np.stack(mouths), 2, axis=0)).mean()

    assert unrest([edit.after for edit in done]) < 1.1 * unrest(speaker[0])


def test_only_a_few_frames_are_read_ahead(soft, track_of, landmarker):
    read = []

    def counted():
        for edit in soft():
            read.append(edit)
            yield edit

    stream = DetailTransfer(landmarker).enhance(counted(), SmoothedFaces(track_of()))
    next(stream)
    assert len(read) <= 3
    stream.close()


def test_sharpened_edges_are_narrower_without_overshoot():
    step = cv2.GaussianBlur(np.repeat(np.where(np.arange(60) < 30, 60, 180)[None], 40, 0).astype(np.float32), (0, 0), 3)
    result = shock_filter(step, 2.0)
    assert np.abs(np.diff(result, axis=1)).max() > 1.5 * np.abs(np.diff(step, axis=1)).max()
    assert result.min() > step.min() - 0.5
    assert result.max() < step.max() + 0.5


def test_faint_texture_stays_soft():
    mottled = cv2.GaussianBlur(np.random.default_rng(1).normal(120, 8, (60, 60)).astype(np.float32), (0, 0), 3)
    assert np.abs(shock_filter(mottled, 2.0) - mottled).max() < 0.5


def test_existing_detail_is_not_added_again():
    texture = np.random.default_rng(2).normal(120, 12, (80, 80)).astype(np.float32)
    assert np.abs(missing_detail(texture, texture, 2.0)).max() < 1.0
    smooth = cv2.GaussianBlur(texture, (0, 0), 2.0)
    assert np.abs(smooth + missing_detail(smooth, texture, 2.0) - texture).std() < 0.4 * np.abs(smooth - texture).std()


def layered(seed):
    """Structure of all sizes, fainter the finer it is, as in skin, and a little grain."""
    noise, frame = np.random.default_rng(seed), np.full((92, 92), 120.0)
    for size, height in ((8, 20), (4, 10), (2, 6), (1, 4)):
        layer = cv2.GaussianBlur(noise.normal(0, 1, frame.shape), (0, 0), size)
        frame += layer / layer.std() * height
    return (frame + noise.normal(0, 1.5, frame.shape)).astype(np.float32)


@pytest.mark.parametrize("pixel", [1.5, 2.3, 4.0])
def test_the_finest_structure_of_the_same_place_is_restored(pixel):
    frame = layered(3)
    small = cv2.resize(frame, (round(92 / pixel),) * 2, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, (92, 92), interpolation=cv2.INTER_LINEAR)
    after = soft + missing_detail(soft, frame, pixel)
    assert np.square(after - frame).sum() < 0.05 * np.square(soft - frame).sum()
    assert cv2.Laplacian(after, cv2.CV_32F).var() > 0.9 * cv2.Laplacian(frame, cv2.CV_32F).var()


def test_structure_of_another_place_is_added_to_the_existing_one():
    blurred, other = cv2.GaussianBlur(layered(5), (0, 0), 2.0), layered(6)
    after = blurred + missing_detail(blurred, other, 2.3)
    fine = [image - cv2.GaussianBlur(image, (0, 0), 4) for image in (after, blurred, other)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.5
    assert 0.7 < fine[0].std() / fine[2].std() < 1.3


def test_similarity_ignores_lighting_but_not_shape():
    flat = np.full((120, 120), 100, np.float32)
    spot = flat.copy()
    spot[50:70, 50:70] = 40
    assert similarity(flat, flat + 30, 2.0).min() > 0.99
    assert similarity(flat, spot, 2.0)[55:65, 55:65].max() < 0.1


def test_the_warp_is_smooth_beside_the_mouth(speaker):
    source = speaker[1][0].landmarks[:MESH, :2]
    generated = source.copy()
    generated[[n for n in (*LOWER_LIP, *CHIN) if n not in UPPER_LIP]] += [0, 12]
    where = source_map(generated, source, Box(0, 0, 320, 240))
    left, right = sorted(int(generated[corner, 0]) for corner in (61, 291))
    middle = int(generated[61, 1])
    for columns in (slice(left - 60, left - 6), slice(right + 6, right + 60)):
        steps = np.diff(where[middle - 40 : middle + 40, columns, 1], axis=0)
        assert np.abs(np.diff(steps, axis=0)).max() < 0.5


def test_lips_are_mapped_to_the_lips_of_the_source(speaker):
    source = speaker[1][0].landmarks[:MESH, :2]
    generated, lower = source.copy(), [17, 84, 314, 14, 87, 317, 18, 200]
    generated[lower] += [0, 9]
    box = Box(0, 0, 320, 240)
    where = source_map(generated, source, box)
    x, y = np.rint(generated[17]).astype(int)
    assert np.hypot(*(where[y, x] - source[17])) < 2
    x, y = np.rint(generated[0]).astype(int)
    assert np.hypot(*(where[y, x] - source[0])) < 2
