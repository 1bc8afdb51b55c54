"""Many voices, rooms and microphones out of few: changes to the band power of a batch that leave timing alone.

Tensors: ``power`` (batch, frames, 40) band power, ``motion`` (batch, rows, K) coefficients, 4 frames to a row.
The vocal-tract warp is Jaitly and Hinton's ("Vocal tract length perturbation improves speech recognition", 2013), the
masks are those of SpecAugment (Park et al., 2019); a room is an exponential decay of each band's power.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lipsync.speech import features
from lipsync.speech.features import BANDS
from lipsync.speech.motion import STEP

ROWS = 76  # rows of motion in a training piece
FRAMES = ROWS * STEP
SHAPE = torch.from_numpy(features.average_voice())
FAINTEST = torch.from_numpy(features.minimum_voice(features.average_voice()))


def uniform(low: float, high: float, *size: int) -> Tensor:
    return torch.rand(*size) * (high - low) + low


def sometimes(chance: float, count: int) -> Tensor:
    """1.0 with a chance, else 0.0, (count,)."""
    return (torch.rand(count) < chance).float()


def curve(scale: float, count: int, knots: int = 7) -> Tensor:
    """Smooth random curves over the bands (count, 40) around zero."""
    walk = torch.cumsum(torch.randn(count, knots), 1) * scale
    walk = walk - walk.mean(1, keepdim=True)
    return interpolate(walk[:, None], BANDS, mode="linear", align_corners=True)[:, 0]


def stretched(log_power: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Sound and motion together at another speed and moved by up to 4 rows, turned back at the ends."""
    count = len(motion)
    speed = torch.where(torch.rand(count) < 0.6, uniform(0.84, 1.2, count), torch.ones(count))
    centre = 37.5 + uniform(-4, 4, count)
    rows = _resample(motion, ROWS, speed, centre, (0.0, ROWS - 2.0))
    # Row r and frame 4 r + 1.5 are the same moment for the network's strided front end.
    turns = (1.5, STEP * (ROWS - 2.0) + 1.5)
    return _resample(log_power, FRAMES, speed, STEP * centre + 1.5, turns), rows


def _resample(values: Tensor, count: int, speed: Tensor, centre: Tensor, turns: tuple[float, float]) -> Tensor:
    first, last = turns
    place = centre[:, None] + (torch.arange(count) - (count - 1) / 2) * speed[:, None]
    place = (last - ((place - first).abs() + first - last).abs()).clamp(0, values.shape[1] - 1.001)
    left = place.floor().long()[..., None].expand(-1, -1, values.shape[2])
    share = (place - place.floor())[..., None]
    return torch.gather(values, 1, left) * (1 - share) + torch.gather(values, 1, left + 1) * share


def spliced(log_power: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Pieces begin anywhere and go over into other pieces in mid word, so that neither the place in the sentence nor
    the sentence's fixed grammar says what comes; the mouth takes four rows from the one to the other."""
    count = len(motion)
    log_power, motion = _turned(log_power, motion, torch.randint(0, ROWS, (count,)))
    rows, frames = torch.arange(ROWS)[None], torch.arange(FRAMES)[None]
    for step, chance in ((3, 0.6), (5, 0.4)):
        others = _turned(log_power.roll(step, 0), motion.roll(step, 0), torch.randint(0, ROWS, (count,)))
        at = torch.randint(6, ROWS - 6, (count, 1))
        chosen = sometimes(chance, count)[:, None]
        late = ((rows - at + 2) / 4).clamp(0, 1) * chosen
        motion = motion + (others[1] - motion) * late[..., None]
        after = (frames >= STEP * at + 2).float() * chosen
        log_power = log_power + (others[0] - log_power) * after[..., None]
    return log_power, motion


def _turned(log_power: Tensor, motion: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Every piece begins ``rows`` (batch,) later, and its beginning follows its end."""
    place = (torch.arange(ROWS) + rows[:, None]) % ROWS
    fine = (torch.arange(FRAMES) + STEP * rows[:, None]) % FRAMES
    turned = torch.gather(motion, 1, place[..., None].expand_as(motion))
    return torch.gather(log_power, 1, fine[..., None].expand_as(log_power)), turned


def other_tract(log_power: Tensor) -> Tensor:
    """Half of the batch with formants moved by -12 to +14 %."""
    count = len(log_power)
    factor = torch.where(torch.rand(count) < 0.5, uniform(0.88, 1.14, count), torch.ones(count))
    place = torch.arange(BANDS) * factor[:, None] + uniform(-0.7, 0.7, count, 1)
    place = place.clamp(0, BANDS - 1.001)
    left = place.floor().long()[:, None].expand(-1, log_power.shape[1], -1)
    share = (place - place.floor())[:, None]
    return torch.gather(log_power, 2, left) * (1 - share) + torch.gather(log_power, 2, left + 1) * share


def other_microphone(log_power: Tensor) -> Tensor:
    """A random equaliser and tilt."""
    count = len(log_power)
    tilt = sometimes(0.5, count) * uniform(-1.5, 1.5, count)
    colour = sometimes(0.7, count)[:, None] * curve(0.45, count) + tilt[:, None] * torch.linspace(-1, 1, BANDS)
    return log_power + colour[:, None]


def restless(log_power: Tensor) -> Tensor:
    """Loudness that wanders within the sentence, and compressors: how loud a word is must not say how open it is."""
    count, frames = log_power.shape[:2]
    wander = interpolate(torch.randn(count, 1, 9) * 0.9, frames, mode="linear", align_corners=True)[:, 0]
    level = log_power.logsumexp(2)
    level = torch.nn.functional.avg_pool1d(level[:, None], 9, 1, 4, count_include_pad=False)[:, 0]
    below = (level.amax(1, keepdim=True) - level).clamp(max=7)
    squeeze = below * uniform(-0.15, 0.4, count, 1) * sometimes(0.5, count)[:, None]
    return log_power + (wander * sometimes(0.6, count)[:, None] + squeeze)[..., None]


def interrupted(power: Tensor, motion: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Some of the sounds start or stop in the middle, and the mouth comes from or goes to rest."""
    count = len(power)
    chosen, at, ends = sometimes(0.12, count), torch.randint(10, 66, (count, 1)), torch.rand(count, 1) < 0.5
    rows, frames = torch.arange(ROWS)[None], torch.arange(FRAMES)[None]
    late = torch.where(ends, rows - at, at - rows).float()
    rest = ((late + 1) / 4).clamp(0, 1) * chosen[:, None]
    late = torch.where(ends, frames - STEP * at, STEP * at - frames).float()
    mute = 1 - ((late + 2) / 4).clamp(0, 1) * chosen[:, None]
    return power * mute[..., None] ** 4, motion + (neutral - motion) * rest[..., None]


def loudness(power: Tensor) -> Tensor:
    """Mean power (batch,) of all bands, loud frames weighing more."""
    total = power.sum(2)
    return (total**1.5).sum(1) / (total.sqrt().sum(1) + 1e-6) + 1e-6


def in_a_room(power: Tensor) -> Tensor:
    count = len(power)
    decay = torch.exp(-13.8 * torch.arange(120)[None] * 0.01 / uniform(0.15, 0.9, count)[:, None])
    decay[:, 0] = 0
    wet = sometimes(0.3, count) * 10 ** (-uniform(0, 16, count) / 10)
    response = decay / decay.sum(1, keepdim=True) * wet[:, None]
    response[:, 0] = 1
    size = 512
    spectrum = torch.fft.rfft(power, n=size, dim=1) * torch.fft.rfft(response, n=size, dim=1)[..., None]
    return torch.as_tensor(torch.fft.irfft(spectrum, n=size, dim=1)[:, : power.shape[1]].clamp(min=0))


def among_others(power: Tensor, level: Tensor) -> Tensor:
    """Two others of the batch murmur, 4 to 25 dB below."""
    count = len(power)
    gain = sometimes(0.2, count) * 10 ** (-uniform(4, 25, count) / 10) * level
    mean = power.sum(2).mean(1) + 1e-6
    for step, share in ((7, 0.3), (11, 0.14)):
        power = power + (gain / mean.roll(step) * share)[:, None, None] * power.roll(step, 0)
    return power


def in_noise(power: Tensor, level: Tensor) -> Tensor:
    """Coloured noise 4 to 45 dB below the voice, steady or slowly changing."""
    count, frames = power.shape[:2]
    gain = sometimes(0.75, count) * 10 ** (-uniform(4, 45, count) / 10) * level
    colour = (curve(0.8, count) + uniform(-1, 1, count, 1) * torch.linspace(-2, 2, BANDS)).softmax(1)
    grain = -0.6 * torch.rand(power.shape).clamp(min=1e-4).log() - 0.4 * torch.rand(power.shape).clamp(min=1e-4).log()
    slow = interpolate(torch.randn(count, 1, 12) * 0.4, frames, mode="linear")[:, 0] * sometimes(0.4, count)[:, None]
    return power + (gain[:, None] * slow.exp())[..., None] * colour[:, None] * grain


def through_a_codec(power: Tensor) -> Tensor:
    """Band limits, and the holes that a low bit rate leaves where a band is weak."""
    count, band = len(power), torch.arange(BANDS)[None]
    top = torch.where(torch.rand(count, 1) < 0.15, torch.randint(24, BANDS, (count, 1)), 99)
    bottom = torch.where(torch.rand(count, 1) < 0.12, torch.randint(0, 7, (count, 1)), 0)
    lost = ((band > top) | (band < bottom)).float() * (1 - 10 ** -uniform(2, 5, count, 1))
    power = power * (1 - lost)[:, None]
    hole = sometimes(0.12, count) * 10 ** -uniform(2, 4, count)
    return power * (power > hole[:, None, None] * power.amax(2, keepdim=True))


def gated(power: Tensor) -> Tensor:
    """Some of the sounds, noise and all, are cut off hard before or after a moment, as an editor or a gate does it."""
    count = len(power)
    frame, at, ends = torch.arange(FRAMES)[None], torch.randint(0, FRAMES, (count, 1)), torch.rand(count, 1) < 0.5
    mute = torch.where(ends, frame >= at, frame < at).float() * sometimes(0.3, count)[:, None]
    return power * (1 - mute)[..., None]


def at_a_level(power: Tensor) -> Tensor:
    count = len(power)
    return power * torch.exp(uniform(-1, 1, count) - sometimes(0.5, count) * uniform(0, 8, count))[:, None, None]


def heard(power: Tensor) -> Tensor:
    """What ``lipsync.speech.features`` makes of it, its long-term spectrum taken from this piece and a little off."""
    count = len(power)
    amplitude = power.sum(2).sqrt()
    weight, square = amplitude.sum(1, keepdim=True) + 1e-12, (amplitude**2).sum(1, keepdim=True)
    weighted = (power * amplitude[..., None]).sum(1)
    prior = features.PRIOR_FRAMES * square / weight
    level = weighted.sum(1, keepdim=True) / weight
    reference = ((weighted + prior * level * SHAPE) / (weight + prior)).maximum(FAINTEST).log()
    off = torch.randn(count, 1) * 0.3 * sometimes(0.7, count)[:, None]
    reference = (reference + off + curve(0.12, count) * sometimes(0.5, count)[:, None]).maximum(FAINTEST.log())
    return ((power / reference.exp()[:, None] + features.SILENT_POWER).log() + 4) / 3


def masked(frames: Tensor) -> Tensor:
    count, length = frames.shape[:2]
    mean = frames.mean((1, 2), keepdim=True)
    band, low, wide = torch.arange(BANDS)[None], torch.randint(0, 36, (count, 1)), torch.randint(1, 6, (count, 1))
    hidden = ((band >= low) & (band < low + wide)).float() * sometimes(0.3, count)[:, None]
    frames = frames + (mean - frames) * hidden[:, None]
    time, start = torch.arange(length)[None], torch.randint(0, length - 8, (count, 1))
    hidden = ((time >= start) & (time < start + 6)).float() * sometimes(0.2, count)[:, None]
    return frames + (mean - frames) * hidden[..., None]


def augmented(log_power: Tensor, motion: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log band power (batch, 304, 40) and motion (batch, 76, K) to features, motion and who is silent (batch,)."""
    log_power, motion = spliced(*stretched(log_power, motion))
    power, motion = interrupted(restless(other_microphone(other_tract(log_power))).exp(), motion, neutral)
    silent = torch.rand(len(power)) < 0.06
    power[silent], motion[silent] = 0, neutral
    level = torch.where(silent, torch.exp(uniform(0, 10, len(power))), loudness(power))
    power = in_noise(among_others(in_a_room(power), level), level)
    power[silent] = gated(power)[silent]
    return masked(heard(at_a_level(through_a_codec(power)))), motion, silent
