from contextlib import closing
from fractions import Fraction

import cv2
import numpy as np
import pytest

from lipsync.enhancers.base import EditedFrame, EnhancerOptions
from lipsync.enhancers.restore.enhancer import MAX_PENDING, Restoration, Restorer
from lipsync.enhancers.restore.onnx_ports import InputSignature
from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy

SIDE = 128


class Network:
    """A restorer that returns ``answer`` of a face (1, 3, side, side) and of the number of calls."""

    device, precision = "cpu", "fp32"

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def run(self, inputs):
        self.asked.append(inputs)
        return [np.clip(self.answer(inputs[0], len(self.asked)), -1, 1)]


def sharpen(face, _):
    soft = cv2.GaussianBlur(face[0].transpose(1, 2, 0), (0, 0), 2).transpose(2, 0, 1)[None]
    return face + 2 * (face - soft)


@pytest.fixture(scope="module")
def still(moved, to_frame, landmarker):
    """A frame with a face, and its landmarks."""
    source = to_frame(moved((160, 115), 1.6))
    return source, landmarker.find(source)[0]


@pytest.fixture
def track_of(still):
    opened = []

    def make(frames, cuts=(), gone=()):
        with TrackBuilder() as builder:
            for k in range(frames):
                builder.add(None if k in gone else still[1], k in cuts)
            opened.append(builder.finish(Fraction(25)))
        return opened[-1]

    yield make
    for track in opened:
        track.close()


def edits(source, count, given=None):
    """Yield the same edit ``count`` times; record the consumed frames in ``given``."""
    for k in range(count):
        if given is not None:
            given.append(k)
        after = writable_copy(source)
        part = after.y[130:170, 140:190]
        part[:] = cv2.GaussianBlur(part, (0, 0), 3)
        yield (
            EditedFrame(writable_copy(after), source, True) if k == 0 else EditedFrame(numbered(after, k), source, True)
        )


def numbered(source, k):
    from dataclasses import replace

    return replace(writable_copy(source), index=k)


def restored(network, frames, track, **options):
    signature = InputSignature(SIDE, (1,) if "fidelity" in options else None)
    enhancer = Restoration(Restorer(network, signature), EnhancerOptions(**options))
    with closing(enhancer.enhance(frames, SmoothedFaces(track))) as done:
        return [frame.after for frame in done]


def test_sharpness_grows_with_the_strength(still, track_of):
    def sharpness(strength):
        (frame,) = restored(Network(sharpen), edits(still[0], 1), track_of(1), strength=strength)
        return cv2.Laplacian(frame.y[140:160, 150:180], cv2.CV_64F).std()

    assert sharpness(0.0) < sharpness(0.5) < sharpness(1.0)


def test_a_brightness_shift_of_the_model_is_corrected(still, track_of):
    (given,) = edits(still[0], 1)
    (frame,) = restored(Network(lambda face, _: face + 0.1), edits(still[0], 1), track_of(1))
    assert np.abs(frame.y.astype(int) - given.after.y).max() <= 3


def test_flicker_is_smoothed_within_a_shot_only(still, track_of):
    stripes = np.where(np.arange(SIDE) // 6 % 2, 0.2, -0.2)

    def flickers(face, asked):
        return face + stripes * (1 if asked % 2 else -1)

    def swing(track):
        network = Network(flickers)
        first, second = restored(network, edits(still[0], 2), track)
        return np.abs(first.y.astype(int) - second.y)[140:160, 150:180].mean()

    assert swing(track_of(2)) < 0.6 * swing(track_of(2, cuts=(1,)))


def test_only_a_few_frames_are_consumed_ahead(still, track_of):
    given = []
    enhancer = Restoration(Restorer(Network(sharpen), InputSignature(SIDE)), EnhancerOptions())
    with closing(enhancer.enhance(edits(still[0], 20, given), SmoothedFaces(track_of(20)))) as done:
        for k, _ in enumerate(done):
            assert len(given) <= k + MAX_PENDING + 1


def test_the_model_is_not_run_without_a_face_or_an_edit(still, track_of):
    source, network = still[0], Network(sharpen)
    frames = [EditedFrame(source, source, False), *edits(source, 2)]
    restored(network, frames, track_of(2, gone=(1,)))
    assert len(network.asked) == 1


def test_the_fidelity_is_passed_to_the_model(still, track_of):
    network = Network(sharpen)
    restored(network, edits(still[0], 1), track_of(1), fidelity=0.25)
    assert network.asked[0][1].tolist() == [0.25]


@pytest.mark.parametrize("answer", [lambda face, _: face[..., 1:], lambda face, _: face * np.nan])
def test_an_invalid_output_is_refused(still, track_of, answer):
    with pytest.raises(InferenceFailed):
        restored(Network(answer), edits(still[0], 1), track_of(1))


def test_out_of_memory_is_passed_on(still, track_of):
    def full(face, _):
        raise OutOfMemory("full")

    with pytest.raises(OutOfMemory):
        restored(Network(full), edits(still[0], 3), track_of(3))
