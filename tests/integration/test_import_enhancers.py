"""From a weights file to a working enhancer, through the command line."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lipsync.__main__ import main
from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.enhancers.base import EditedFrame, EnhancerContext, EnhancerOptions
from lipsync.errors import InferenceFailed
from lipsync.faces.smoothed_faces import SmoothedFaces
from lipsync.faces.track import TrackBuilder
from lipsync.frames.planes import writable_copy
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.model_registry import StoredWeights

pytest.importorskip("onnx", reason="builds the models")

ON_CPU = EnhancerOptions(device="cpu", precision="fp32")


@pytest.fixture
def import_model(tmp_path, capsys):
    """Import a file under a name; return its description and a resolver."""

    def run(path, name):
        store = tmp_path / "models"
        assert main(["models", "import", str(path), "--name", name, "--models-dir", str(store), "--json"]) == 0
        description = json.loads(capsys.readouterr().out)
        assert (description["name"], description["state"]) == (name, "ready")
        return description, StoredWeights(store, Monitor())

    return run


def context(find, **options):
    return EnhancerContext(replace(ON_CPU, **options), SessionCache(), Monitor(), find)


@pytest.fixture
def odd(photo, to_frame):
    """A frame with odd sides, cut out of the photo."""

    def cut(height, width):
        whole = to_frame(photo)
        half = (height + 1) // 2, (width + 1) // 2
        planes = (
            whole.y[60 : 60 + height, 190 : 190 + width],
            *(p[30:, 95:][: half[0], : half[1]] for p in (whole.u, whole.v)),
        )
        return replace(whole, y=planes[0], u=planes[1], v=planes[2])

    return cut


@pytest.mark.parametrize(
    ("name", "network", "own", "factor"),
    [
        ("realesr-general-x4v3", "srvgg", 4, 2),
        ("realesr-general-x4v3", "srvgg", 4, 4),
        ("realesrgan-x4plus", "rrdbnet", 4, 2),
        ("realesrgan-x2plus", "rrdbnet", 2, 2),
    ],
)
@pytest.mark.parametrize("size", [(61, 83), (1, 1), (64, 129)])
def test_an_imported_upscaler_enlarges_frames_of_any_size(
    import_model, odd, write_checkpoint, upscaler_weights, tmp_path, name, network, own, factor, size
):
    description, find = import_model(write_checkpoint(tmp_path / "a.pth", upscaler_weights(network, own)), name)
    assert description["kind"] == "upscaler"
    source = odd(*size)
    results = [UPSCALERS[name].open(factor, context(find, tile=tile)).upscale(source) for tile in (64, 256)]
    height, width = (side * factor for side in size)
    for large in results:
        assert large.y.shape == (height, width)
        assert large.u.shape == large.v.shape == ((height + 1) // 2, (width + 1) // 2)
        assert large.colour == source.colour
        averaged = large.y.reshape(size[0], factor, size[1], factor).mean((1, 3))
        assert np.abs(averaged - source.y).mean() < 12  # back-projection keeps any output close to the input
    assert np.abs(results[0].y.astype(int) - results[1].y).max() <= 1


def test_a_model_of_another_scale_than_its_name_says_is_refused(
    import_model, odd, write_checkpoint, upscaler_weights, tmp_path
):
    _, find = import_model(write_checkpoint(tmp_path / "a.pth", upscaler_weights("srvgg", 2)), "realesr-general-x4v3")
    upscaler = UPSCALERS["realesr-general-x4v3"].open(2, context(find))
    with pytest.raises(InferenceFailed, match="produced shape"):
        upscaler.upscale(odd(61, 83))


@pytest.fixture(scope="module")
def spoken(moved, to_frame, landmarker):
    """A frame with a changed mouth, and the track of its face."""
    source = to_frame(moved((160, 115), 1.6))
    after = writable_copy(source)
    after.y[130:170, 140:190] -= after.y[130:170, 140:190] // 4
    with TrackBuilder() as builder:
        builder.add(landmarker.find(source)[0], False)
        with builder.finish(Fraction(25)) as track:
            yield EditedFrame(after, source, True), track


@pytest.mark.parametrize("device", ["cpu", "onnxruntime"])
@pytest.mark.parametrize(
    ("name", "side", "fidelity_shape"),
    [
        ("codeformer", 512, ()),
        ("codeformer", 512, (1,)),
        ("codeformer", 256, (1,)),
        ("gfpgan-1.4", 512, None),
        ("gpen-bfr-512", 256, None),
    ],
)
def test_an_imported_restorer_restores_the_edited_area(
    import_model, spoken, face_restorer, tmp_path, name, side, fidelity_shape, device
):
    if device == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="the other device")
    (tmp_path / "a.onnx").write_bytes(face_restorer(side, fidelity_shape))
    description, find = import_model(tmp_path / "a.onnx", name)
    assert (description["kind"], description["format"]) == ("restorer", "ONNX")
    edit, track = spoken
    changes = {}
    for fidelity in (0.25, 1.0):
        given = EditedFrame(writable_copy(edit.after), edit.before, True)
        enhancer = RESTORERS[name].open(context(find, device=device, fidelity=fidelity))
        with closing(enhancer.enhance(iter([given]), SmoothedFaces(track))) as done:
            (frame,) = done
        assert enhancer.run_info.device == device
        changes[fidelity] = np.abs(frame.after.y.astype(int) - edit.after.y)[135:165, 145:185].mean()
    assert changes[0.25] > 2
    assert changes[1.0] < 0.5 if fidelity_shape is not None else changes[1.0] == changes[0.25]
