from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.enhancers.base import EnhancerOptions
from lipsync.enhancers.upscale.lanczos import Lanczos
from lipsync.enhancers.upscale.ncnn import load_network
from lipsync.enhancers.upscale.tiled import TiledUpscaler, UpscaleParams, UpscalerNetwork, back_project
from lipsync.errors import Cancelled, ExtraMissing, InferenceFailed, OutOfMemory
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor


class Blurred:
    """A model that blurs and repeats pixels, with a margin of 2, for at most ``max_pixels`` of input."""

    device, precision = "cpu", "fp32"

    def __init__(self, factor=2, max_pixels=1 << 30):
        self.factor, self.max_pixels, self.sizes = factor, max_pixels, []

    def run(self, inputs):
        _, _, high, wide = inputs[0].shape
        self.sizes.append((high, wide))
        if high * wide > self.max_pixels:
            raise OutOfMemory("too large")
        soft = cv2.blur(inputs[0][0].transpose(1, 2, 0), (5, 5))
        large = cv2.resize(soft, None, fx=self.factor, fy=self.factor, interpolation=cv2.INTER_NEAREST)
        return [large.transpose(2, 0, 1)[None]]


def upscaler(network, tile, margin=4, monitor=None, **options):
    params = UpscaleParams(options.pop("factor", network.factor), tile, **options)
    opened = UpscalerNetwork(lambda height, width: network, network.factor, margin)
    return TiledUpscaler(opened, params, monitor or Monitor())


@pytest.fixture
def frame(photo, to_frame):
    whole = to_frame(photo)
    return replace(whole, y=whole.y[:201, :301], u=whole.u[:101, :151], v=whole.v[:101, :151])


def far(one, other):
    pairs = [(one.y, other.y), (one.u, other.u), (one.v, other.v)]
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in pairs)


@pytest.mark.parametrize("factor", [2, 4])
def test_tiles_leave_no_seams(frame, factor):
    whole = upscaler(Blurred(factor), 1024, margin=8).upscale(frame)
    assert far(whole, upscaler(Blurred(factor), 64, margin=8).upscale(frame)) == 0


def test_a_model_of_scale_4_upscales_by_2(frame):
    large = upscaler(Blurred(4), 128, factor=2).upscale(frame)
    assert large.y.shape == (402, 602)


def test_tiles_are_halved_and_reported_when_memory_runs_out(frame):
    network = Blurred(max_pixels=80 * 80)
    tiled = upscaler(network, 256)
    assert far(tiled.upscale(frame), upscaler(Blurred(), 64).upscale(frame)) == 0
    assert tiled.run_info.notes == ("out of memory with tiles of 256 pixels; continued with 64",)


def test_a_first_tile_that_is_too_large_is_halved_too(frame):
    def opened(high, wide):
        if high > 150:
            raise OutOfMemory("too large")
        return Blurred()

    tiled = TiledUpscaler(UpscalerNetwork(opened, 2, 4), UpscaleParams(2), Monitor())
    assert far(tiled.upscale(frame), upscaler(Blurred(), 64).upscale(frame)) == 0
    assert "continued with 128" in tiled.run_info.notes[0]


def test_begin_resets_the_confidence(frame):
    def fresh():
        return TiledUpscaler(
            UpscalerNetwork(lambda height, width: Wrong(), 2, 4, psnr_oriented=True), UpscaleParams(2, 128), Monitor()
        )

    columns = np.arange(frame.y.shape[1])
    striped = replace(frame, y=np.broadcast_to(np.uint8(80 + 44 * (columns % 2)), frame.y.shape))
    alone, after, begun = fresh(), fresh(), fresh()
    for one in (after, begun):
        one.upscale(striped)
    begun.begin()
    want = alone.upscale(frame)
    assert far(begun.upscale(frame), want) == 0
    assert far(after.upscale(frame), want) > 0


def test_the_smallest_tile_is_not_halved(frame):
    with pytest.raises(OutOfMemory):
        upscaler(Blurred(max_pixels=10), 256).upscale(frame)


def test_strength_blends_the_model_over_lanczos(frame):
    plain, all_of_it, half = (upscaler(Blurred(), 64, strength=s).upscale(frame).y for s in (0.0, 1.0, 0.5))
    assert (plain == Lanczos(2).upscale(frame).y).all()
    between = (plain.astype(float) + all_of_it) / 2
    assert np.abs(between - half)[8:-8, 8:-8].max() <= 1.5


def test_downscaling_the_output_reproduces_the_input(frame):
    for passes, off in ((0, 20), (4, 3)):
        large = upscaler(Blurred(), 64, back_projections=passes).upscale(frame).y[:, :-2]
        small = cv2.resize(large, (300, 201), interpolation=cv2.INTER_AREA)
        error = np.abs(small.astype(int) - frame.y[:, :300]).max()
        assert error <= off if passes else error > off


def test_back_projection_keeps_a_consistent_output():
    small = np.random.default_rng(1).uniform(0, 255, (20, 30, 3)).astype(np.float32)
    large = np.repeat(np.repeat(small, 2, 0), 2, 1)
    assert np.allclose(back_project(large, small, 3), large, atol=1e-3)


def test_an_inaccurate_model_is_not_blended_in(frame):
    network = UpscalerNetwork(lambda height, width: Wrong(), 2, 4, psnr_oriented=True)
    result = TiledUpscaler(network, UpscaleParams(2, 128), Monitor()).upscale(frame)
    assert far(result, Lanczos(2).upscale(frame)) < 30
    assert np.abs(result.y.astype(int) - Lanczos(2).upscale(frame).y)[16:-16, 16:-16].max() <= 1


class Wrong(Blurred):
    """Upscale, and add a pattern that the input does not have."""

    def run(self, inputs):
        (large,) = super().run(inputs)
        return [large + 0.2 * (np.indices(large.shape)[3] % 2 - 0.5)]


def test_cancelling_stops_between_tiles(frame):
    monitor = Monitor()
    monitor.cancel()
    with pytest.raises(Cancelled):
        upscaler(Blurred(), 64, monitor=monitor).upscale(frame)


class Odd(Blurred):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def run(self, inputs):
        return [self.answer(super().run(inputs)[0])]


@pytest.mark.parametrize("answer", [lambda large: large[..., 1:], lambda large: large * np.nan])
def test_an_invalid_output_is_refused(frame, answer):
    with pytest.raises(InferenceFailed):
        upscaler(Odd(answer), 64).upscale(frame)


@pytest.mark.parametrize("at", [(0, 0), (100, 100), (200, 200)])
def test_span_is_closer_to_the_truth_than_lanczos(photo, to_frame, weights_installed, at):
    from skimage.metrics import structural_similarity

    weights_installed("span")
    truth = np.ascontiguousarray(photo[at[0] : at[0] + 256, at[1] : at[1] + 256])
    small = to_frame(cv2.resize(truth, (128, 128), interpolation=cv2.INTER_AREA))
    expected = to_frame(truth).y
    network = load_network("span", 2, EnhancerOptions(), SessionCache())
    result, plain = TiledUpscaler(network, UpscaleParams(2), Monitor()).upscale(small).y, Lanczos(2).upscale(small).y
    assert np.square(result.astype(float) - expected).mean() <= np.square(plain.astype(float) - expected).mean()
    assert structural_similarity(result, expected) >= structural_similarity(plain, expected)


@pytest.mark.parametrize("name", ["span", "realesr-animevideov3"])
def test_tiles_of_real_models_leave_no_seams(frame, weights_installed, name):
    weights_installed(name)
    network = load_network(name, 2, EnhancerOptions(precision="fp32"), SessionCache())
    one, other = (
        TiledUpscaler(replace(network, psnr_oriented=False), UpscaleParams(2, side), Monitor()) for side in (512, 96)
    )
    assert far(one.upscale(frame), other.upscale(frame)) < 1


@pytest.fixture
def weights_installed():
    import os

    from lipsync.enhancers.upscale.ncnn import NCNN_MODELS, locate

    def check(name):
        try:
            locate(NCNN_MODELS[name, 2])
        except ExtraMissing as exc:
            if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
                pytest.fail(str(exc))
            pytest.skip(str(exc))

    return check
