from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from lipsync.faces import geometry
from lipsync.models.session import Array
from lipsync.models.session_cache import SessionCache
from lipsync.speech.audio import SPEECH_RATE
from lipsync.speech.encoder import FEATURES, SpeechEncoder
from lipsync.speech.motion import FADE, Basis, MotionModel, faded_out, load_basis, open_motion_model
from lipsync.types import Float32

CINEMA = Fraction(25)


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return open_motion_model(SessionCache())


@pytest.fixture(scope="module")
def basis() -> Basis:
    return load_basis()


def babble(seconds: float, seed: int = 1) -> Float32:
    """A buzz whose loudness changes four times per second, with a moving formant."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    formant = 500 + 300 * np.sin(2 * np.pi * 1.7 * t)
    gate = np.clip(np.sin(2 * np.pi * 4 * t) + 0.3, 0, 1)
    buzz = sum(np.sin(2 * np.pi * 110 * k * t) / (1 + ((110 * k - formant) / 150) ** 2) for k in range(1, 25))
    return np.asarray(0.05 * buzz * gate + 1e-4 * rng.standard_normal(len(t)), np.float32)


def blocks(audio: Float32, size: int = SPEECH_RATE) -> Iterator[Float32]:
    return (audio[start : start + size] for start in range(0, len(audio), size))


def predict(
    model: MotionModel, audio: Float32, frames: int, rate: Fraction = CINEMA, size: int = SPEECH_RATE
) -> Float32:
    return np.concatenate(list(model.predict(blocks(audio, size), rate, frames)))


def opening(basis: Basis, coefficients: Float32) -> Float32:
    return geometry.opening(geometry.canonical_face() + basis.displacement(coefficients))


def test_the_basis_displaces_the_whole_mesh(basis: Basis) -> None:
    count = len(basis.sd)
    assert basis.mean.shape == (468, 3)
    assert basis.components.shape == (count, 468, 3)
    assert basis.neutral.shape == (count,)


def test_the_neutral_coefficients_leave_the_lips_where_they_rest(basis: Basis) -> None:
    moved = basis.displacement(basis.neutral[None])[0]
    assert np.abs(moved[list(geometry.LIPS)]).max() < 1e-3


def test_motion_fades_away_from_the_mouth(basis: Basis) -> None:
    size = np.abs(basis.components).max((0, 2))
    assert size[list(geometry.STABLE)].max() < 0.35 * size[list(geometry.LIPS)].max()


def test_triangles_cover_the_mesh_and_leave_the_mouth_open(basis: Basis) -> None:
    triangles = basis.triangles
    assert triangles.dtype == np.int32
    assert triangles.shape[1] == 3
    assert set(np.unique(triangles)) == set(range(468))
    ring = geometry.LIPS_INNER
    assert not np.isin(triangles, ring).all(1).any()
    upper, lower = set(ring[1:10]), set(ring[11:])
    assert not any(upper & set(t) and lower & set(t) for t in triangles.tolist())
    edges = {frozenset(pair) for t in triangles.tolist() for pair in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
    assert all(frozenset((ring[i], ring[i - 1])) in edges for i in range(len(ring)))


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60), Fraction(10)])
def test_every_frame_gets_a_row_at_any_rate(model: MotionModel, rate: Fraction) -> None:
    frames = int(3 * rate) + 1
    assert predict(model, babble(3), frames, rate).shape == (frames, len(model.basis.sd))


def test_the_mouth_at_a_time_does_not_depend_on_the_rate(model: MotionModel) -> None:
    audio = babble(6)
    slow, fast = predict(model, audio, 150), predict(model, audio, 300, Fraction(50))
    np.testing.assert_allclose(fast[::2], slow, atol=1e-5)


@pytest.mark.parametrize("size", [431, 16_000, 320_000])
def test_the_block_size_does_not_matter(model: MotionModel, size: int) -> None:
    audio = babble(19)
    whole = predict(model, audio, 475, size=len(audio))
    np.testing.assert_array_equal(predict(model, audio, 475, size=size), whole)


def test_the_networks_windows_leave_no_trace(model: MotionModel) -> None:
    audio = np.tile(babble(1), 24)
    gaps = opening(model.basis, predict(model, audio, 600)[200:425])
    assert np.corrcoef(gaps[:-25], gaps[25:])[0, 1] > 0.9


def test_a_voice_20_db_quieter_gives_the_same_motion(model: MotionModel) -> None:
    audio = babble(5)
    loud, quiet = predict(model, audio, 125), predict(model, np.asarray(audio * 0.1, np.float32), 125)
    assert np.abs(opening(model.basis, loud) - opening(model.basis, quiet)).max() < 0.005


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-3])
def test_silence_and_faint_noise_close_the_mouth_and_keep_it_still(model: MotionModel, level: float) -> None:
    noise = np.random.default_rng(3).standard_normal(8 * SPEECH_RATE) * level
    gaps = opening(model.basis, predict(model, np.asarray(noise, np.float32), 200))
    assert gaps.mean() < 0.012
    assert gaps.std() < 0.003


def test_speech_opens_the_mouth_and_its_end_closes_it(model: MotionModel) -> None:
    gaps = opening(model.basis, predict(model, babble(4), 200))
    assert gaps[10:95].max() > 0.05
    assert gaps[125:].max() < 0.015


def test_very_short_and_empty_audio_still_give_every_frame(model: MotionModel) -> None:
    for samples in (160, 0):
        motion = predict(model, babble(1)[:samples], 40)
        assert motion.shape[0] == 40
        assert np.isfinite(motion).all()


class Identity:
    """A session whose rows are the first 13 features of its input."""

    device, precision = "cpu", "fp32"

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return [np.asarray(inputs[0])[:, :, :13]]


def test_windows_of_the_network_join_without_gaps(model: MotionModel, basis: Basis) -> None:
    rows = np.arange(1000, dtype=np.float32)[:, None] * np.ones((1, FEATURES), np.float32)
    plain = MotionModel(SpeechEncoder(Identity()), Identity(), basis)
    found = np.concatenate(list(islice(plain.follow(iter(np.array_split(rows, 7))), 6)))
    np.testing.assert_array_equal(found[:1000, 0], np.arange(1000))
    assert (found[1000:] == 999).all()


def test_without_any_sound_the_mouth_rests(model: MotionModel, basis: Basis) -> None:
    rows = next(model.follow(iter([])))
    np.testing.assert_array_equal(rows[:, :-1], np.tile(basis.neutral, (len(rows), 1)))


def test_the_end_of_the_sound_fades_into_silence() -> None:
    sound = np.concatenate(list(faded_out(iter([babble(2)]))))
    after = sound[2 * SPEECH_RATE :]
    np.testing.assert_allclose(after[0], babble(2)[-1])
    assert np.abs(after[: FADE // 4]).max() > 0
    assert (after[FADE:] == 0).all()


def test_audio_is_read_only_as_far_as_the_frames_need(model: MotionModel) -> None:
    pulled = 0

    def endless() -> Iterator[Float32]:
        nonlocal pulled
        while True:
            pulled += 1
            yield babble(1)

    motion = model.predict(endless(), Fraction(25), 10_000_000)
    for _ in range(3):
        next(motion)
    assert pulled < 90
