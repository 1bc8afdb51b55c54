"""Which source frame an output frame shows when the audio is longer than the video."""

from __future__ import annotations


def ping_pong_index(i: int, n: int) -> int:
    """Return the source frame, of ``n``, for output frame ``i``, played forwards and backwards: 0 1 … n-1 n-2 … 0 1."""
    if n == 1:
        return 0
    position = i % (2 * n - 2)
    return position if position < n else 2 * n - 2 - position


def loop_index(i: int, n: int) -> int:
    """Return the source frame, of ``n``, for output frame ``i``, restarting with a jump: 0 1 … n-1 0 1 …"""
    return i % n
