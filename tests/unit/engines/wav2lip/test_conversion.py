"""Converted checkpoints in the store, and the names that they are found by."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.convert import DECODER, DECODER_HALF, ENCODER, ENCODER_HALF, GENERATOR
from lipsync.errors import (
    Cancelled,
    CheckpointInvalid,
    ModelCorrupt,
    ModelMissing,
    NotACheckpoint,
    OptionInvalid,
)
from lipsync.files import sha256_of
from lipsync.models.catalogue import ModelInfo
from lipsync.models.conversion import RECORD
from lipsync.models.devices import open_session
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store
from lipsync.monitor import Monitor, Progress

pytest.importorskip("onnx", reason="needs the wav2lip extra")

QUIET = Monitor()


def registry_of(store: Store) -> ModelRegistry:
    return ModelRegistry(store, (GENERATOR,), reserved=ENGINES)


@pytest.fixture(scope="module")
def file(weights, write_checkpoint, tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("file") / "My wav2lip_GAN.pth", weights)


@pytest.fixture(scope="module")
def filled(file, tmp_path_factory) -> Store:
    """A store with one import, for tests that only read it."""
    store = Store(tmp_path_factory.mktemp("store"))
    registry_of(store).import_file(file, None, QUIET)
    return store


@pytest.fixture
def store(filled, tmp_path) -> Store:
    """A copy to change. Its files are hard links: replace them with ``rewrite``."""
    return Store(shutil.copytree(filled.folder, tmp_path / "models", copy_function=os.link))


def rewrite(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def with_catalogue(store: Store, file: Path) -> Store:
    """The file as an entry of the catalogue."""
    entry = ModelInfo(
        "wav2lip", "wav2lip.pth", file.stat().st_size, sha256_of(file, QUIET), ("https://nowhere",), "none"
    )
    return Store(store.folder, {"wav2lip": entry})


def test_an_import_is_found_by_its_name_and_runs(filled, file):
    network = registry_of(filled).find("my-wav2lip-gan")
    assert (network.name, network.format) == ("my-wav2lip-gan", "torch zip")
    assert network.sha256 == sha256_of(file, QUIET)
    for encoder, decoder in (
        (network.graph(ENCODER), network.graph(DECODER)),
        (network.graph(ENCODER_HALF), network.graph(DECODER_HALF)),
    ):
        skips = open_session(encoder).run([np.zeros((1, 6, 96, 96), np.float32)])
        (out,) = open_session(decoder).run([np.zeros((1, 1, 80, 16), np.float32), *skips])
        assert out.shape == (1, 3, 96, 96)


def test_a_second_import_uses_the_first_conversion(store, file):
    before = registry_of(store).find("my-wav2lip-gan").graph(ENCODER).stat().st_mtime_ns
    reports: list[Progress] = []
    network = registry_of(store).import_file(file, "mine", Monitor(reports.append))
    assert network.graph(ENCODER).stat().st_mtime_ns == before
    assert {report.stage for report in reports} == {"check"}
    assert registry_of(store).find("mine").folder == registry_of(store).find("my-wav2lip-gan").folder


def test_concurrent_imports_convert_once(file, tmp_path):
    store = Store(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        sessions = list(pool.map(lambda name: registry_of(store).import_file(file, name, QUIET), ("one", "two")))
    for network in sessions:
        registry_of(store).verify(registry_of(store).item(network.name), QUIET)
    assert [path.name for path in (tmp_path / "graphs").iterdir() if not path.name.startswith(".")] == [
        sessions[0].sha256
    ]


def test_a_damaged_conversion_is_detected_and_repeated(store, file):
    network = registry_of(store).find("my-wav2lip-gan")
    content = bytearray(network.graph(DECODER).read_bytes())
    content[5_000_000] ^= 1
    rewrite(network.graph(DECODER), bytes(content))
    with pytest.raises(ModelCorrupt, match=r"decoder\.onnx"):
        registry_of(store).verify(registry_of(store).item("my-wav2lip-gan"), QUIET)
    registry_of(store).import_file(file, None, QUIET)
    registry_of(store).verify(registry_of(store).item("my-wav2lip-gan"), QUIET)


def test_an_incomplete_conversion_does_not_count(store, file):
    network = registry_of(store).find("my-wav2lip-gan")
    rewrite(network.graph(DECODER), network.graph(DECODER).read_bytes()[:-1])
    assert registry_of(store).item("my-wav2lip-gan").state == "outdated"
    shutil.move(network.folder, network.folder.with_name(f"{network.sha256}.part"))
    assert registry_of(store).item("my-wav2lip-gan").state == "outdated"
    assert registry_of(store).find("my-wav2lip-gan").graph(DECODER).is_file()  # converted again from the imported file


def test_another_version_of_the_conversion_needs_the_file_again(store, file, tmp_path):
    record = registry_of(store).find("my-wav2lip-gan").folder / RECORD
    rewrite(record, record.read_bytes().replace(b'"version": 1', b'"version": 0'))
    moved = store.folder / "imports" / "my-wav2lip-gan.json"
    rewrite(moved, moved.read_bytes().replace(file.name.encode(), b"gone.pth"))
    with pytest.raises(ModelMissing, match="imported again"):
        registry_of(store).find("my-wav2lip-gan")


def test_a_download_is_converted_on_first_use(store, file):
    published = with_catalogue(store, file)
    with pytest.raises(ModelMissing, match=r"models fetch wav2lip --accept-license.*import FILE --name wav2lip"):
        registry_of(published).find("wav2lip")
    os.link(file, published.path_of("wav2lip"))
    shutil.rmtree(store.folder / "graphs")
    assert registry_of(published).item("wav2lip").state == "downloaded"
    network = registry_of(published).find("wav2lip")
    assert network.name == "wav2lip"
    assert registry_of(published).item("wav2lip").state == "ready"
    assert {item.name: item.state for item in registry_of(published).items()} == {
        "wav2lip": "ready",
        "my-wav2lip-gan": "ready",
    }


def test_a_damaged_download_is_not_converted(store, file):
    published = with_catalogue(store, file)
    shutil.rmtree(store.folder / "graphs")
    published.path_of("wav2lip").write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCorrupt, match=r"wrong checksum\. Run: lipsync models fetch wav2lip"):
        registry_of(published).find("wav2lip")


def test_catalogued_weights_get_their_catalogue_name(store, file):
    published = with_catalogue(store, file)
    assert registry_of(published).import_file(file, None, QUIET).name == "wav2lip"
    assert registry_of(published).convert(file, QUIET).name == "wav2lip"
    elsewhere = {"w": replace(published.info("wav2lip"), name="w", sha256="0" * 64, aliases=(sha256_of(file, QUIET),))}
    assert registry_of(Store(store.folder, elsewhere)).import_file(file, None, QUIET).name == "w"


def test_removing_a_name_keeps_files_that_another_name_uses(store, file):
    network = registry_of(store).import_file(file, "mine", QUIET)
    registry_of(store).remove("mine")
    assert registry_of(store).find("my-wav2lip-gan").graph(DECODER).is_file()
    registry_of(store).remove("my-wav2lip-gan")
    assert not network.folder.exists()
    with pytest.raises(ModelMissing, match="not installed"):
        registry_of(store).remove("mine")


def test_removing_an_import_keeps_files_that_a_download_uses(store, file):
    published = with_catalogue(store, file)
    os.link(file, published.path_of("wav2lip"))
    registry_of(published).remove("my-wav2lip-gan")
    assert registry_of(published).find("wav2lip").graph(DECODER).is_file()
    registry_of(published).remove("wav2lip")
    assert not published.path_of("wav2lip").exists()
    assert registry_of(published).item("wav2lip").state == "missing"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Mine", ".hidden", "rewrite", "passthrough"])
def test_names_that_cannot_be(filled, file, name):
    with pytest.raises(OptionInvalid):
        registry_of(filled).import_file(file, name, QUIET)


@pytest.mark.parametrize("name", ["../imports/my-wav2lip-gan", "wav2lip", "nonsense"])
def test_names_of_nothing(filled, name):
    with pytest.raises(ModelMissing, match="models import FILE --name"):
        registry_of(filled).find(name)


def test_a_cancelled_or_failed_import_leaves_no_files(file, tmp_path):
    store = Store(tmp_path / "models")
    monitor = Monitor(lambda progress: monitor.cancel() if progress.stage == "convert" else None)
    with pytest.raises(Cancelled):
        registry_of(store).import_file(file, None, monitor)
    page = tmp_path / "wav2lip.pth"
    page.write_text("<html></html>")
    with pytest.raises(NotACheckpoint, match="web page"):
        registry_of(store).import_file(page, None, QUIET)
    assert [path.name for path in store.folder.rglob("*") if path.suffix != ".lock"] == ["graphs"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("output_block.1.weight", 0.0, "uniform image"),
        ("output_block.0.conv_block.1.bias", 1e5, "half precision|uniform image"),
        ("audio_encoder.0.conv_block.1.running_var", -1.0, "NaN or infinite"),
    ],
)
def test_weights_that_do_not_generate_an_image(weights, write_checkpoint, tmp_path, key, value, message):
    broken = {**weights, key: np.full_like(weights[key], value)}
    with pytest.raises(CheckpointInvalid, match=message):
        registry_of(Store(tmp_path / "models")).convert(write_checkpoint(tmp_path / "a.pth", broken), QUIET)
