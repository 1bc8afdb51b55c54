"""Models of several kinds in one folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.architecture import expected_weights
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.enhancers.converters import CONVERTERS as ENHANCER_CONVERTERS
from lipsync.enhancers.converters import NETWORK, NETWORK_HALF
from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    ModelMissing,
    NotACheckpoint,
    OptionInvalid,
)
from lipsync.models.catalogue import ModelInfo
from lipsync.models.conversion import RECORD
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store
from lipsync.monitor import Monitor

pytest.importorskip("onnx", reason="makes the networks")

QUIET = Monitor()
CONVERTERS = (GENERATOR, *ENHANCER_CONVERTERS)


@pytest.fixture
def registry(tmp_path) -> ModelRegistry:
    return ModelRegistry(Store(tmp_path / "models"), CONVERTERS, reserved=ENGINES)


@pytest.fixture(scope="module")
def files(write_checkpoint, upscaler_weights, face_restorer, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = {name: write_checkpoint(folder / f"{name}.pth", upscaler_weights(name, 4)) for name in ("rrdbnet", "srvgg")}
    (folder / "restorer.onnx").write_bytes(face_restorer(fidelity_shape=()))
    return paths | {"restorer": folder / "restorer.onnx"}


@pytest.fixture(scope="module")
def generator(write_checkpoint, tmp_path_factory) -> Path:
    dice = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_weights().items():
        noise = dice.standard_normal(shape, np.float32)
        spread = 0.1 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[1:]))
        weights[name] = noise * np.float32(spread) + np.float32(name.endswith(("running_var", "block.1.weight")))
    return write_checkpoint(tmp_path_factory.mktemp("generator") / "mouths.pth", weights)


def test_the_converter_is_found_by_the_content_of_the_file(registry, files, generator):
    facts = {}
    for path in (*files.values(), generator):
        network = registry.import_file(path, None, QUIET)
        facts[network.name] = (network.kind, network.format, json.loads(network.graph(RECORD).read_text())["network"])
        registry.verify(registry.item(network.name), QUIET)
    assert facts == {
        "rrdbnet": ("upscaler", "torch zip", "RRDBNet"),
        "srvgg": ("upscaler", "torch zip", "SRVGGNetCompact"),
        "restorer": ("restorer", "ONNX", "ONNX face restorer"),
        "mouths": ("generator", "torch zip", "Wav2Lip"),
    }
    ready = {item.name: item.kind for item in registry.items() if item.state == "ready"}
    assert ready == {name: kind for name, (kind, _, _) in facts.items()}
    assert registry.find("srvgg").graph(NETWORK_HALF).is_file()
    assert registry.find("restorer").graph(NETWORK).read_bytes() == files["restorer"].read_bytes()
    assert not registry.find("restorer").graph(NETWORK_HALF).exists()


def test_a_published_model_has_a_kind_before_it_is_downloaded(registry):
    kinds = {item.name: item.kind for item in registry.items()}
    assert (kinds["wav2lip"], kinds["codeformer"], kinds["realesrgan-x2plus"]) == ("generator", "restorer", "upscaler")


def test_a_model_of_another_kind_is_refused(tmp_path, registry, files, generator):
    registry.import_file(files["srvgg"], "mine", QUIET)
    generators = ModelRegistry(Store(tmp_path / "models"), (GENERATOR,))
    with pytest.raises(CheckpointMismatch, match="'mine' is of kind upscaler: expected generator"):
        generators.find("mine")
    with pytest.raises(CheckpointMismatch, match="kind upscaler: expected generator"):
        generators.convert(files["srvgg"], QUIET)
    with pytest.raises(CheckpointMismatch):
        generators.convert(files["rrdbnet"], QUIET)
    registry.import_file(generator, "mouths", QUIET)
    with pytest.raises(CheckpointMismatch, match="'mouths' is of kind generator: expected restorer or upscaler"):
        ModelRegistry(Store(tmp_path / "models"), ENHANCER_CONVERTERS).find("mouths")


def test_a_download_of_another_kind_is_refused_before_it_is_read(tmp_path):
    entry = ModelInfo("large", "large.pth", 3, "0" * 64, ("https://nowhere",), "none", kind="upscaler")
    store = Store(tmp_path, {"large": entry})
    store.path_of("large").write_bytes(b"abc")
    with pytest.raises(CheckpointMismatch, match="kind upscaler: expected generator"):
        ModelRegistry(store, (GENERATOR,)).find("large")


def test_an_unknown_name_lists_the_published_models_of_the_kind(tmp_path):
    with pytest.raises(ModelMissing) as caught:
        ModelRegistry(Store(tmp_path), (GENERATOR,)).find("nonsense")
    assert "fetch wav2lip|wav2lip-gan --accept-license" in str(caught.value)
    assert "import FILE --name nonsense" in str(caught.value)


@pytest.mark.parametrize("name", ["a.0.weight", "conv.weight", "body.0.weight"])
def test_a_file_of_an_unknown_architecture_lists_the_known_ones(tmp_path, registry, write_checkpoint, name):
    path = write_checkpoint(tmp_path / "other.pth", {name: np.ones((2, 2), np.float32)})
    with pytest.raises(CheckpointMismatch) as caught:
        registry.import_file(path, None, QUIET)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    if name != "body.0.weight":  # a key of SRVGGNetCompact alone
        assert all(converter.name in message for converter in CONVERTERS)
    assert [path.name for path in (tmp_path / "models" / "graphs").iterdir() if path.suffix != ".lock"] == []


def test_a_web_page_and_an_unknown_model_are_refused(tmp_path, registry, face_restorer):
    (tmp_path / "page.pth").write_text("<html></html>")
    with pytest.raises(NotACheckpoint, match="web page"):
        registry.import_file(tmp_path / "page.pth", None, QUIET)
    (tmp_path / "small.onnx").write_bytes(face_restorer(64))
    with pytest.raises(CheckpointMismatch, match="64 x 64"):
        registry.import_file(tmp_path / "small.onnx", None, QUIET)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"body.2.bias": np.full(8, np.nan, np.float32)}, CheckpointInvalid),
        ({"body.4.weight": np.zeros((48, 8, 3, 3), np.float32), "body.4.bias": np.full(48, 7e4, np.float32)}, None),
        ({"body.4.weight": np.zeros((48, 8, 1, 1), np.float32)}, CheckpointMismatch),
    ],
)
def test_an_upscaler_without_a_valid_output_is_not_kept(
    tmp_path, registry, write_checkpoint, upscaler_weights, change, error
):
    path = write_checkpoint(tmp_path / "broken.pth", upscaler_weights("srvgg", 4) | change)
    with pytest.raises(error or CheckpointInvalid):
        registry.import_file(path, None, QUIET)
    with pytest.raises(ModelMissing):
        registry.find("broken")


def test_graphs_of_an_unknown_architecture_are_converted_again(registry, files):
    record = registry.import_file(files["srvgg"], None, QUIET).graph(RECORD)
    record.write_text(record.read_text().replace("SRVGGNetCompact", "another network"))
    assert (registry.item("srvgg").state, registry.item("srvgg").kind) == ("outdated", "")
    registry.find("srvgg")
    assert (registry.item("srvgg").state, registry.item("srvgg").kind) == ("ready", "upscaler")


@pytest.mark.parametrize("name", ["rewrite", "passthrough", "Mine", "../x", ""])
def test_invalid_names_are_refused(registry, files, name):
    with pytest.raises(OptionInvalid):
        registry.import_file(files["srvgg"], name, QUIET)


def test_an_import_may_take_a_published_name(registry, files):
    assert registry.import_file(files["srvgg"], "realesr-general-x4v3", QUIET).name == "realesr-general-x4v3"
    item = registry.item("realesr-general-x4v3")
    assert (item.state, item.kind, item.info) == ("ready", "upscaler", None)
