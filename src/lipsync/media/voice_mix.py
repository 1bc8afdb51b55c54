"""Mix the channels of any layout to one voice that neither cancels itself nor exceeds full scale.

An average loses a voice whose second channel is inverted, halves one beside a silent channel, and puts the music of
film sound over its centre. Here, channels count by their level and are turned the same way first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

from lipsync.types import Float32

CENTRE, BASS = "FC", ("LFE", "LFE2")
CENTRE_SHARE = 0.1  # of the loudest channel's power, from which the centre of film sound has the voice
OPPOSITE = -0.3  # correlation with the loudest channel from which a channel is turned
MEMORY = 0.9  # weight of the powers so far after a further second


def mix_voice(blocks: Iterable[Float32], layout: AudioLayout, rate: int) -> Iterator[Float32]:
    """Yield mono samples (n,), -1..1, of blocks (n, channels) at ``rate`` samples/s, a second at a time."""
    mixer, held, count = _Mixer(layout), list[Float32](), 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= rate:
            yield mixer.mix(np.concatenate(held))
            held, count = [], 0
    if held:
        yield mixer.mix(np.concatenate(held))


class _Mixer:
    """Weighs channels by their powers and correlations in the last seconds."""

    def __init__(self, layout: AudioLayout) -> None:
        self._names = [channel.name for channel in layout.channels]
        self._covariance = np.zeros((layout.nb_channels, layout.nb_channels))

    def mix(self, block: Float32) -> Float32:
        """Mix a block (n, channels) to (n,)."""
        if block.shape[1] == 1:
            return block[:, 0]
        # Differences, because hum and offsets have power but no voice.
        steps = np.diff(block.astype(np.float64), axis=0)
        self._covariance = MEMORY * self._covariance + steps.T @ steps
        mixed: Float32 = (block @ self._weights()).astype(np.float32)
        return mixed

    def _weights(self) -> NDArray[np.float64]:
        """The weight of each channel; their sizes add up to 1."""
        powers = np.diag(self._covariance).copy()
        powers[[k for k, name in enumerate(self._names) if name in BASS]] = 0
        if CENTRE in self._names and powers[self._names.index(CENTRE)] > CENTRE_SHARE * powers.max():
            powers[[k for k, name in enumerate(self._names) if name != CENTRE]] = 0
        if not powers.any():
            return np.full(len(powers), 1 / len(powers))
        levels, loudest = np.sqrt(powers), int(powers.argmax())
        opposite = self._covariance[loudest] < OPPOSITE * np.sqrt(np.diag(self._covariance) * powers[loudest])
        weights: NDArray[np.float64] = np.where(opposite, -levels, levels) / levels.sum()
        return weights
