"""The whole training pipeline on synthetic clips: shapes, sound, phonemes, training, evaluation."""

from __future__ import annotations

import ctypes.util
import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from lipsync.faces import geometry
from lipsync.models.session_cache import SessionCache
from lipsync.speech.encoder import SpeechEncoder, open_encoder
from lipsync.speech.motion import load_basis
from lipsync.types import Float32

pytest.importorskip("torch", reason="training needs PyTorch, the product does not")
pytest.importorskip("scipy", reason="training needs SciPy, the product does not")
pytest.importorskip("onnx", reason="training needs ONNX, the product does not")
sys.path.insert(0, str(Path(__file__).parents[3] / "training"))

import augment
import dataset
import evaluate
import examples
import phonemes
import prepare
import shapes
import torch
import train
from losses import AskedLoss, MotionLoss
from network import HOLD, HOLD_REACH, Lips, MotionHead, MotionHeads, Projection, held

RATE = 16_000
ROWS = 75
needs_espeak = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="the library of eSpeak NG is not installed"
)


def synthetic_clip(name: str, seed: int, speaker: str = "one") -> dataset.PreparedClip:
    """Three seconds of a slightly turning face, tracked with noise, whose mouth opens with the loudness of a buzz."""
    rng = np.random.default_rng(seed)
    basis = load_basis()
    beat = np.clip(np.sin(2 * np.pi * (1.5 * np.arange(ROWS) / 25 + rng.uniform())), 0, 1)
    rows = basis.neutral * (1 - beat[:, None]) + beat[:, None] * rng.normal(0, 1, (ROWS, len(basis.sd)))
    rows[:, 0] = basis.neutral[0] + 2.5 * beat
    mesh = np.zeros((ROWS, 478, 3), np.float32)
    mesh[:, :468] = geometry.canonical_face() + basis.displacement(rows.astype(np.float32))
    angle = 0.1 * np.sin(np.arange(ROWS) / 20)
    turn = np.zeros((ROWS, 3, 3), np.float32)
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1], turn[:, 1, 0] = -np.sin(angle), np.sin(angle)
    turn[:, 2, 2] = 1
    pose = geometry.Pose(np.full(ROWS, 90, np.float32), turn, np.full((ROWS, 3), 150, np.float32))
    landmarks = pose.to_frame(mesh) + rng.normal(0, 0.05, mesh.shape).astype(np.float32)
    return dataset.PreparedClip(speaker, name, landmarks, buzz(beat, rng))


def buzz(beat: Float32, rng: np.random.Generator) -> Float32:
    """A buzz with the given loudness at 25 values per second."""
    time = np.arange(len(beat) * RATE // 25) / RATE
    gate = np.interp(time, np.arange(len(beat)) / 25, beat)
    sound = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 40))
    return np.asarray(0.1 * sound * gate + 1e-4 * rng.standard_normal(len(time)), np.float32)


def named(held: bool, count: int) -> list[str]:
    names = (f"clip{number}" for number in range(2000))
    return [name for name in names if prepare.held_out(name) is held][:count]


@pytest.fixture(scope="module")
def clips() -> list[dataset.PreparedClip]:
    return [synthetic_clip(name, seed) for seed, name in enumerate(named(False, 8) + named(True, 2))]


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return open_encoder(SessionCache())


def streams(rows: int, targets: Float32, seed: int = 0) -> examples.Streams:
    noise = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float16)
    return examples.Streams(noise, targets, np.array([rows]))


def random_head(lips: Lips) -> MotionHead:
    return MotionHead(8, lips, width=16)


def joined(*heads: MotionHead) -> MotionHeads:
    axes = np.random.default_rng(0).normal(0, 0.02, (1024, 8)).astype(np.float32)
    return MotionHeads(Projection(axes, np.zeros(8, np.float32)), heads)


def test_about_one_clip_in_twenty_is_held_out_by_its_name() -> None:
    names = [f"{number:06d}" for number in range(4000)]
    share = np.mean([prepare.held_out(name) for name in names])
    assert 0.035 < share < 0.065
    assert [prepare.held_out(name) for name in names] == [prepare.held_out(name) for name in names]


def test_each_folder_of_clips_is_a_speaker(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "b/deep/2.MOV", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [(speaker, path.name) for speaker, path in prepare.find_clips(tmp_path)] == [
        ("a", "1.mp4"),
        ("deep", "2.MOV"),
    ]


def test_speakers_with_few_clips_count_more_often() -> None:
    names = named(False, 10)
    many = [synthetic_clip(name, 1, "many") for name in names[:9]]
    chosen = [clip.speaker for clip in dataset.training_clips([*many, synthetic_clip(names[9], 2, "few")])]
    assert (chosen.count("many"), chosen.count("few")) == (9, 3)


def test_the_basis_spans_the_motion_that_it_was_fitted_to(clips: list[dataset.PreparedClip]) -> None:
    frontal = dataset.frontal_face(clips)
    basis, _ = dataset.fit(clips, frontal)
    motion, closed = shapes.face_motion(clips[0].landmarks, frontal)
    again = basis.displacement(shapes.coefficients(motion, basis))
    lips = list(geometry.LIPS)
    assert np.abs((again - motion)[:, lips]).mean() < 0.1 * np.abs(motion[:, lips]).mean()
    assert geometry.opening(closed[None])[0] < 0.02
    np.testing.assert_array_equal(frontal.mirror[frontal.mirror], np.arange(468))
    assert frontal.mirror[geometry.RIGHT_CORNER] == geometry.LEFT_CORNER


def test_augmentation_keeps_the_timing() -> None:
    beat = np.clip(np.sin(np.arange(150) / 5), 0, 1)
    sound = buzz(beat, np.random.default_rng(0))
    changes = (augment.room, augment.equalise, augment.vary_loudness, lambda one, _: augment.telephone(one))
    for seed, change in enumerate(changes):
        envelopes = [
            np.abs(one).reshape(-1, 320).mean(1) for one in (sound, change(sound, np.random.default_rng(seed)))
        ]
        lags = [np.corrcoef(np.roll(envelopes[0], lag), envelopes[1])[0, 1] for lag in range(-10, 11)]
        assert abs(int(np.argmax(lags)) - 10) <= 2


def test_augmentation_keeps_the_length_and_stays_finite() -> None:
    sound = buzz(np.clip(np.sin(np.arange(100) / 5), 0, 1), np.random.default_rng(0))
    others = [augment.augmented(sound, sound[::-1].copy(), np.random.default_rng(seed)) for seed in range(9)]
    assert np.isfinite(np.stack([*others, sound])).all()
    assert all(np.abs(other - sound).max() > 1e-3 for other in others)


def test_singing_stretches_the_words_and_changes_the_pitch() -> None:
    pytest.importorskip("pyworld", reason="the vocoder is optional", exc_type=ImportError)
    beat = np.clip(np.sin(np.arange(75) / 5), 0, 1)
    song = augment.sung(buzz(beat, np.random.default_rng(2)), 2.0, np.random.default_rng(0))
    assert len(song) == pytest.approx(2 * 3 * RATE, rel=0.02)
    loudness = np.abs(song[: 150 * 640]).reshape(-1, 640).mean(1)
    assert np.corrcoef(loudness, np.repeat(beat, 2)[: len(loudness)])[0, 1] > 0.8


def test_noise_and_music_have_the_level_that_is_asked_for() -> None:
    for make in (augment.noise, augment.music, augment.tones):
        assert make(RATE, np.random.default_rng(1)).std() == pytest.approx(1, rel=1e-3)
    assert augment.decibels(-20) == pytest.approx(0.1)


def test_finer_motion_passes_through_the_given_rows() -> None:
    motion = np.sin(np.arange(40) / 4)[:, None].astype(np.float32)
    fine = examples.twice_as_fine(motion)
    np.testing.assert_array_equal(fine[::2], motion)
    np.testing.assert_allclose(fine[1:-3:2, 0], np.sin((np.arange(38) + 0.5) / 4), atol=0.03)


def test_streams_keep_sound_and_motion_in_sync_at_any_speed(encoder: SpeechEncoder) -> None:
    rng = np.random.default_rng(0)
    beats = [np.clip(np.sin(np.arange(ROWS) / rng.uniform(3, 6)), 0, 1) for _ in range(4)]
    pairs = [(buzz(beat, rng), beat[:, None].astype(np.float32)) for beat in beats]
    made = examples.speech(pairs, np.zeros(1, np.float32), encoder, 3, clean=False)
    assert len(made.rows) == len(made.targets) == made.lengths.sum()
    change = np.abs(np.diff(made.rows.astype(np.float32), axis=0)).mean(1)
    assert change[made.targets[1:, 0] > 0.3].mean() > 0
    position = np.clip(np.arange(100) * 1.12, 0, 149)
    _, faster = examples._at_speed(np.zeros(150 * 320, np.float32), np.arange(150.0)[:, None].astype(np.float32), 1.12)
    np.testing.assert_allclose(faster[:100, 0], position, atol=1e-3)


def test_sound_without_a_voice_asks_for_rest(encoder: SpeechEncoder) -> None:
    made = examples.still(encoder, 0, 0.4)
    assert (made.targets == [0, 0, 0, 0, 1]).all()
    assert np.isfinite(made.rows).all()


@needs_espeak
def test_phonemes_ask_for_closed_lips_where_the_voice_says_p_b_and_m() -> None:
    with phonemes.Synthesiser() as synthesiser:
        sound, spoken = synthesiser.speak("en-us+m7", "mama papa baby father", 150, 50, 50)
    asked = phonemes.labels(spoken, sound, len(sound) // 320)
    closures = np.flatnonzero(np.diff(asked[:, 0]) > 0)
    assert len(closures) + asked[0, 0] == 6
    assert asked[:, 2].sum() > 2
    assert not (asked[:, 0] * asked[:, 1:4].sum(1)).any()


def buzzing(seconds: float, *gaps: tuple[float, float]) -> Float32:
    sound = buzz(np.ones(round(25 * seconds)), np.random.default_rng(0))
    for start, stop in gaps:
        sound[round(start * RATE) : round(stop * RATE)] = 0
    return sound


def test_pauses_ask_for_rest_and_gaps_of_stops_do_not() -> None:
    sound = buzzing(4, (1, 1.1), (2, 2.5), (3, 3.14))
    spoken = [phonemes.Phoneme("a", 0, 1.1), phonemes.Phoneme("t", 1.1, 1.2), phonemes.Phoneme("a", 1.2, 4)]
    asked = phonemes.labels(spoken, sound, 200)
    resting = np.flatnonzero(asked[:, 4])
    assert (resting.min(), resting.max()) == (104, 120)
    np.testing.assert_array_equal(asked[108:117, 4], 1)
    assert not asked[100:125, :4].any()
    assert asked[:100, 1].all()
    assert asked[125:, 1].all()


def test_a_voice_of_any_level_and_a_sound_that_ends_early_have_pauses() -> None:
    spoken = [phonemes.Phoneme("a", 0, 2)]
    quiet = [phonemes.labels(spoken, level * buzzing(2, (1, 1.4)), 150) for level in (1, 0.01)]
    np.testing.assert_array_equal(quiet[0], quiet[1])
    assert quiet[0][54:66, 4].all()
    assert quiet[0][104:140, 4].all()


def test_lips_are_closed_in_the_gap_before_the_burst_of_p() -> None:
    spoken = [phonemes.Phoneme("a", 0, 1.06), phonemes.Phoneme("p", 1.06, 1.1), phonemes.Phoneme("a", 1.1, 2)]
    closed = [phonemes.labels(spoken, sound, 100)[:, 0] for sound in (buzzing(2, (1, 1.06)), buzzing(2))]
    assert np.flatnonzero(closed[0]).tolist() == [50, 51, 52, 53]
    assert np.flatnonzero(closed[1]).tolist() == [53, 54]


@needs_espeak
def test_random_sentences_are_joined_with_the_times_of_their_phonemes() -> None:
    rng = np.random.default_rng(0)
    with phonemes.Synthesiser() as synthesiser:
        sound, spoken = synthesiser.speak_all([("en-us+m7", "hello"), ("xx", "none"), ("de+f1", "Mama")], rng)
    names = "".join(one.name for one in spoken)
    assert "m" in names
    assert "h" in names
    assert spoken[-1].stop <= len(sound) / RATE
    assert all(one.start <= other.start for one, other in pairwise(spoken))


def test_lips_close_along_a_way_that_keeps_the_width() -> None:
    lips = Lips.of(load_basis())
    assert lips.opening @ lips.closing == pytest.approx(1, abs=1e-4)
    assert lips.width @ lips.closing == pytest.approx(0, abs=1e-4)


def test_a_certain_closure_brings_the_lips_together() -> None:
    lips = Lips.of(load_basis())
    head = random_head(lips)
    with torch.no_grad():
        head.out.bias[:-1] = torch.from_numpy(lips.neutral + 0.2 * lips.closing)
        head.out.bias[-1] = 20
        motion = joined(head)(torch.zeros(1, 50, 1024)).numpy()[0]
    assert np.abs((motion[:, :-1] - lips.neutral) @ lips.opening).max() < 1e-3
    assert motion[:, -1].min() > 0.99


def test_a_closure_lasts_the_longer_the_surer_it_is() -> None:
    logit = torch.full((1, 41), -9.0)
    logit[0, 20] = 3
    distance = torch.arange(-HOLD_REACH, HOLD_REACH + 1)
    expected = 3 - HOLD * distance**2
    around = held(logit)[0, 20 - HOLD_REACH : 21 + HOLD_REACH]
    torch.testing.assert_close(around, expected.clamp(min=-9))
    unsure = held(logit.clamp(max=-1))[0]
    assert (unsure > 0).sum() < (held(logit)[0] > 0).sum()
    assert held(logit)[0, 20 + HOLD_REACH + 1] == -9


def test_several_heads_are_averaged() -> None:
    lips = Lips.of(load_basis())
    heads = [random_head(lips).eval() for _ in range(3)]
    with torch.no_grad():
        for head, logit in zip(heads, (-40.0, -30.0, -20.0), strict=True):
            head.out.bias[-1] = logit
        rows = torch.randn(1, 60, 1024)
        each = torch.stack([joined(head)(rows) for head in heads])
        together = joined(*heads)(rows)
    torch.testing.assert_close(together[..., :-1], each[..., :-1].mean(0))
    assert together[..., -1].max() < 1e-3


def test_rounded_vowels_ask_for_a_narrow_mouth_and_protruding_lips() -> None:
    lips = Lips.of(load_basis())
    motion = np.random.default_rng(0).normal(0, 1, (600, 12)).astype(np.float32)
    want, asked, logit = AskedLoss(lips, motion), torch.zeros(1, 50, 5), torch.zeros(1, 50)
    asked[..., 3] = 1
    usual = torch.zeros(1, 50, 12)
    for way in (-lips.width, lips.protrusion):
        assert want(usual + 0.5 * torch.from_numpy(way / np.linalg.norm(way)), logit, asked) < want(usual, logit, asked)


@needs_espeak
def test_held_vowels_last_and_move_the_phonemes_after_them() -> None:
    rng = np.random.default_rng(0)
    with phonemes.Synthesiser() as synthesiser:
        sound, spoken = synthesiser.speak("en-us+m7", "father saw a moon and a cat", 150, 50, 50)
    moments, later = phonemes.held_vowels(spoken, sound, rng)
    longer = [new.stop - new.start > old.stop - old.start + 0.3 for old, new in zip(spoken, later, strict=True)]
    assert 0 < sum(longer) < len(spoken) / 2
    assert {one.name[:1] for one, held_on in zip(spoken, longer, strict=True) if held_on} <= phonemes.VOWELS
    assert (np.diff(moments) >= 0).all()
    assert len(moments) * augment.VOCODER_STEP == pytest.approx(later[-1].stop, abs=0.1)


def test_silence_is_not_held_as_a_vowel() -> None:
    spoken = [phonemes.Phoneme("a", 0.1 * k, 0.1 * k + 0.1) for k in range(40)]
    sound = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    sound[2 * RATE :] = 0
    _, later = phonemes.held_vowels(spoken, sound, np.random.default_rng(1))
    lengths = np.array([one.stop - one.start for one in later])
    assert lengths[:20].max() > 0.4
    np.testing.assert_allclose(lengths[20:], 0.1, atol=1e-6)


def test_a_voice_can_speak_at_other_moments_and_on_another_pitch() -> None:
    pytest.importorskip("pyworld", reason="the vocoder is optional", exc_type=ImportError)
    sound = buzz(np.ones(50), np.random.default_rng(0))
    moments = np.minimum(np.arange(0, 4, augment.VOCODER_STEP), 1.9)
    changed = augment.revoiced(sound, moments, np.full(len(moments), 200.0))
    assert len(changed) == pytest.approx(4 * RATE, rel=0.02)
    spectrum = np.abs(np.fft.rfft(changed[RATE : 2 * RATE]))
    assert abs(int(np.argmax(spectrum[50:260])) + 50 - 200) <= 2


def test_the_losses_are_least_for_what_they_ask() -> None:
    lips = Lips.of(load_basis())
    rng = np.random.default_rng(0)
    motion = (lips.neutral + np.abs(rng.normal(0, 0.1, (4, 150, 1))) * lips.closing).astype(np.float32)
    loss = MotionLoss(lips, load_basis().sd, motion.reshape(-1, 12))
    target, logit = torch.from_numpy(motion), torch.zeros(4, 150)
    assert loss(target, logit, target) < loss(0.7 * target, logit, target)
    asked = torch.zeros(4, 150, 5)
    asked[:, :, 0] = 1
    shut = torch.from_numpy(np.tile(lips.neutral, (4, 150, 1)))
    want = AskedLoss(lips, motion.reshape(-1, 12))
    assert want(shut, torch.full((4, 150), 9.0), asked) < want(target, torch.full((4, 150), -9.0), asked)


def test_rest_asks_for_a_closed_mouth_that_does_not_move() -> None:
    lips = Lips.of(load_basis())
    motion = np.random.default_rng(0).normal(0, 1, (600, 12)).astype(np.float32)
    want, asked, logit = AskedLoss(lips, motion), torch.zeros(1, 50, 5), torch.zeros(1, 50)
    rest = torch.from_numpy(np.tile(lips.neutral, (1, 50, 1)))
    opened = rest + 0.1 * torch.from_numpy(lips.closing)
    moving = rest + (0.05 + 0.1 * (torch.arange(50) % 2)[:, None]) * torch.from_numpy(lips.closing)
    assert want(opened, logit, asked) == want(rest, logit, asked)
    asked[..., 4] = 1
    assert want(rest, logit, asked) < want(opened, logit, asked) < want(moving, logit, asked)


def test_lips_that_cross_are_no_closure() -> None:
    lips = Lips.of(load_basis())
    motion = np.random.default_rng(0).normal(0, 1, (600, 12)).astype(np.float32)
    want, logit = AskedLoss(lips, motion), torch.zeros(1, 50)
    shut, way = torch.from_numpy(np.tile(lips.neutral, (1, 50, 1))), torch.from_numpy(lips.closing)
    for closed in (0, 1):
        asked = torch.zeros(1, 50, 5)
        asked[..., 0] = closed
        assert want(shut, logit, asked) < want(shut - 0.1 * way, logit, asked)


def test_a_few_steps_give_a_network_that_runs_and_is_evaluated(
    clips: list[dataset.PreparedClip], tmp_path: Path
) -> None:
    basis = load_basis()
    lips = Lips.of(basis)
    motion = np.random.default_rng(0).normal(0, 1, (600, 12)).astype(np.float32)
    asked = np.zeros((600, 5), np.float32)
    data = train.Examples([streams(600, motion)] * 2, streams(600, asked), streams(600, asked + examples.AT_REST))
    head = train.train(data, random_head(lips), lips, basis.sd, steps=3, seed=0)
    train.export(joined(head, random_head(lips)), basis, tmp_path)
    results = evaluate.compare(evaluate.open_model(tmp_path), clips[:2])
    assert [len(found) for found in results.values()] == [2]
    assert all(np.isfinite(one.lmd) for one, _ in results["one"])


def test_the_exported_network_is_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(3)
    basis = load_basis()
    model = joined(*(random_head(Lips.of(basis)) for _ in range(2))).eval()
    train.export(model, basis, tmp_path)
    rows = torch.randn(1, 300, 1024)
    found = np.concatenate(list(islice(evaluate.open_model(tmp_path).follow(iter(rows.numpy())), 2)))
    with torch.no_grad():
        expected = model(rows)[0].numpy()
    np.testing.assert_allclose(found[:280], expected[:280], atol=5e-3)


def test_examples_are_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> examples.Streams:
        made.append(1)
        return streams(200, np.zeros((200, 12), np.float32))

    first, second = (train.cached(tmp_path / "x" / "one.npz", make) for _ in range(2))
    assert len(made) == 1
    np.testing.assert_array_equal(first.rows, second.rows)


def test_a_prediction_scores_perfectly_against_itself_and_its_delay_is_measured(
    clips: list[dataset.PreparedClip],
) -> None:
    true = geometry.fit_pose(clips[0].landmarks, geometry.canonical_face()).to_face(clips[0].landmarks[:, :468])
    same = evaluate.score(true, true)
    assert same.opening == pytest.approx(1)
    assert same.width == pytest.approx(1)
    assert same.opening_spread == pytest.approx(1)
    assert same.lmd == 0
    assert same.jitter == pytest.approx(1)
    assert abs(same.lag) < 0.1
    assert evaluate.score(np.roll(true, 2, 0), true).lag == pytest.approx(2, abs=0.3)


def test_missed_and_false_closures_are_counted() -> None:
    face = np.tile(geometry.canonical_face(), (40, 1, 1))
    gap = np.full(40, 0.2, np.float32)
    gap[[10, 11, 25]] = 0
    true, missing = face.copy(), face.copy()
    for mesh, opened in ((true, gap), (missing, np.where(np.arange(40) == 25, 0.2, gap))):
        mesh[:, geometry.INNER_BOTTOM] = mesh[:, geometry.INNER_TOP] + np.stack([opened * 0, opened, opened * 0], 1)
    assert evaluate.closures(true, true) == evaluate.Closures(2, 2, 37, 0)
    assert evaluate.closures(missing, true).closed == 1
    assert evaluate.closures(face * 0, true).false == 37
