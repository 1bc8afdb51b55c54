"""Networks of several kinds under one roof."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.architecture import expected_weights
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.enhancers.converters import CONVERTERS as FOR_ENHANCERS
from lipsync.enhancers.converters import NETWORK, NETWORK_HALF
from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    ModelMissing,
    NotACheckpoint,
    OptionInvalid,
)
from lipsync.files import sha256_of
from lipsync.models.catalogue import ModelInfo
from lipsync.models.conversion import RECORD
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store
from lipsync.monitor import Monitor

pytest.importorskip("onnx", reason="makes the networks")

QUIET = Monitor()
EVERYTHING = (GENERATOR, *FOR_ENHANCERS)


@pytest.fixture
def shelf(tmp_path) -> ModelRegistry:
    return ModelRegistry(Store(tmp_path / "models"), EVERYTHING, reserved=ENGINES)


@pytest.fixture(scope="module")
def files(write_checkpoint, upscaler_weights, face_restorer, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {name: write_checkpoint(folder / f"{name}.pth", upscaler_weights(name, 4)) for name in ("rrdbnet", "srvgg")}
    (folder / "restorer.onnx").write_bytes(face_restorer(told=()))
    return made | {"restorer": folder / "restorer.onnx"}


@pytest.fixture(scope="module")
def generator(write_checkpoint, tmp_path_factory) -> Path:
    dice = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_weights().items():
        noise = dice.standard_normal(shape, np.float32)
        spread = 0.1 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[1:]))
        weights[name] = noise * np.float32(spread) + np.float32(name.endswith(("running_var", "block.1.weight")))
    return write_checkpoint(tmp_path_factory.mktemp("generator") / "mouths.pth", weights)


def as_generator(store: Store, files: dict[str, Path]) -> None:
    """A folder as it was written before there were other kinds, under the name old."""
    sha256 = sha256_of(files["srvgg"], QUIET)
    folder = store.folder / "graphs" / sha256
    folder.mkdir(parents=True)
    sizes = {}
    for graph in GENERATOR.graphs:
        (folder / graph).write_bytes(b"graph")
        sizes[graph] = {"size": 5, "sha256": sha256_of(folder / graph, QUIET)}
    (folder / RECORD).write_text(json.dumps({"version": 1, "format": "torch zip", "source": "a.pth", "files": sizes}))
    (store.folder / "imports").mkdir()
    record = {"sha256": sha256, "source": str(files["srvgg"])}
    (store.folder / "imports" / "old.json").write_text(json.dumps(record))


def test_each_file_finds_what_makes_it_ready_by_itself(shelf, files, generator):
    told = {}
    for path in (*files.values(), generator):
        network = shelf.import_file(path, None, QUIET)
        told[network.name] = (network.kind, network.format, json.loads(network.graph(RECORD).read_text())["network"])
        shelf.verify(shelf.item(network.name), QUIET)
    assert told == {
        "rrdbnet": ("upscaler", "torch zip", "RRDBNet"),
        "srvgg": ("upscaler", "torch zip", "SRVGGNetCompact"),
        "restorer": ("restorer", "ONNX", "a face restorer in ONNX"),
        "mouths": ("generator", "torch zip", "Wav2Lip"),
    }
    ready = {item.name: item.kind for item in shelf.items() if item.state == "ready"}
    assert ready == {name: kind for name, (kind, _, _) in told.items()}
    assert shelf.find("srvgg").graph(NETWORK_HALF).is_file()
    assert shelf.find("restorer").graph(NETWORK).read_bytes() == files["restorer"].read_bytes()
    assert not shelf.find("restorer").graph(NETWORK_HALF).exists()


def test_what_is_published_tells_its_kind_before_it_is_here(shelf):
    kinds = {item.name: item.kind for item in shelf.items()}
    assert (kinds["wav2lip"], kinds["codeformer"], kinds["realesrgan-x2plus"]) == ("generator", "restorer", "upscaler")


def test_an_upscaler_is_no_generator_and_the_reverse(tmp_path, shelf, files):
    shelf.import_file(files["srvgg"], "mine", QUIET)
    generators = ModelRegistry(Store(tmp_path / "models"), (GENERATOR,))
    with pytest.raises(CheckpointMismatch, match="mine holds a network of another kind: upscaler, not generator"):
        generators.find("mine")
    with pytest.raises(CheckpointMismatch, match="upscaler, not generator"):
        generators.convert(files["srvgg"], QUIET)
    with pytest.raises(CheckpointMismatch):
        generators.convert(files["rrdbnet"], QUIET)
    old = Store(tmp_path / "old")
    as_generator(old, files)
    with pytest.raises(CheckpointMismatch, match="generator, not restorer, upscaler"):
        ModelRegistry(old, FOR_ENHANCERS).find("old")


def test_a_download_of_another_kind_is_told_before_it_is_read(tmp_path):
    entry = ModelInfo("large", "large.pth", 3, "0" * 64, ("https://nowhere",), "none", kind="upscaler")
    store = Store(tmp_path, {"large": entry})
    store.path_of("large").write_bytes(b"abc")
    with pytest.raises(CheckpointMismatch, match="upscaler, not generator"):
        ModelRegistry(store, (GENERATOR,)).find("large")


def test_a_name_of_nothing_tells_what_is_published_of_the_kind(tmp_path):
    with pytest.raises(ModelMissing) as caught:
        ModelRegistry(Store(tmp_path), (GENERATOR,)).find("nonsense")
    assert "fetch wav2lip|wav2lip-gan --accept-license" in str(caught.value)
    assert "import FILE --name nonsense" in str(caught.value)


@pytest.mark.parametrize("name", ["a.0.weight", "conv.weight", "body.0.weight"])
def test_a_file_of_none_tells_what_is_known(tmp_path, shelf, write_checkpoint, name):
    path = write_checkpoint(tmp_path / "other.pth", {name: np.ones((2, 2), np.float32)})
    with pytest.raises(CheckpointMismatch) as caught:
        shelf.import_file(path, None, QUIET)
    told = str(caught.value)
    assert told.startswith(str(path))
    assert "\n" not in told
    if name != "body.0.weight":  # which says of itself what it is meant for
        assert all(recipe.name in told for recipe in EVERYTHING)
    assert [place.name for place in (tmp_path / "models" / "graphs").iterdir() if place.suffix != ".lock"] == []


def test_a_page_or_a_network_that_is_none_of_them_is_told(tmp_path, shelf, face_restorer):
    (tmp_path / "page.pth").write_text("<html></html>")
    with pytest.raises(NotACheckpoint, match="web page"):
        shelf.import_file(tmp_path / "page.pth", None, QUIET)
    (tmp_path / "small.onnx").write_bytes(face_restorer(64))
    with pytest.raises(CheckpointMismatch, match="64 x 64"):
        shelf.import_file(tmp_path / "small.onnx", None, QUIET)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"body.2.bias": np.full(8, np.nan, np.float32)}, CheckpointInvalid),
        ({"body.4.weight": np.zeros((48, 8, 3, 3), np.float32), "body.4.bias": np.full(48, 7e4, np.float32)}, None),
        ({"body.4.weight": np.zeros((48, 8, 1, 1), np.float32)}, CheckpointMismatch),
    ],
)
def test_an_upscaler_that_gives_nothing_to_see_is_not_kept(
    tmp_path, shelf, write_checkpoint, upscaler_weights, change, error
):
    path = write_checkpoint(tmp_path / "broken.pth", upscaler_weights("srvgg", 4) | change)
    with pytest.raises(error or CheckpointInvalid):
        shelf.import_file(path, None, QUIET)
    with pytest.raises(ModelMissing):
        shelf.find("broken")


def test_what_was_converted_before_there_were_kinds_is_a_generator(tmp_path, files):
    store = Store(tmp_path / "models")
    as_generator(store, files)
    for recipes in ((GENERATOR,), EVERYTHING):
        network = ModelRegistry(store, recipes).find("old")
        assert (network.kind, network.format) == ("generator", "torch zip")
    assert [item.kind for item in ModelRegistry(store, EVERYTHING).items() if item.name == "old"] == ["generator"]


def test_graphs_of_a_network_that_is_known_no_more_are_made_anew(shelf, files):
    record = shelf.import_file(files["srvgg"], None, QUIET).graph(RECORD)
    record.write_text(record.read_text().replace("SRVGGNetCompact", "another network"))
    assert (shelf.item("srvgg").state, shelf.item("srvgg").kind) == ("outdated", "")
    shelf.find("srvgg")
    assert (shelf.item("srvgg").state, shelf.item("srvgg").kind) == ("ready", "upscaler")


@pytest.mark.parametrize("name", ["rewrite", "passthrough", "Mine", "../x", ""])
def test_names_that_cannot_be(shelf, files, name):
    with pytest.raises(OptionInvalid):
        shelf.import_file(files["srvgg"], name, QUIET)


def test_a_published_name_may_be_taken_by_a_file_of_ones_own(shelf, files):
    assert shelf.import_file(files["srvgg"], "realesr-general-x4v3", QUIET).name == "realesr-general-x4v3"
    item = shelf.item("realesr-general-x4v3")
    assert (item.state, item.kind, item.info) == ("ready", "upscaler", None)
