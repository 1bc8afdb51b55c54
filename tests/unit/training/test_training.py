"""The whole training pipeline on synthetic clips: shapes, voices, training, evaluation."""

from __future__ import annotations

import random
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.faces import geometry
from lipsync.speech.motion import SHARPENING, load_basis
from lipsync.types import Float32

pytest.importorskip("torch", reason="training needs PyTorch, the product does not")
pytest.importorskip("scipy", reason="training needs SciPy, the product does not")
pytest.importorskip("onnx", reason="training needs ONNX, the product does not")
sys.path.insert(0, str(Path(__file__).parents[3] / "training"))

import augment
import dataset
import evaluate
import prepare
import shapes
import torch
import train
import voices
from network import MotionNet

RATE = 16_000
ROWS = 75


def synthetic_clip(name: str, seed: int) -> dataset.PreparedClip:
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
    audio = synthetic_audio(beat, rng)
    power = voices.log_power(audio)
    kinds = np.array([0, 1, 2])
    stack = np.stack([power, power + 0.5, power - 0.5]).astype(np.float16)
    return dataset.PreparedClip(name, landmarks, audio, stack, kinds)


def synthetic_audio(beat: Float32, rng: np.random.Generator) -> Float32:
    time = np.arange(ROWS * RATE // 25) / RATE
    gate = np.interp(time, np.arange(ROWS) / 25, beat)
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 40))
    return np.asarray(0.1 * buzz * gate + 1e-4 * rng.standard_normal(len(time)), np.float32)


def named(held: bool, count: int) -> list[str]:
    names = (f"clip{number}" for number in range(2000))
    return [name for name in names if prepare.held_out(name) is held][:count]


@pytest.fixture(scope="module")
def clips() -> list[dataset.PreparedClip]:
    return [synthetic_clip(name, seed) for seed, name in enumerate(named(False, 8) + named(True, 2))]


def test_about_one_clip_in_twenty_is_held_out_by_its_name() -> None:
    names = [f"{number:06d}" for number in range(4000)]
    share = np.mean([prepare.held_out(name) for name in names])
    assert 0.035 < share < 0.065
    assert [prepare.held_out(name) for name in names] == [prepare.held_out(name) for name in names]


def test_a_grid_name_encodes_its_sentence_and_other_names_none() -> None:
    assert prepare.grid_sentence("bbaf2n") == "bin blue at F two now"
    assert prepare.grid_sentence("swiw9s") is None  # the corpus has no letter W
    assert prepare.grid_sentence("interview") is None


def test_the_basis_spans_the_motion_that_it_was_fitted_to(clips: list[dataset.PreparedClip]) -> None:
    basis, frontal = dataset.fit(clips)
    motion, closed = shapes.face_motion(clips[0].landmarks, frontal)
    again = basis.displacement(shapes.coefficients(motion, basis))
    lips = list(geometry.LIPS)
    assert np.abs((again - motion)[:, lips]).mean() < 0.1 * np.abs(motion[:, lips]).mean()
    assert geometry.opening(closed[None])[0] < 0.02
    np.testing.assert_array_equal(frontal.mirror[frontal.mirror], np.arange(468))
    assert frontal.mirror[geometry.RIGHT_CORNER] == geometry.LEFT_CORNER


def test_time_stretching_keeps_audio_and_motion_in_sync() -> None:
    torch.manual_seed(0)
    time = torch.arange(augment.ROWS, dtype=torch.float32)
    motion = torch.sin(time / 5)[None, :, None].repeat(16, 1, 1)
    fine = (torch.arange(augment.FRAMES, dtype=torch.float32) - 1.5) / 4
    audio = torch.sin(fine / 5)[None, :, None].repeat(16, 1, 40)
    audio, motion = augment.time_stretch(audio, motion)
    rows = audio[:, :, 0].reshape(16, augment.ROWS, 4).mean(2)
    assert (rows - motion[:, :, 0])[:, 2:-2].abs().max() < 0.04


def test_splicing_keeps_audio_and_motion_in_sync_except_near_the_seams() -> None:
    torch.manual_seed(0)
    motion = torch.rand(16, augment.ROWS, 1)
    audio = motion.repeat_interleave(4, 1).repeat(1, 1, 40)
    audio, rows = augment.splice(audio, motion)
    apart = (audio[:, 1::4, 0] - rows[:, :, 0]).abs() > 1e-4
    assert apart.sum(1).max() <= 8
    assert (rows[:, 0] != motion[:, 0]).any()


def test_augmented_features_are_in_range_and_silent_examples_rest(clips: list[dataset.PreparedClip]) -> None:
    torch.manual_seed(0)
    basis, frontal = dataset.fit(clips)
    data = dataset.batches(clips, basis, frontal)
    neutral = torch.from_numpy(basis.neutral)
    power, motion = data.draw(np.random.default_rng(0), 64, train.SHARES)
    features, motion, silent = augment.augment_batch(power, motion, neutral)
    assert features.shape == (64, 304, 40)
    assert motion.shape == (64, 76, len(basis.sd))
    assert torch.isfinite(features).all()
    assert features.min() > -1.6
    assert features.max() < 6
    assert silent.any()
    assert not silent.all()
    assert (motion[silent] == neutral).all()


def test_an_aligned_voice_takes_the_clips_timing() -> None:
    rng = np.random.default_rng(1)
    beat = np.clip(np.sin(np.arange(ROWS) / 4), 0, 1) * (np.arange(ROWS) % 37 > 10)
    clip = synthetic_audio(beat, rng)
    slower = synthetic_audio(np.interp(np.arange(ROWS) * 0.8, np.arange(ROWS), beat), rng)
    power, cost = voices.align_to(clip, slower)
    loud = power.sum(1)
    assert len(power) == len(voices.log_power(clip))
    assert np.corrcoef(loud, voices.log_power(clip).sum(1))[0, 1] > 0.9
    assert cost < voices.MAX_ALIGNMENT_COST


def test_the_vocoder_keeps_length_and_timing() -> None:
    pytest.importorskip("pyworld", reason="the vocoder is optional", exc_type=ImportError)
    audio = synthetic_audio(np.clip(np.sin(np.arange(ROWS) / 4), 0, 1), np.random.default_rng(2))
    higher = voices.vocode(audio, [(1.8, 1.2)], random.Random(0))[0]
    assert len(higher) == len(audio)
    assert np.corrcoef(voices.log_power(higher).sum(1), voices.log_power(audio).sum(1))[0, 1] > 0.8


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_synthesiser_speaks_a_sentence() -> None:
    output = voices.speak("espeak-ng en-us+f4", "bin blue at F two now", 160, 50)
    assert output.dtype == np.float32
    assert RATE < len(output) < 4 * RATE
    assert np.abs(output).max() > 0.05


def test_a_few_steps_give_a_network_that_runs_and_is_evaluated(
    clips: list[dataset.PreparedClip], tmp_path: Path
) -> None:
    basis, frontal = dataset.fit(clips)
    start = MotionNet(len(basis.sd))
    net = train.train(dataset.batches(clips, basis, frontal), basis, start, train.Plan(steps=3, batch=12))
    train.export(net, basis, tmp_path)
    model = evaluate.open_model(tmp_path)
    scores = evaluate.held_out_scores(model, clips)
    assert [len(found) for found in scores.values()] == [2, 2, 2]
    assert all(np.isfinite(one.lmd) for found in scores.values() for one in found)
    average, deviation = evaluate.stillness(model, 0.0, seconds=2)
    assert np.isfinite(average)
    assert deviation < 1e-4


def test_the_exported_network_is_the_trained_one(clips: list[dataset.PreparedClip], tmp_path: Path) -> None:
    torch.manual_seed(3)
    basis, _ = dataset.fit(clips)
    net = MotionNet(len(basis.sd)).eval()
    train.export(net, basis, tmp_path)
    model = evaluate.open_model(tmp_path)
    features = torch.randn(1, 400, 40)
    rows = np.concatenate(list(model.predict_from_features(iter([features[0].numpy()]), Fraction(25), 100)))
    with torch.no_grad():
        output = net(features)[0].numpy()
    calm = (np.roll(output, 1, 0) + 2 * output + np.roll(output, -1, 0)) / 4
    expected = output + SHARPENING * (output - calm)
    np.testing.assert_allclose(rows[25:75], expected[25:75], atol=5e-3)


def test_a_prediction_scores_perfectly_against_itself_and_its_delay_is_measured(
    clips: list[dataset.PreparedClip],
) -> None:
    true = geometry.fit_pose(clips[0].landmarks, geometry.canonical_face()).to_face(clips[0].landmarks[:, :468])
    same = evaluate.score(true, true)
    assert same.opening == pytest.approx(1)
    assert same.width == pytest.approx(1)
    assert same.lmd == 0
    assert same.jitter == pytest.approx(1)
    assert abs(same.lag) < 0.1
    assert evaluate.score(np.roll(true, 2, 0), true).lag == pytest.approx(2, abs=0.3)
