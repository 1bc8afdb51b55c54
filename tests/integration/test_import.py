"""From a checkpoint to a model that runs, through the command line."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lipsync.cli import main
from lipsync.cli.models import fetch_into
from lipsync.engines.wav2lip.architecture import expected_weights
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.errors import DownloadFailed, LicenseNotAccepted
from lipsync.models.catalogue import ModelInfo
from lipsync.models.checkpoint import LEGACY_MAGIC
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store
from lipsync.monitor import Monitor

pytest.importorskip("onnx", reason="needs the wav2lip extra")


def made_up() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_weights().items():
        noise = dice.standard_normal(shape, np.float32)
        if len(shape) == 1:
            weights[name] = np.abs(noise) * np.float32(0.1) + np.float32(0.9 if name.endswith("running_var") else 0.1)
        else:
            weights[name] = noise * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return weights


def pickled(value: object) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def tensor(array: np.ndarray, key: int) -> bytes:
    storage = (
        b"(" + pickled("storage") + b"ctorch\nFloatStorage\n" + pickled(str(key)) + pickled("cpu") + pickled(array.size)
    )
    rest = pickled(0) + pickled(array.shape) + pickled(tuple(step // 4 for step in array.strides)) + b"\x89"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"NtQ" + rest + b"ccollections\nOrderedDict\n)RtR"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint as the original training code writes it, with a new optimizer."""
    state = {f"module.{name}": array for name, array in made_up().items()}
    moment = np.zeros((3, 4), np.float32)
    body = (
        b"}("
        + pickled("optimizer")
        + b"}("
        + pickled("exp_avg")
        + tensor(moment, len(state))
        + b"u"
        + pickled("state_dict")
    )
    body += b"}(" + b"".join(pickled(name) + tensor(array, k) for k, (name, array) in enumerate(state.items())) + b"uu."
    path = tmp_path_factory.mktemp("checkpoint") / "wav2lip_own.pth"
    with path.open("wb") as file:
        for part in (LEGACY_MAGIC, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, 2))
        file.write(b"\x80\x02" + body + pickle.dumps([str(k) for k in range(len(state) + 1)], 2))
        for array in (*state.values(), moment):
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(checkpoint) -> Iterator[str]:
    """A web server for the folder of the checkpoint."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(checkpoint.parent))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_checkpoint_is_imported_verified_and_removed(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path / "models"))
    assert main(["models", "import", str(checkpoint), "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert (description["name"], description["kind"], description["state"]) == ("wav2lip-own", "generator", "ready")
    assert description["format"] == "torch legacy"

    assert main(["models", "list"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[:5] == ["wav2lip-own", "generator", "ready", "218", "MB"]
    assert main(["models", "where", "wav2lip-own"]) == 0
    assert capsys.readouterr().out.strip() == description["folder"]
    assert main(["models", "verify"]) == 0
    assert capsys.readouterr().out == "wav2lip-own: ok\n"

    encoder = Path(description["folder"], "encoder.onnx")
    encoder.write_bytes(encoder.read_bytes()[:-1] + b"\xff")
    assert main(["models", "verify", "--json"]) == 41
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert not finding["ok"]
    assert "encoder.onnx" in finding["detail"]

    assert main(["models", "remove", "wav2lip-own"]) == 0
    assert not encoder.exists()
    assert main(["models", "where", "wav2lip-own"]) == 40


def test_a_fetched_model_is_ready(checkpoint, mirror, tmp_path, capsys):
    content = checkpoint.read_bytes()
    mirrors = (f"{mirror}/nowhere.pth", f"{mirror}/{checkpoint.name}")
    info = ModelInfo("wav2lip", "wav2lip.pth", len(content), hashlib.sha256(content).hexdigest(), mirrors, "for tests")
    store = Store(tmp_path / "models", {"wav2lip": info})
    options = argparse.Namespace(name="wav2lip", accept_license=False, quiet=False, json=False)
    with pytest.raises(LicenseNotAccepted, match="--accept-license"):
        fetch_into(store, options, Monitor())
    options.accept_license = True
    assert fetch_into(store, options, Monitor()) == 0
    out, err = capsys.readouterr()
    assert "license: for tests" in out
    assert "wav2lip: ready in" in out
    assert "MB/s" in err
    assert ModelRegistry(store, (GENERATOR,)).find("wav2lip").format == "torch legacy"

    options.accept_license = False  # accepted before and already downloaded: the network is not used
    offline = Store(
        store.folder, {"wav2lip": ModelInfo("wav2lip", "wav2lip.pth", info.size, info.sha256, (), "for tests")}
    )
    assert fetch_into(offline, options, Monitor()) == 0
    store.path_of("wav2lip").unlink()
    with pytest.raises(DownloadFailed):
        fetch_into(offline, options, Monitor())
