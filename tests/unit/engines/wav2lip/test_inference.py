from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from lipsync.engines.wav2lip.inference import (
    BUFFER_BYTES,
    FEATURE_CACHE_BYTES,
    MAX_BATCH,
    STREAMS,
    FrameJob,
    GeneratorInput,
    GeneratorRunner,
    limited_batch,
)
from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.types import Colour, Frame


class Encoder:
    """Returns its input, and counts how often it sees each face."""

    device, precision = "cpu", "fp32"

    def __init__(self) -> None:
        self.counts: Counter[float] = Counter()
        self._turn = threading.Lock()

    def run(self, inputs):
        with self._turn:
            self.counts.update(inputs[0][:, 0, 0, 0].tolist())
        return [inputs[0], inputs[0][:, :1, :2, :2]]


class Decoder:
    """Adds the mean of the mel window to the reference; fails above ``max_batch``, or with ``error``."""

    device, precision = "cpu", "fp32"

    def __init__(self, max_batch: int = 1000, error: type[Exception] | None = None) -> None:
        self.sizes: list[int] = []
        self._max_batch, self._error = max_batch, error

    def run(self, inputs):
        mel, face, small = inputs
        assert small.shape[1:] == (1, 2, 2)
        self.sizes.append(len(mel))
        if self._error is not None:
            raise self._error("no")
        if len(mel) > self._max_batch:
            raise OutOfMemory("too many at once")
        return [face[:, 3:] + mel.mean((1, 2, 3), keepdims=True)]


def frame(index: int = 0, size: int = 64) -> Frame:
    plane = np.zeros((size, size), np.uint8)
    return Frame(index, plane, plane[::2, ::2], plane[::2, ::2], 8, Colour())


def jobs(indices, absent=()):
    for position, index in enumerate(indices):
        face = np.full((6, 96, 96), index, np.float32)
        face_input = None if position in absent else GeneratorInput(face, index)
        yield FrameJob(frame(index), np.full((80, 16), 0.25, np.float32), face_input, f"placement {position}")


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("repeats", [True, False])
def test_every_frame_is_returned_in_order_including_those_without_a_face(batch, repeats):
    generator = GeneratorRunner(Encoder(), Decoder())
    done = list(generator.run(jobs(range(20), absent=(0, 7, 8, 19)), batch, repeats))
    assert [job.placement for job, _ in done] == [f"placement {k}" for k in range(20)]
    for position, (_, generated) in enumerate(done):
        if position in (0, 7, 8, 19):
            assert generated is None
        else:
            assert generated.shape == (3, 96, 96)
            assert np.allclose(generated, position + 0.25)


def test_without_any_face_nothing_is_computed():
    decoder = Decoder()
    done = list(GeneratorRunner(Encoder(), decoder).run(jobs(range(5), absent=range(5)), 2, True))
    assert len(done) == 5
    assert decoder.sizes == []


def test_features_are_computed_once_for_frames_that_repeat():
    encoder = Encoder()
    ping_pong_index = [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2]
    list(GeneratorRunner(encoder, Decoder()).run(jobs(ping_pong_index), 4, repeats=True))
    assert encoder.counts == Counter({0.0: 1, 1.0: 1, 2.0: 1, 3.0: 1, 4.0: 1})
    photo = Encoder()
    list(GeneratorRunner(photo, Decoder()).run(jobs([0] * 50), 8, repeats=True))
    assert photo.counts == Counter({0.0: 1})


def test_the_feature_cache_is_bounded():
    encoder = Encoder()
    generator = GeneratorRunner(encoder, Decoder())
    frames = [*range(1500), *range(1500)]  # of about 221 kB each
    list(generator.run(jobs(frames), 16, repeats=True))
    often = [encoder.counts[float(k)] for k in range(1500)]
    assert often == sorted(often)  # the first ones are cached
    assert often.count(1) == FEATURE_CACHE_BYTES // (6 * 96 * 96 * 4 + 2 * 2 * 4)


@pytest.mark.parametrize("max_batch", [1, 2, 5])
def test_a_batch_shrinks_when_memory_runs_out_and_stays_small(max_batch):
    decoder = Decoder(max_batch=max_batch)
    generator = GeneratorRunner(Encoder(), decoder)
    done = list(generator.run(jobs(range(40)), 16, False))
    assert [float(generated[0, 0, 0]) for _, generated in done] == [k + 0.25 for k in range(40)]
    run_info = generator.run_info
    assert run_info.batch == max(k for k in (1, 2, 4) if k <= max_batch)
    assert run_info.notes == (f"out of memory at batch size 16; continued with {run_info.batch}",)
    assert max(decoder.sizes[-8:]) <= max_batch


def test_a_single_frame_that_does_not_fit_raises_out_of_memory():
    with pytest.raises(OutOfMemory):
        list(GeneratorRunner(Encoder(), Decoder(max_batch=0)).run(jobs(range(4)), 4, False))


def test_nan_from_the_network_is_an_error():
    class Broken(Decoder):
        def run(self, inputs):
            return [super().run(inputs)[0] * np.nan]

    with pytest.raises(InferenceFailed, match="NaN or infinite"):
        list(GeneratorRunner(Encoder(), Broken()).run(jobs(range(4)), 4, False))


@pytest.mark.parametrize("error", [InferenceFailed, RuntimeError, ValueError])
def test_other_errors_are_not_retried_with_a_smaller_batch(error):
    decoder = Decoder(error=error)
    with pytest.raises(error):
        list(GeneratorRunner(Encoder(), decoder).run(jobs(range(8)), 8, False))
    assert decoder.sizes == [8]


def test_closing_it_early_ends_its_threads():
    before = threading.active_count()
    done = GeneratorRunner(Encoder(), Decoder()).run(jobs(range(100)), 4, False)
    next(done)
    done.close()
    assert threading.active_count() == before


def test_large_frames_get_smaller_batches():
    assert limited_batch(16, frame(size=720)) == 16
    large = frame(size=4000)
    fits = limited_batch(16, large)
    assert 1 <= fits < 16
    assert fits * (STREAMS + 1) * 4000 * 4000 * 3 // 2 <= BUFFER_BYTES
    assert limited_batch(16, frame(size=20_000)) == 1
    assert limited_batch(128, frame()) == MAX_BATCH
