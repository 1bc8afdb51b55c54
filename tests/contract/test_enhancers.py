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
    made = [helper.make_node(kind, a, b, **({"to": 1} if kind == "Cast" else {})) for kind, a, b in nodes]
    ports = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    result = helper.make_tensor_value_info(output[0], 1, output[1])
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(made, "tiny", ports, [result], stored)
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
def shown(moved, to_picture, landmarker):
    """Frames with odd sides, and the track of their face, which is lost in the last ones."""
    pictures = [to_picture(moved((160 + k, 115), 1.6), k) for k in range(FRAMES)]
    with TrackBuilder() as builder:
        for k, picture in enumerate(pictures):
            found = landmarker.find(picture)
            builder.add(Face(found[0].landmarks, 1.0) if k < LEFT else None, False)
        with builder.finish(Fraction(25)) as track:
            yield [odd(picture) for picture in pictures], track


def odd(picture):
    return replace(picture, y=picture.y[:-1, :-1], u=picture.u, v=picture.v)


def deep(picture):
    planes = [plane.astype(np.uint16) << 2 for plane in (picture.y, picture.u, picture.v)]
    return replace(picture, y=planes[0], u=planes[1], v=planes[2], depth=10)


def edits(pictures, edited=lambda k: k != 1):
    """Frames with a darkened mouth."""
    for k, picture in enumerate(pictures):
        after = writable_copy(picture)
        if edited(k):
            after.y[130:170, 140:190] -= after.y[130:170, 140:190] // 4
        yield EditedFrame(after, picture, edited(k))


def values(picture):
    return np.concatenate([plane.ravel() for plane in (picture.y, picture.u, picture.v)])


def test_frames_are_in_order_and_unchanged_without_edits_or_a_face(restorer, shown):
    pictures, track = shown
    with closing(restorer.enhance(edits(pictures), SmoothedFaces(track))) as done:
        frames = list(done)
    assert [frame.after.index for frame in frames] == list(range(FRAMES))
    for k, (frame, given) in enumerate(zip(frames, edits(pictures), strict=True)):
        assert (values(frame.after) == values(given.after)).all() == (k == 1 or k >= LEFT)
        assert (values(frame.before) == values(pictures[k])).all()


@pytest.mark.parametrize("depth", [8, 10])
def test_only_the_edited_area_is_restored_at_its_own_depth(restorer, shown, depth):
    pictures, track = shown
    pictures = [picture if depth == 8 else deep(picture) for picture in pictures]
    with closing(restorer.enhance(edits(pictures), SmoothedFaces(track))) as done:
        frame, given = next(done), next(edits(pictures))
    changed = frame.after.y != given.after.y
    assert changed[135:165, 145:185].any()
    changed[130:170, 140:190] = False
    assert not changed.any()
    chroma = frame.after.u != given.after.u
    chroma[65:85, 70:95] = False
    assert not chroma.any()
    assert frame.after.y.dtype == pictures[0].y.dtype


@pytest.mark.parametrize("name", RESTORERS)
def test_a_strength_of_zero_changes_nothing(name, sessions, find, shown):
    pictures, track = shown
    options = replace(ON_CPU, strength=0.0)
    enhancer = RESTORERS[name].open(EnhancerContext(options, sessions, Monitor(), find))
    with closing(enhancer.enhance(edits(pictures), SmoothedFaces(track))) as done:
        for frame, given in zip(done, edits(pictures), strict=True):
            assert (values(frame.after) == values(given.after)).all()


def test_restoring_is_deterministic(restorer, shown):
    pictures, track = shown
    faces = SmoothedFaces(track)
    for one, other in zip(
        restorer.enhance(edits(pictures), faces), restorer.enhance(edits(pictures), faces), strict=True
    ):
        assert (values(one.after) == values(other.after)).all()


def test_restoring_can_be_stopped_at_any_time(restorer, shown):
    pictures, track = shown
    frames = restorer.enhance(edits(pictures), SmoothedFaces(track))
    next(frames)
    frames.close()
    assert next(frames, None) is None


def test_a_restorer_reports_device_and_precision(restorer):
    assert restorer.run_info.device in DEVICES
    assert restorer.run_info.precision in PRECISIONS


@pytest.mark.parametrize("depth", [8, 10])
def test_a_frame_grows_by_the_factor_and_keeps_its_depth_and_colours(upscaler, shown, depth):
    pictures, _ = shown
    picture = cut(pictures[0] if depth == 8 else deep(pictures[0]))
    large = upscaler.upscale(picture)
    height, width = (side * upscaler.factor for side in picture.y.shape)
    assert large.y.shape == (height, width)
    assert large.u.shape == large.v.shape == ((height + 1) // 2, (width + 1) // 2)
    assert (large.depth, large.colour, large.index) == (picture.depth, picture.colour, picture.index)
    assert large.y.dtype == picture.y.dtype
    assert abs(float(large.y.mean()) - float(picture.y.mean())) < 1 << (depth - 8)
    assert abs(float(large.u.mean()) - float(picture.u.mean())) < 2 << (depth - 8)


def test_upscaling_is_deterministic_and_does_not_change_the_input(upscaler, shown):
    picture = cut(shown[0][0])
    before = values(picture).copy()
    first = upscaler.upscale(picture)
    assert (values(first) == values(upscaler.upscale(picture))).all()
    assert (values(picture) == before).all()


def test_a_grey_frame_stays_grey(upscaler, shown):
    picture = cut(shown[0][0])
    flat = replace(
        picture, y=np.full_like(picture.y, 90), u=np.full_like(picture.u, 128), v=np.full_like(picture.v, 128)
    )
    large = upscaler.upscale(flat)
    assert np.abs(large.y.astype(int) - 90).max() <= 1
    assert np.abs(large.u.astype(int) - 128).max() <= 1


def cut(picture):
    """A part with odd sides, small enough for slow models."""
    return replace(picture, y=picture.y[60:111, 120:193], u=picture.u[30:56, 60:97], v=picture.v[30:56, 60:97])


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
