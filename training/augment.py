"""Augment a batch of band power with other voices, rooms, microphones and noises, without changing its timing.

Tensors: ``power`` (batch, frames, 40) band power, ``motion`` (batch, rows, K) coefficients, 4 frames per row. The
vocal-tract warp follows Jaitly and Hinton, "Vocal Tract Length Perturbation (VTLP) Improves Speech Recognition", 2013,
the masks follow SpecAugment (Park et al., Interspeech 2019), and a room is an exponential decay of each band's power.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lipsync.speech import features
from lipsync.speech.features import BANDS
from lipsync.speech.motion import STEP

ROWS = 76  # rows of motion in a training example
FRAMES = ROWS * STEP
AVERAGE_VOICE = torch.from_numpy(features.average_voice())
MINIMUM_VOICE = torch.from_numpy(features.minimum_voice(features.average_voice()))


def uniform(low: float, high: float, *size: int) -> Tensor:
    return torch.rand(*size) * (high - low) + low


def bernoulli(chance: float, count: int) -> Tensor:
    """1.0 with probability ``chance``, otherwise 0.0, (count,)."""
    return (torch.rand(count) < chance).float()


def random_curve(scale: float, count: int, knots: int = 7) -> Tensor:
    """Smooth random curves over the bands, (count, 40), with zero mean."""
    walk = torch.cumsum(torch.randn(count, knots), 1) * scale
    walk = walk - walk.mean(1, keepdim=True)
    return interpolate(walk[:, None], BANDS, mode="linear", align_corners=True)[:, 0]


def time_stretch(log_power: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Change the speed of audio and motion together and shift them by up to 4 rows, mirrored at the ends."""
    count = len(motion)
    speed = torch.where(torch.rand(count) < 0.6, uniform(0.84, 1.2, count), torch.ones(count))
    centre = 37.5 + uniform(-4, 4, count)
    rows = _resample(motion, ROWS, speed, centre, (0.0, ROWS - 2.0))
    # The network's strided front end aligns row r with frame 4 r + 1.5.
    turns = (1.5, STEP * (ROWS - 2.0) + 1.5)
    return _resample(log_power, FRAMES, speed, STEP * centre + 1.5, turns), rows


def _resample(values: Tensor, count: int, speed: Tensor, centre: Tensor, turns: tuple[float, float]) -> Tensor:
    first, last = turns
    position = centre[:, None] + (torch.arange(count) - (count - 1) / 2) * speed[:, None]
    position = (last - ((position - first).abs() + first - last).abs()).clamp(0, values.shape[1] - 1.001)
    left = position.floor().long()[..., None].expand(-1, -1, values.shape[2])
    share = (position - position.floor())[..., None]
    return torch.gather(values, 1, left) * (1 - share) + torch.gather(values, 1, left + 1) * share


def splice(log_power: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Start examples anywhere and splice others into them in mid word; the mouth blends over four rows.

    Neither the position in the sentence nor its fixed grammar can then predict the next sound.
    """
    count = len(motion)
    log_power, motion = _rotated(log_power, motion, torch.randint(0, ROWS, (count,)))
    rows, frames = torch.arange(ROWS)[None], torch.arange(FRAMES)[None]
    for step, chance in ((3, 0.6), (5, 0.4)):
        others = _rotated(log_power.roll(step, 0), motion.roll(step, 0), torch.randint(0, ROWS, (count,)))
        at = torch.randint(6, ROWS - 6, (count, 1))
        chosen = bernoulli(chance, count)[:, None]
        late = ((rows - at + 2) / 4).clamp(0, 1) * chosen
        motion = motion + (others[1] - motion) * late[..., None]
        after = (frames >= STEP * at + 2).float() * chosen
        log_power = log_power + (others[0] - log_power) * after[..., None]
    return log_power, motion


def _rotated(log_power: Tensor, motion: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Start every example ``rows`` (batch,) later; its beginning follows its end."""
    position = (torch.arange(ROWS) + rows[:, None]) % ROWS
    fine = (torch.arange(FRAMES) + STEP * rows[:, None]) % FRAMES
    rotated = torch.gather(motion, 1, position[..., None].expand_as(motion))
    return torch.gather(log_power, 1, fine[..., None].expand_as(log_power)), rotated


def warp_vocal_tract(log_power: Tensor) -> Tensor:
    """Shift the formants of half of the batch by -12 to +14 %."""
    count = len(log_power)
    factor = torch.where(torch.rand(count) < 0.5, uniform(0.88, 1.14, count), torch.ones(count))
    position = torch.arange(BANDS) * factor[:, None] + uniform(-0.7, 0.7, count, 1)
    position = position.clamp(0, BANDS - 1.001)
    left = position.floor().long()[:, None].expand(-1, log_power.shape[1], -1)
    share = (position - position.floor())[:, None]
    return torch.gather(log_power, 2, left) * (1 - share) + torch.gather(log_power, 2, left + 1) * share


def equalise(log_power: Tensor) -> Tensor:
    """Apply a random equaliser and spectral tilt."""
    count = len(log_power)
    tilt = bernoulli(0.5, count) * uniform(-1.5, 1.5, count)
    colour = bernoulli(0.7, count)[:, None] * random_curve(0.45, count) + tilt[:, None] * torch.linspace(-1, 1, BANDS)
    return log_power + colour[:, None]


def vary_loudness(log_power: Tensor) -> Tensor:
    """Vary the loudness within the sentence and compress it, so that loudness does not predict the opening."""
    count, frames = log_power.shape[:2]
    wander = interpolate(torch.randn(count, 1, 9) * 0.9, frames, mode="linear", align_corners=True)[:, 0]
    level = log_power.logsumexp(2)
    level = torch.nn.functional.avg_pool1d(level[:, None], 9, 1, 4, count_include_pad=False)[:, 0]
    below = (level.amax(1, keepdim=True) - level).clamp(max=7)
    squeeze = below * uniform(-0.15, 0.4, count, 1) * bernoulli(0.5, count)[:, None]
    return log_power + (wander * bernoulli(0.6, count)[:, None] + squeeze)[..., None]


def interrupt(power: Tensor, motion: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Start or stop some examples in the middle; the mouth opens from rest or returns to it."""
    count = len(power)
    chosen, at, ends = bernoulli(0.12, count), torch.randint(10, 66, (count, 1)), torch.rand(count, 1) < 0.5
    rows, frames = torch.arange(ROWS)[None], torch.arange(FRAMES)[None]
    late = torch.where(ends, rows - at, at - rows).float()
    rest = ((late + 1) / 4).clamp(0, 1) * chosen[:, None]
    late = torch.where(ends, frames - STEP * at, STEP * at - frames).float()
    mute = 1 - ((late + 2) / 4).clamp(0, 1) * chosen[:, None]
    return power * mute[..., None] ** 4, motion + (neutral - motion) * rest[..., None]


def loudness(power: Tensor) -> Tensor:
    """Mean total power (batch,), weighted towards loud frames."""
    total = power.sum(2)
    return (total**1.5).sum(1) / (total.sqrt().sum(1) + 1e-6) + 1e-6


def reverberate(power: Tensor) -> Tensor:
    count = len(power)
    decay = torch.exp(-13.8 * torch.arange(120)[None] * 0.01 / uniform(0.15, 0.9, count)[:, None])
    decay[:, 0] = 0
    wet = bernoulli(0.3, count) * 10 ** (-uniform(0, 16, count) / 10)
    response = decay / decay.sum(1, keepdim=True) * wet[:, None]
    response[:, 0] = 1
    size = 512
    spectrum = torch.fft.rfft(power, n=size, dim=1) * torch.fft.rfft(response, n=size, dim=1)[..., None]
    return torch.as_tensor(torch.fft.irfft(spectrum, n=size, dim=1)[:, : power.shape[1]].clamp(min=0))


def add_babble(power: Tensor, level: Tensor) -> Tensor:
    """Add two other examples of the batch, 4 to 25 dB below."""
    count = len(power)
    gain = bernoulli(0.2, count) * 10 ** (-uniform(4, 25, count) / 10) * level
    mean = power.sum(2).mean(1) + 1e-6
    for step, share in ((7, 0.3), (11, 0.14)):
        power = power + (gain / mean.roll(step) * share)[:, None, None] * power.roll(step, 0)
    return power


def add_noise(power: Tensor, level: Tensor) -> Tensor:
    """Add coloured noise, steady or slowly changing, 4 to 45 dB below the voice."""
    count, frames = power.shape[:2]
    gain = bernoulli(0.75, count) * 10 ** (-uniform(4, 45, count) / 10) * level
    colour = (random_curve(0.8, count) + uniform(-1, 1, count, 1) * torch.linspace(-2, 2, BANDS)).softmax(1)
    grain = -0.6 * torch.rand(power.shape).clamp(min=1e-4).log() - 0.4 * torch.rand(power.shape).clamp(min=1e-4).log()
    slow = interpolate(torch.randn(count, 1, 12) * 0.4, frames, mode="linear")[:, 0] * bernoulli(0.4, count)[:, None]
    return power + (gain[:, None] * slow.exp())[..., None] * colour[:, None] * grain


def simulate_codec(power: Tensor) -> Tensor:
    """Limit the bands, and drop weak ones as codecs do at low bit rates."""
    count, band = len(power), torch.arange(BANDS)[None]
    top = torch.where(torch.rand(count, 1) < 0.15, torch.randint(24, BANDS, (count, 1)), 99)
    bottom = torch.where(torch.rand(count, 1) < 0.12, torch.randint(0, 7, (count, 1)), 0)
    lost = ((band > top) | (band < bottom)).float() * (1 - 10 ** -uniform(2, 5, count, 1))
    power = power * (1 - lost)[:, None]
    hole = bernoulli(0.12, count) * 10 ** -uniform(2, 4, count)
    return power * (power > hole[:, None, None] * power.amax(2, keepdim=True))


def gate(power: Tensor) -> Tensor:
    """Cut some examples off abruptly before or after a moment, noise included, as an editor or a noise gate does."""
    count = len(power)
    frame, at, ends = torch.arange(FRAMES)[None], torch.randint(0, FRAMES, (count, 1)), torch.rand(count, 1) < 0.5
    mute = torch.where(ends, frame >= at, frame < at).float() * bernoulli(0.3, count)[:, None]
    return power * (1 - mute)[..., None]


def scale_level(power: Tensor) -> Tensor:
    count = len(power)
    return power * torch.exp(uniform(-1, 1, count) - bernoulli(0.5, count) * uniform(0, 8, count))[:, None, None]


def to_features(power: Tensor) -> Tensor:
    """The features of ``lipsync.speech.features``, with a slightly wrong long-term spectrum from this example alone."""
    count = len(power)
    amplitude = power.sum(2).sqrt()
    weight, square = amplitude.sum(1, keepdim=True) + 1e-12, (amplitude**2).sum(1, keepdim=True)
    weighted = (power * amplitude[..., None]).sum(1)
    prior = features.PRIOR_FRAMES * square / weight
    level = weighted.sum(1, keepdim=True) / weight
    reference = ((weighted + prior * level * AVERAGE_VOICE) / (weight + prior)).maximum(MINIMUM_VOICE).log()
    off = torch.randn(count, 1) * 0.3 * bernoulli(0.7, count)[:, None]
    reference = (reference + off + random_curve(0.12, count) * bernoulli(0.5, count)[:, None]).maximum(
        MINIMUM_VOICE.log()
    )
    return ((power / reference.exp()[:, None] + features.SILENT_POWER).log() + 4) / 3


def mask(frames: Tensor) -> Tensor:
    count, length = frames.shape[:2]
    mean = frames.mean((1, 2), keepdim=True)
    band, low, wide = torch.arange(BANDS)[None], torch.randint(0, 36, (count, 1)), torch.randint(1, 6, (count, 1))
    hidden = ((band >= low) & (band < low + wide)).float() * bernoulli(0.3, count)[:, None]
    frames = frames + (mean - frames) * hidden[:, None]
    time, start = torch.arange(length)[None], torch.randint(0, length - 8, (count, 1))
    hidden = ((time >= start) & (time < start + 6)).float() * bernoulli(0.2, count)[:, None]
    return frames + (mean - frames) * hidden[..., None]


def augment_batch(log_power: Tensor, motion: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log band power (batch, 304, 40) and motion (batch, 76, K) to features, motion and silent examples (batch,)."""
    log_power, motion = splice(*time_stretch(log_power, motion))
    power, motion = interrupt(vary_loudness(equalise(warp_vocal_tract(log_power))).exp(), motion, neutral)
    silent = torch.rand(len(power)) < 0.06
    power[silent], motion[silent] = 0, neutral
    level = torch.where(silent, torch.exp(uniform(0, 10, len(power))), loudness(power))
    power = add_noise(add_babble(reverberate(power), level), level)
    power[silent] = gate(power)[silent]
    return mask(to_features(scale_level(simulate_codec(power)))), motion, silent
