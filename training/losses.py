"""Losses: for the motion of faces, and for what phonemes, pauses and sound without a voice ask of the mouth."""

from __future__ import annotations

import numpy as np
import torch
from network import Lips
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from lipsync.types import Float32

TALKING = 0.3  # standard deviation of the opening, of the usual one, from which an example counts as speech
SHUT, APART = 0.015, 0.04  # eye distances: below the lips surely touch, above they surely do not
WIDE_APART = 0.10  # eye distances that the lips open at least on open vowels
ROUNDED = 0.5  # standard deviations by which rounded vowels at least narrow the mouth and protrude the lips
ROUNDING_WEIGHTS = (0.15, 0.1)  # of the two


class MotionLoss(nn.Module):
    """Errors of coefficients, speed, opening and width, their correlation, and their spread against the truth's.

    Squared errors alone would shrink what is uncertain; the spread of opening and width and of their speed is therefore
    compared as well.
    """

    weight: Tensor
    measures: Tensor
    opening: Tensor
    neutral: Tensor

    def __init__(self, lips: Lips, deviations: Float32, motion: Float32) -> None:
        super().__init__()
        weight = torch.from_numpy(deviations / deviations.max()).sqrt()
        self.register_buffer("weight", weight / weight.mean())
        measures = np.stack([lips.opening, lips.width], 1)
        self.register_buffer("measures", torch.from_numpy(measures / (motion @ measures).std(0)))
        self.register_buffer("opening", torch.from_numpy(lips.opening))
        self.register_buffer("neutral", torch.from_numpy(lips.neutral))

    def forward(self, found: Tensor, logit: Tensor, target: Tensor) -> Tensor:
        error = (self.weight * smooth_l1_loss(found, target, beta=0.4, reduction="none")).mean()
        speed = (self.weight * (found.diff(dim=1) - target.diff(dim=1)).abs()).mean()
        measured, true = found @ self.measures, target @ self.measures
        talking = true.std(1)[:, 0] > TALKING
        followed = 1.4 * smooth_l1_loss(measured, true, beta=0.4)
        spread = self._compare(measured[talking], true[talking]) if talking.any() else torch.zeros(())
        return error + 1.5 * speed + followed + spread + 0.1 * self._closed(logit, target)

    def _compare(self, measured: Tensor, true: Tensor) -> Tensor:
        apart = 1 - correlation(measured, true).mean()
        spread = (log_spread(measured) - log_spread(true)).abs().mean()
        speed = (log_spread(4 * measured.diff(dim=1)) - log_spread(4 * true.diff(dim=1))).abs().mean()
        return apart + 0.3 * spread + 0.15 * speed

    def _closed(self, logit: Tensor, target: Tensor) -> Tensor:
        gap = (target - self.neutral) @ self.opening
        sure = ((gap < SHUT) | (gap > APART)).float()
        shut = (gap < SHUT).float()
        return (binary_cross_entropy_with_logits(logit, shut, reduction="none") * sure).mean()


class AskedLoss(nn.Module):
    """The distance from ``phonemes.labels``: closed lips, open and rounded vowels, rest without a voice."""

    opening: Tensor
    neutral: Tensor
    rounding: Tensor
    usual: Tensor
    weights: Tensor

    def __init__(self, lips: Lips, motion: Float32) -> None:
        super().__init__()
        gap = (motion - lips.neutral) @ lips.opening
        self._gap_spread = float(gap.std())
        protruded = motion @ lips.protrusion
        jaw = np.cov(protruded, gap)[0, 1] / gap.var()  # the opening jaw moves the lower lip back
        rounding = np.stack([-lips.width, lips.protrusion - jaw * lips.opening], 1)
        rounding = np.asarray(rounding / (motion @ rounding).std(0), np.float32)
        usual = (motion[gap > WIDE_APART / 2] @ rounding).mean(0)
        for name, value in (("opening", lips.opening), ("neutral", lips.neutral), ("rounding", rounding)):
            self.register_buffer(name, torch.from_numpy(value))
        self.register_buffer("usual", torch.from_numpy(usual))
        self.register_buffer("weights", torch.tensor(ROUNDING_WEIGHTS))

    def forward(self, found: Tensor, logit: Tensor, asked: Tensor) -> Tensor:
        closed, apart, wide, rounded, resting = asked.unbind(2)
        surely = binary_cross_entropy_with_logits(logit, closed, reduction="none")
        decided = _mean(surely * (2 * closed + apart), closed + apart)
        gap = ((found - self.neutral) @ self.opening) / self._gap_spread
        missing = (self.usual + ROUNDED - found @ self.rounding).clamp(min=0) @ self.weights
        shut = _mean(gap.abs() * closed, closed)
        crossed = (-gap).clamp(min=0).mean()  # the lips cannot pass each other
        opened = _mean((WIDE_APART / self._gap_spread - gap).clamp(min=0) * wide, wide)
        spoken = 0.75 * (decided + shut + crossed) + 0.45 * opened + _mean(missing * rounded, rounded)
        return spoken + self._unrest(found, gap, resting)

    def _unrest(self, found: Tensor, gap: Tensor, resting: Tensor) -> Tensor:
        """The distance from the mouth at rest, and all movement."""
        away = smooth_l1_loss(found, self.neutral.expand_as(found), beta=0.1, reduction="none").mean(2)
        moved = found.diff(dim=1).abs().mean(2)
        apart = 0.45 * away + 0.3 * gap.clamp(min=0)
        return _mean(apart * resting, resting) + 0.75 * _mean(moved * resting[:, 1:], resting[:, 1:])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return values.sum() / (weight.sum() + 1e-6)


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's r over time, (batch, rows, m) to (batch, m); close to 0 for nearly constant signals."""
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    length: Tensor = one.norm(dim=1) * other.norm(dim=1)
    return (one * other).sum(1) / (length + 1e-2)


def log_spread(values: Tensor) -> Tensor:
    """The logarithm of the standard deviation over time, (batch, rows, m) to (batch, m)."""
    return 0.5 * torch.log(values.var(1) + 1e-3)
