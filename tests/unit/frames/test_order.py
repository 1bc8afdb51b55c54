from __future__ import annotations

from lipsync.frames.order import loop_index, ping_pong_index


def test_ping_pong_plays_forwards_and_backwards():
    assert [ping_pong_index(i, 4) for i in range(10)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert [ping_pong_index(i, 1) for i in range(3)] == [0, 0, 0]
    assert [ping_pong_index(i, 2) for i in range(5)] == [0, 1, 0, 1, 0]


def test_loop_restarts_at_the_end():
    assert [loop_index(i, 5) for i in range(7)] == [0, 1, 2, 3, 4, 0, 1]
