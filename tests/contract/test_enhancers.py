"""The contract of all enhancers."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lipsync.enhancers import RESTORERS, UPSCALE_FACTORS, UPSCALERS, best_upscaler, check_enhancer, parse_upscale
from lipsync.enhancers.base import EditedFrame, EnhancerContext, EnhancerOptions
from lipsync.enhancers.upscale.ncnn import NCNN_MODELS, is_installed
from lipsync.errors import ModelMissing, OptionInvalid
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy
from lipsync.models.devices import DEVICES, PRECISIONS
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.types import Face

onnx = pytest.importorskip("onnx", reason="builds the models")

FRAMES = 6
LEFT = 4  # first frame without a face
ON_CPU = EnhancerOptions(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def sessions() -> SessionCache:
    return SessionCache()


@pytest.fixture(scope="module")
def find(tmp_path_factory):
    """A resolver of tiny stand-ins: restorers draw stripes, upscalers repeat pixels."""
    folder = tmp_path_factory.mktemp("store")

    def graph(name: str, half: bool):
        path = folder / f"{name}{half}.onnx"
        make = restorer_graph if name in RESTORERS else upscaler_graph
        path.write_bytes(make(name))
        return path

    return graph


def restorer_graph(name: str) -> bytes:
    stripes = np.where(np.arange(512) // 12 % 2, np.float32(0.3), np.float32(-0.3))
    constants = {"more": np.tile(stripes, (1, 1, 512, 1)), "one": np.float32(1), "less": np.float32(-1)}
    nodes = [("Add", ["x", "more"], ["striped"]), ("Min", ["striped", "one"], ["clipped"])]
    inputs = {"x": (1, [1, 3, 512, 512])}
    if name == "codeformer":
        inputs["weight"] = (11, [1])
        nodes += [("Cast", ["weight"], ["real"]), ("Mul", ["real", "less"], ["minus"])]
        nodes += [("Mul", ["minus", "real"], ["unused"]), ("Identity", ["clipped"], ["out"])]
    else:
        nodes.append(("Identity", ["clipped"], ["out"]))
    return model(nodes, inputs, ("out", [1, 3, 512, 512]), constants)


def upscaler_graph(name: str) -> bytes:
    factor = 2 if "x2" in name else 4
    constants = {"scale": np.array([1, 1, factor, factor], np.float32)}
    nodes = [("Resize", ["x", "", "scale"], ["out"])]
    return model(nodes, {"x": (1, [1, 3, "h", "w"])}, ("out", [1, 3, "H", "W"]), constants)


def model(nodes, inputs, output, constants) -> bytes:
    helper = onnx.helper
    protos = [helper.make_node(kind, a, b, **({"to": 1} if kind == "Cast" else {})) for kind, a, b in nodes]
    ports = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    result = helper.make_tensor_value_info(output[0], 1, output[1])
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(protos, "tiny", ports, [result], stored)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(whole.SerializeToString())


@pytest.fixture(params=RESTORERS)
def restorer(request, sessions, find):
    return RESTORERS[request.param].open(EnhancerContext(ON_CPU, sessions, Monitor(), find))


@pytest.fixture(params=[(name, factor) for name, entry in UPSCALERS.items() for factor in entry.factors], ids=str)
def upscaler(request, sessions, find):
    name, factor = request.param
    if name in ("span", "realesr-animevideov3") and not is_installed(name, factor):
        if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
            pytest.fail(UPSCALERS[name].install)
        pytest.skip(UPSCALERS[name].install)
    options = replace(ON_CPU, tile=64)
    return UPSCALERS[name].open(factor, EnhancerContext(options, sessions, Monitor(), find))


@pytest.fixture(scope="module")
def speaker(moved, to_frame, landmarker):
    """Frames with odd sides, and the track of their face, which is lost in the last ones."""
    sources = [to_frame(moved((160 + k, 115), 1.6), k) for k in range(FRAMES)]
    with TrackBuilder() as builder:
        for k, source in enumerate(sources):
            found = landmarker.find(source)
            builder.add(Face(found[0].landmarks, 1.0) if k < LEFT else None, False)
        with builder.finish(Fraction(25)) as track:
            yield [odd(source) for source in sources], track


def odd(source):
    return replace(source, y=source.y[:-1, :-1], u=source.u, v=source.v)


def deep(source):
    planes = [plane.astype(np.uint16) << 2 for plane in (source.y, source.u, source.v)]
    return replace(source, y=planes[0], u=planes[1], v=planes[2], depth=10)


def edits(sources, edited=lambda k: k != 1):
    """Frames with a darkened mouth."""
    for k, source in enumerate(sources):
        after = writable_copy(source)
        if edited(k):
            after.y[130:170, 140:190] -= after.y[130:170, 140:190] // 4
        yield EditedFrame(after, source, edited(k))


def values(source):
    return np.concatenate([plane.ravel() for plane in (source.y, source.u, source.v)])


def test_frames_are_in_order_and_unchanged_without_edits_or_a_face(restorer, speaker):
    sources, track = speaker
    with closing(restorer.enhance(edits(sources), SmoothedFaces(track))) as done:
        frames = list(done)
    assert [frame.after.index for frame in frames] == list(range(FRAMES))
    for k, (frame, given) in enumerate(zip(frames, edits(sources), strict=True)):
        assert (values(frame.after) == values(given.after)).all() == (k == 1 or k >= LEFT)
        assert (values(frame.before) == values(sources[k])).all()


@pytest.mark.parametrize("depth", [8, 10])
def test_only_the_edited_area_is_restored_at_its_own_depth(restorer, speaker, depth):
    sources, track = speaker
    sources = [source if depth == 8 else deep(source) for source in sources]
    with closing(restorer.enhance(edits(sources), SmoothedFaces(track))) as done:
        frame, given = next(done), next(edits(sources))
    changed = frame.after.y != given.after.y
    assert changed[135:165, 145:185].any()
    changed[130:170, 140:190] = False
    assert not changed.any()
    chroma = frame.after.u != given.after.u
    chroma[65:85, 70:95] = False
    assert not chroma.any()
    assert frame.after.y.dtype == sources[0].y.dtype


@pytest.mark.parametrize("name", RESTORERS)
def test_a_strength_of_zero_changes_nothing(name, sessions, find, speaker):
    sources, track = speaker
    options = replace(ON_CPU, strength=0.0)
    enhancer = RESTORERS[name].open(EnhancerContext(options, sessions, Monitor(), find))
    with closing(enhancer.enhance(edits(sources), SmoothedFaces(track))) as done:
        for frame, given in zip(done, edits(sources), strict=True):
            assert (values(frame.after) == values(given.after)).all()


def test_restoring_is_deterministic(restorer, speaker):
    sources, track = speaker
    faces = SmoothedFaces(track)
    for one, other in zip(
        restorer.enhance(edits(sources), faces), restorer.enhance(edits(sources), faces), strict=True
    ):
        assert (values(one.after) == values(other.after)).all()


def test_restoring_can_be_stopped_at_any_time(restorer, speaker):
    sources, track = speaker
    frames = restorer.enhance(edits(sources), SmoothedFaces(track))
    next(frames)
    frames.close()
    assert next(frames, None) is None


def test_a_restorer_reports_device_and_precision(restorer):
    assert restorer.run_info.device in DEVICES
    assert restorer.run_info.precision in PRECISIONS


@pytest.mark.parametrize("depth", [8, 10])
def test_a_frame_grows_by_the_factor_and_keeps_its_depth_and_colours(upscaler, speaker, depth):
    sources, _ = speaker
    source = cut(sources[0] if depth == 8 else deep(sources[0]))
    large = upscaler.upscale(source)
    height, width = (side * upscaler.factor for side in source.y.shape)
    assert large.y.shape == (height, width)
    assert large.u.shape == large.v.shape == ((height + 1) // 2, (width + 1) // 2)
    assert (large.depth, large.colour, large.index) == (source.depth, source.colour, source.index)
    assert large.y.dtype == source.y.dtype
    assert abs(float(large.y.mean()) - float(source.y.mean())) < 1 << (depth - 8)
    assert abs(float(large.u.mean()) - float(source.u.mean())) < 2 << (depth - 8)


def test_upscaling_is_deterministic_and_does_not_change_the_input(upscaler, speaker):
    source = cut(speaker[0][0])
    before = values(source).copy()
    first = upscaler.upscale(source)
    assert (values(first) == values(upscaler.upscale(source))).all()
    assert (values(source) == before).all()


def test_a_grey_frame_stays_grey(upscaler, speaker):
    source = cut(speaker[0][0])
    flat = replace(source, y=np.full_like(source.y, 90), u=np.full_like(source.u, 128), v=np.full_like(source.v, 128))
    large = upscaler.upscale(flat)
    assert np.abs(large.y.astype(int) - 90).max() <= 1
    assert np.abs(large.u.astype(int) - 128).max() <= 1


def cut(source):
    """A part with odd sides, small enough for slow models."""
    return replace(source, y=source.y[60:111, 120:193], u=source.u[30:56, 60:97], v=source.v[30:56, 60:97])


def test_a_missing_model_is_named(sessions):
    def nothing(name, half):
        raise ModelMissing(f"no {name}")

    with pytest.raises(ModelMissing, match="gfpgan"):
        RESTORERS["gfpgan-1.4"].open(EnhancerContext(ON_CPU, sessions, Monitor(), nothing))


@pytest.mark.parametrize(
    ("restorer", "upscaler"),
    [("unknown", None), (None, (2, "unknown")), (None, (4, "realesrgan-x2plus")), (None, (3, "lanczos"))],
)
def test_unknown_enhancers_and_factors_are_refused(restorer, upscaler):
    with pytest.raises(OptionInvalid, match=r"expected one of|supports a factor of"):
        check_enhancer(restorer, upscaler)


def test_every_enhancer_is_accepted():
    for name in RESTORERS:
        check_enhancer(name, None)
    for name, entry in UPSCALERS.items():
        for factor in entry.factors:
            check_enhancer(None, (factor, name))
    assert {name for name, _ in NCNN_MODELS} <= set(UPSCALERS)


def test_upscale_names_the_factor_and_optionally_the_upscaler():
    assert parse_upscale("2") == (2, None)
    assert parse_upscale("4:span") == (4, "span")
    for nonsense in ("3", "", "x", "2:", ":span", "-2"):
        with pytest.raises(OptionInvalid):
            parse_upscale(nonsense)


@pytest.mark.parametrize("factor", UPSCALE_FACTORS)
def test_the_best_upscaler_is_installed(factor):
    name, note = best_upscaler(factor)
    assert (name, note is None) == (("span", True) if is_installed("span", factor) else ("lanczos", False))
