from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from lipsync.engines.wav2lip.inference import (
    HELD,
    KEPT,
    LARGEST,
    STREAMS,
    FrameJob,
    GeneratorInput,
    GeneratorRunner,
    batch_for,
)
from lipsync.errors import InferenceFailed, OutOfMemory
from lipsync.types import Colour, Frame


class Encoder:
    """Gives back what it is shown, and remembers it."""

    device, precision = "cpu", "fp32"

    def __init__(self) -> None:
        self.seen: Counter[float] = Counter()
        self._turn = threading.Lock()

    def run(self, inputs):
        with self._turn:
            self.seen.update(inputs[0][:, 0, 0, 0].tolist())
        return [inputs[0], inputs[0][:, :1, :2, :2]]


class Decoder:
    """Adds the sound to the face; fails as it is told to."""

    device, precision = "cpu", "fp32"

    def __init__(self, most: int = 1000, error: type[Exception] | None = None) -> None:
        self.sizes: list[int] = []
        self._most, self._error = most, error

    def run(self, inputs):
        mel, face, small = inputs
        assert small.shape[1:] == (1, 2, 2)
        self.sizes.append(len(mel))
        if self._error is not None:
            raise self._error("no")
        if len(mel) > self._most:
            raise OutOfMemory("too many at once")
        return [face[:, 3:] + mel.mean((1, 2, 3), keepdims=True)]


def picture(index: int = 0, size: int = 64) -> Frame:
    plane = np.zeros((size, size), np.uint8)
    return Frame(index, plane, plane[::2, ::2], plane[::2, ::2], 8, Colour())


def works(indices, absent=()):
    for place, index in enumerate(indices):
        face = np.full((6, 96, 96), index, np.float32)
        view = None if place in absent else GeneratorInput(face, index)
        yield FrameJob(picture(index), np.full((80, 16), 0.25, np.float32), view, f"place {place}")


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("repeats", [True, False])
def test_every_frame_in_order_those_without_a_face_as_well(batch, repeats):
    generator = GeneratorRunner(Encoder(), Decoder())
    done = list(generator.run(works(range(20), absent=(0, 7, 8, 19)), batch, repeats))
    assert [work.place for work, _ in done] == [f"place {k}" for k in range(20)]
    for place, (_, made) in enumerate(done):
        if place in (0, 7, 8, 19):
            assert made is None
        else:
            assert made.shape == (3, 96, 96)
            assert np.allclose(made, place + 0.25)


def test_nobody_at_all_computes_nothing():
    decoder = Decoder()
    done = list(GeneratorRunner(Encoder(), decoder).run(works(range(5), absent=range(5)), 2, True))
    assert len(done) == 5
    assert decoder.sizes == []


def test_features_are_computed_once_for_frames_that_are_shown_again():
    encoder = Encoder()
    ping_pong_index = [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2]
    list(GeneratorRunner(encoder, Decoder()).run(works(ping_pong_index), 4, repeats=True))
    assert encoder.seen == Counter({0.0: 1, 1.0: 1, 2.0: 1, 3.0: 1, 4.0: 1})
    photo = Encoder()
    list(GeneratorRunner(photo, Decoder()).run(works([0] * 50), 8, repeats=True))
    assert photo.seen == Counter({0.0: 1})


def test_what_is_kept_is_bounded():
    encoder = Encoder()
    generator = GeneratorRunner(encoder, Decoder())
    frames = [*range(1500), *range(1500)]  # of about 221 kB each
    list(generator.run(works(frames), 16, repeats=True))
    often = [encoder.seen[float(k)] for k in range(1500)]
    assert often == sorted(often)  # the first are kept
    assert often.count(1) == KEPT // (6 * 96 * 96 * 4 + 2 * 2 * 4)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_batch_shrinks_when_memory_runs_out_and_stays_small(most):
    decoder = Decoder(most=most)
    generator = GeneratorRunner(Encoder(), decoder)
    done = list(generator.run(works(range(40)), 16, False))
    assert [float(made[0, 0, 0]) for _, made in done] == [k + 0.25 for k in range(40)]
    run_info = generator.run_info
    assert run_info.batch == max(k for k in (1, 2, 4) if k <= most)
    assert f"went on with {run_info.batch}" in run_info.notes[0]
    assert max(decoder.sizes[-8:]) <= most


def test_a_single_frame_that_is_too_much_is_told():
    with pytest.raises(OutOfMemory):
        list(GeneratorRunner(Encoder(), Decoder(most=0)).run(works(range(4)), 4, False))


def test_a_network_that_gives_no_numbers_is_told():
    class Broken(Decoder):
        def run(self, inputs):
            return [super().run(inputs)[0] * np.nan]

    with pytest.raises(InferenceFailed, match="no numbers"):
        list(GeneratorRunner(Encoder(), Broken()).run(works(range(4)), 4, False))


@pytest.mark.parametrize("error", [InferenceFailed, RuntimeError, ValueError])
def test_any_other_failure_is_no_reason_to_try_smaller(error):
    decoder = Decoder(error=error)
    with pytest.raises(error):
        list(GeneratorRunner(Encoder(), decoder).run(works(range(8)), 8, False))
    assert decoder.sizes == [8]


def test_it_can_be_left_at_any_time():
    before = threading.active_count()
    done = GeneratorRunner(Encoder(), Decoder()).run(works(range(100)), 4, False)
    next(done)
    done.close()
    assert threading.active_count() == before


def test_large_pictures_wait_in_smaller_batches():
    assert batch_for(picture(size=720), 16) == 16
    large = picture(size=4000)
    fits = batch_for(large, 16)
    assert 1 <= fits < 16
    assert fits * (STREAMS + 1) * 4000 * 4000 * 3 // 2 <= HELD
    assert batch_for(picture(size=20_000), 16) == 1
    assert batch_for(picture(), 128) == LARGEST
