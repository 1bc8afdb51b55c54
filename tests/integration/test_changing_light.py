"""Footage whose light changes: the new mouth has each frame's own light."""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np
import pytest

import lipsync

FRAMES, MOUTH = 50, np.s_[130:190, 110:210]
Rgb = np.ndarray  # (240, 320, 3), 0..255


def fade(rgb: Rgb, k: int) -> Rgb:
    """From black for 15 frames, to black for the last 10."""
    return rgb * min(1, (k + 1) / 15, (FRAMES - k) / 10)


def fade_from_white(rgb: Rgb, k: int) -> Rgb:
    share = min(1, (k + 1) / 15)
    return rgb * share + 255 * (1 - share)


def dim(rgb: Rgb, k: int) -> Rgb:
    return rgb * (1 - 0.5 * np.clip((k - 20) / 5, 0, 1))


def turn_blue(rgb: Rgb, k: int) -> Rgb:
    return rgb * (1 - np.array([0.65, 0.5, 0]) * np.clip((k - 20) / 5, 0, 1))


def lose_colour(rgb: Rgb, k: int) -> Rgb:
    share = np.clip((k - 20) / 5, 0, 1)
    return rgb * (1 - share) + rgb.mean(2, keepdims=True) * share


def flash(rgb: Rgb, k: int) -> Rgb:
    return np.minimum(rgb * (1.25 if k % 20 in (10, 11) else 1), 255)


@pytest.fixture(scope="module")
def synced(moved, voice, tmp_path_factory) -> Callable[..., list[Rgb]]:
    folder = tmp_path_factory.mktemp("light")

    def run(change: Callable[[Rgb, int], Rgb]) -> list[Rgb]:
        source, result = (folder / f"{change.__name__}{kind}.mp4" for kind in ("", "_out"))
        with av.open(str(source), "w") as out:
            stream = out.add_stream("libx264", rate=25, options={"crf": "12"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for k in range(FRAMES):
                at = (160 + 6 * np.sin(k / 6), 120 + 4 * np.cos(k / 5))
                rgb = change(moved(at=at, zoom=1.6, turn=0.05 * np.sin(k / 7)).astype(float), k)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.rint(rgb).astype(np.uint8), format="rgb24")))
            out.mux(stream.encode(None))
        lipsync.sync(source, voice, result)
        with av.open(str(result)) as container:
            return [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]

    return run


@pytest.fixture(scope="module")
def plain(synced) -> list[Rgb]:
    return synced(lambda rgb, k: rgb)


@pytest.mark.parametrize("change", [fade, fade_from_white, dim, turn_blue, lose_colour, flash])
def test_the_mouth_has_the_light_of_its_frame(synced, plain, change):
    found = synced(change)
    wanted = [change(rgb, k) for k, rgb in enumerate(plain)]
    differences = [np.abs(one[MOUTH] - other[MOUTH]).mean() for one, other in zip(found, wanted, strict=True)]
    assert np.mean(differences) < 4  # of 255
    assert max(differences) < 8
