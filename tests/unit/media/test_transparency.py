"""Transparency is kept where the result can hold it, and what is hidden never shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image

import lipsync
from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.liveliness.head import head_warp
from lipsync.liveliness.sway import EXCURSION
from lipsync.media.av_offset import write_av_offset_copy
from lipsync.media.encoders import holds_transparency
from lipsync.media.encoding import encoding_named
from lipsync.media.probe import probe, probe_video
from lipsync.media.reader import read
from lipsync.media.transform import transformed
from lipsync.media.writer import write

SIZE = (96, 64)
HIDDEN, SHOWN = (255, 0, 255), (200, 200, 200)  # left half: magenta, transparent; right half: grey, opaque
PHOTOS = (".png", ".webp", ".avif", ".heic", ".gif")
VIDEOS = {
    ".webm": ("libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "0"}),
    "-vp8.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "1000000"}),
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}),
    "-qtrle.mov": ("qtrle", "argb", {}),
    ".mkv": ("ffv1", "yuva420p", {}),
}


def cut_out(ramp: bool = False) -> np.ndarray:
    pixels = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    pixels[:, : SIZE[0] // 2, :3] = HIDDEN
    pixels[:, SIZE[0] // 2 :] = (*SHOWN, 255)
    if ramp:
        pixels[..., :3], pixels[..., 3] = SHOWN, np.linspace(0, 255, SIZE[0]).round()
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    image = Image.fromarray(pixels)
    if path.suffix in PHOTOS:
        options = {".webp": {"exact": True, "lossless": True}, ".heic": {"quality": 95}}.get(path.suffix, {})
        pillow_heif.from_pillow(image).save(path, **options) if path.suffix == ".heic" else image.save(path, **options)
        return path
    suffix = path.name.removeprefix("a")
    codec, form, options = VIDEOS[suffix]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, form
        for k in range(6):
            frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=form)
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def rgb_of(frame) -> np.ndarray:
    """RGB of a frame by its tags, BT.601 if untagged; limited range."""
    unit = 1 << (frame.depth - 8)
    chroma = [np.kron(plane, np.ones((2, 2)))[: frame.y.shape[0], : frame.y.shape[1]] for plane in (frame.u, frame.v)]
    luma, blue, red = (frame.y / unit - 16) / 219, (chroma[0] / unit - 128) / 224, (chroma[1] / unit - 128) / 224
    weight = (0.2126, 0.0722) if frame.colour.matrix == 1 else (0.299, 0.114)
    r, b = luma + 2 * (1 - weight[0]) * red, luma + 2 * (1 - weight[1]) * blue
    g = (luma - weight[0] * r - weight[1] * b) / (1 - sum(weight))
    return 255 * np.stack([r, g, b], -1)


@pytest.mark.parametrize("background", [(0, 0, 0), (0, 177, 64), (255, 255, 255)])
@pytest.mark.parametrize("name", [*PHOTOS, *VIDEOS])
def test_the_background_shows_where_the_picture_is_transparent(tmp_path, name, background):
    clip = probe_video(save(tmp_path / f"a{name}", cut_out()))
    assert clip.video.transparent
    for frame in read(replace(clip, background=background), stop=2):
        rgb = rgb_of(frame)
        assert frame.alpha is None
        assert rgb[30, 20] == pytest.approx(background, abs=5)
        assert rgb[30, 80] == pytest.approx(SHOWN, abs=5)


@pytest.mark.parametrize("name", [*PHOTOS, *VIDEOS])
def test_without_a_background_alpha_is_kept_and_the_hidden_colour_is_not(tmp_path, name):
    clip = replace(probe_video(save(tmp_path / f"a{name}", cut_out())), background=None)
    assert clip.keeps_transparency
    frame = next(read(clip))
    opaque = (1 << frame.depth) - 1
    assert (frame.alpha.shape, int(frame.alpha[30, 20]), int(frame.alpha[30, 80])) == (frame.y.shape, 0, opaque)
    rgb = rgb_of(frame)
    assert rgb[30, 20] == pytest.approx((0, 0, 0), abs=5)
    assert rgb[30, 80] == pytest.approx(SHOWN, abs=5)


@pytest.mark.parametrize("name", [".png", ".webm", ".mov"])
def test_half_transparent_parts_are_blended(tmp_path, name):
    clip = replace(probe_video(save(tmp_path / f"a{name}", cut_out(ramp=True))), background=(0, 0, 0))
    red = rgb_of(next(read(clip)))[32, :, 0]
    assert red[[10, 48, 85]] == pytest.approx([200 * x / 95 for x in (10, 48, 85)], abs=6)


@pytest.mark.parametrize("mode", ["RGBA", "RGB"])
def test_an_opaque_photo_is_not_transparent(tmp_path, mode):
    Image.new(mode, (64, 64), "white").save(tmp_path / "a.png")
    assert not probe_video(tmp_path / "a.png").video.transparent


@pytest.mark.parametrize("opacity", [255, 0])
def test_a_palette_is_transparent_only_if_one_of_its_colours_is(tmp_path, opacity):
    palette = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
    palette[1] = (opacity, 200, 200, 200)
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        stream = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "pal8"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray((np.ones(SIZE[::-1], np.uint8), palette), "pal8")))
        out.mux(stream.encode(None))
    clip = replace(probe_video(tmp_path / "a.mov"), background=None)
    assert clip.video.transparent is (opacity == 0)
    assert (next(read(clip)).alpha is None) is (opacity == 255)


@pytest.mark.parametrize("transform", [{"resize_factor": 2}, {"rotated": True}, {"crop": (3, 45, 5, 91)}])
def test_alpha_is_transformed_like_luma(tmp_path, transform):
    clip = replace(probe_video(save(tmp_path / "a.png", cut_out())), background=None)
    frame = next(read(transformed(clip, **transform)))
    assert frame.alpha.shape == frame.y.shape
    assert np.abs((frame.y > 100) * 255.0 - frame.alpha).mean() < 4


@pytest.mark.parametrize(
    ("preset", "suffix", "source"),
    [
        ("webm", ".webm", ".png"),
        ("webm", ".mkv", ".webm"),
        ("prores4444", ".mov", ".png"),
        ("prores4444", ".mov", ".mov"),
    ],
)
def test_the_result_keeps_transparency(tmp_path, voice, preset, suffix, source):
    encoding = encoding_named(preset)
    assert holds_transparency(encoding, suffix)
    clip = replace(probe_video(save(tmp_path / f"a{source}", cut_out(ramp=True))), background=None)
    frame = next(read(clip))
    output = tmp_path / f"result{suffix}"
    write(((frame,) for _ in range(5)), [output], video=clip, audio=probe(voice), frame_count=5, encoding=encoding)
    result = probe_video(output)
    assert result.video.transparent
    back = next(read(replace(result, background=None)))
    copy = tmp_path / f"copy{suffix}"
    write_av_offset_copy(output, copy, audio=probe(voice), offset=Fraction(2, 25), encoding=encoding)
    assert probe_video(copy).video.transparent
    expected = np.linspace(0, (1 << back.depth) - 1, SIZE[0])
    assert np.abs(back.alpha[32] - expected).mean() < 6 * (1 << (back.depth - 8))


@pytest.mark.parametrize(
    ("preset", "suffix"), [("fast", ".mp4"), ("prores", ".mov"), ("webm", ".mp4"), ("av1", ".mkv"), ("hevc", ".mov")]
)
def test_other_results_cannot_hold_transparency(preset, suffix):
    assert not holds_transparency(encoding_named(preset), suffix)


def test_a_result_without_transparency_says_so_and_one_with_it_does_not(tmp_path, voice):
    path = save(tmp_path / "a.png", cut_out())
    outputs = {"a.mp4": {}, "a.webm": {"encode": "webm"}}
    warnings = {}
    for name, options in outputs.items():
        result = lipsync.sync(path, voice, tmp_path / name, engine="passthrough", background="#ffffff", **options)
        warnings[name] = [text for text in result.warnings if "transparent" in text]
    assert [len(texts) for texts in warnings.values()] == [1, 0]
    assert rgb_of(next(read(probe_video(tmp_path / "a.mp4"))))[30, 20] == pytest.approx((255, 255, 255), abs=4)
    assert int(next(read(replace(probe_video(tmp_path / "a.webm"), background=None))).alpha[30, 20]) < 8


def test_alpha_moves_with_the_head_and_grows_with_the_frame(photo, to_frame, photo_faces):
    frame = to_frame(photo, 0)
    frame = replace(frame, alpha=frame.y.copy())
    large = Lanczos(2).upscale(frame)
    assert large.alpha.shape == large.y.shape
    assert np.abs(large.alpha.astype(float) - large.y).mean() < 4
    warp = head_warp(frame, photo_faces.at(0))
    warp.apply(frame, np.array(EXCURSION, np.float32))
    assert np.abs(frame.alpha.astype(float) - photo_luma(photo, to_frame)).max() > 20
    assert np.abs(frame.alpha.astype(float) - frame.y).mean() < 1


def photo_luma(photo, to_frame) -> np.ndarray:
    return to_frame(photo, 0).y.astype(float)
