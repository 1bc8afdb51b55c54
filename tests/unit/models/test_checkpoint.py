from __future__ import annotations

import collections
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    CheckpointRefused,
    CheckpointTruncated,
    ModelMissing,
    NotACheckpoint,
    NotAFile,
)
from lipsync.models.checkpoint import LEGACY, LEGACY_MAGIC, SCRIPT, ZIP, read_checkpoint

WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIAS = np.array([0.5, -1.5], np.float32)
COUNT = np.array(7, np.int64)
STATE = {"module.a.weight": WEIGHT, "module.a.bias": BIAS, "module.a.count": COUNT}
SHAPES = {"a.weight": (2, 3, 4), "a.bias": (2,)}
KINDS = {"f": "FloatStorage", "i": "LongStorage"}


def pickled(value: Any) -> bytes:
    """A value in pickle protocol 2, tensors as PyTorch writes them."""
    if isinstance(value, np.ndarray):
        return tensor(value)
    if isinstance(value, dict):
        return b"}(" + b"".join(pickled(key) + pickled(part) for key, part in value.items()) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(pickled, value)) + b"t"
    return pickle.dumps(value, 2)[2:-1]


def tensor(array: np.ndarray, key: str | None = None, reach: int = 0) -> bytes:
    storage = b"(" + pickled("storage") + b"ctorch\n" + KINDS[array.dtype.kind].encode() + b"\n"
    storage += (
        pickled(key or str(id(array))) + pickled("cpu") + pickled(array.size) + (b"N" if reach < 0 else b"") + b"t"
    )
    stride = tuple(step // array.itemsize for step in array.strides)
    ordered = b"ccollections\nOrderedDict\n)R"
    rest = pickled(max(reach, 0)) + pickled(array.shape) + pickled(stride) + b"\x89" + ordered
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"Q" + rest + b"tR"


def zip_file(path: Path, body: bytes, arrays: Mapping[str, np.ndarray], extra: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        for name in extra:
            archive.writestr(f"archive/{name}", b"\x80\x02).")
        for array in arrays.values():
            archive.writestr(f"archive/data/{id(array)}", array.tobytes())
    return path


def legacy_file(path: Path, body: bytes, arrays: Mapping[str, np.ndarray]) -> Path:
    keys = [str(id(array)) for array in arrays.values()]
    head = b"".join(pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, {"little_endian": True}))
    stored = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays.values())
    path.write_bytes(head + b"\x80\x02" + body + b"." + pickle.dumps(keys, 2) + stored)
    return path


WRITERS = {ZIP: zip_file, LEGACY: legacy_file}


@pytest.fixture(params=sorted(WRITERS))
def write(request, tmp_path) -> Callable[..., Path]:
    def make(content: Any = None, body: bytes | None = None, arrays: Mapping[str, np.ndarray] = STATE) -> Path:
        return WRITERS[request.param](tmp_path / "a.pth", body or pickled(content), arrays)

    return make


@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_come_out_by_name(write, wrapped):
    checkpoint = read_checkpoint(write({"state_dict": STATE, "global_step": 5} if wrapped else STATE))
    assert checkpoint.format in WRITERS
    assert set(checkpoint.tensors) == {"a.weight", "a.bias", "a.count"}
    assert (checkpoint.tensors["a.weight"] == WEIGHT).all()
    assert (checkpoint.tensors["a.bias"] == BIAS).all()
    assert int(checkpoint.tensors["a.count"]) == 7
    fitted = checkpoint.fit(SHAPES)
    assert {name: (array.shape, array.dtype) for name, array in fitted.items()} == {
        name: (shape, np.float32) for name, shape in SHAPES.items()
    }


def test_a_view_of_a_storage_keeps_its_strides(write):
    turned = WEIGHT.reshape(6, 4).T
    body = pickled({"a": 0})[:-1].replace(pickled(0), tensor(turned, key=str(id(WEIGHT)))) + b"u"
    checkpoint = read_checkpoint(write(body=body, arrays={"w": WEIGHT}))
    assert (checkpoint.tensors["a"] == turned).all()
    assert not checkpoint.tensors["a"].flags.writeable


def test_a_torchscript_archive(tmp_path):
    module = b"c__torch__.models\nNet\n)\x81"
    inner = module + pickled({"weight": WEIGHT, "training": False}) + b"b"
    body = module + b"}(" + pickled("conv") + inner + pickled("bias") + pickled(BIAS) + b"ub"
    path = zip_file(tmp_path / "a.pt", body, {"w": WEIGHT, "b": BIAS}, extra=("constants.pkl", "code/models.py"))
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == SCRIPT
    assert set(checkpoint.tensors) == {"conv.weight", "bias"}
    assert (checkpoint.tensors["conv.weight"] == WEIGHT).all()


class Evil:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr"), (collections.Counter, "Counter")],
)
def test_a_pickle_that_runs_something_is_refused_by_name(write, tmp_path, function, name, hidden, protocol):
    marker = tmp_path / "ran"
    argument = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    evil = pickle.dumps(Evil(function, argument), protocol)
    evil = evil[evil.index(b"c") if protocol == 2 else 11 : -1]
    body = b"}(" + pickled("optimizer") + evil + pickled("a") + pickled(BIAS) + b"u" if hidden else evil
    with pytest.raises(CheckpointRefused, match=rf"would run \S*{name}"):
        read_checkpoint(write(body=body))
    assert not marker.exists()


def test_a_torchscript_file_cannot_change_how_the_next_file_is_read(tmp_path):
    body = b"c__torch__.models\nNet\n(" + b"N" + pickled({"weight": "changed"}) + b"tb"
    path = zip_file(tmp_path / "a.pt", body, {}, extra=("constants.pkl",))
    with pytest.raises((NotACheckpoint, CheckpointTruncated)):
        read_checkpoint(path)
    again = b"c__torch__.models\nNet\n)\x81" + pickled({"bias": BIAS}) + b"b"
    clean = read_checkpoint(zip_file(tmp_path / "b.pt", again, {"b": BIAS}, extra=("constants.pkl",)))
    assert set(clean.tensors) == {"bias"}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file(write, share):
    path = write(STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointTruncated, match="truncated or damaged"):
        read_checkpoint(path)


def test_a_tensor_that_reaches_beyond_its_storage(write):
    body = pickled({"a": 0})[:-1].replace(pickled(0), tensor(BIAS, reach=1)) + b"u"
    with pytest.raises(CheckpointTruncated):
        read_checkpoint(write(body=body, arrays={"b": BIAS}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n\n<html>404</html>", "web page"),
        (b"weights", "not a weights file"),
        (b"", "not a weights file"),
        (pickle.dumps({"a": 1}), "not from PyTorch"),
    ],
)
def test_other_files_are_not_checkpoints(tmp_path, content, message):
    path = tmp_path / "wav2lip.pth"
    path.write_bytes(content)
    with pytest.raises((NotACheckpoint, CheckpointTruncated), match=message if b"\x80" not in content else "damaged"):
        read_checkpoint(path)


def test_an_archive_of_something_else(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(NotACheckpoint, match="not from PyTorch"):
        read_checkpoint(path)


def test_a_file_without_weights(write):
    with pytest.raises(NotACheckpoint, match="no weights"):
        read_checkpoint(write({"global_step": 3}, arrays={}))


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelMissing, match="no such file"):
        read_checkpoint(tmp_path / "gone.pth")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(NotAFile, match="not a file"):
        read_checkpoint(tmp_path)


def test_values_too_large_for_single_precision(write):
    huge = {"a": np.array([1e300], np.float64)}
    with pytest.raises(CheckpointInvalid, match="NaN or infinite"):
        read_checkpoint(write(body=pickled(huge).replace(b"FloatStorage", b"DoubleStorage"), arrays=huge)).fit(
            {"a": (1,)}
        )


def test_the_weights_of_another_network(write):
    checkpoint = read_checkpoint(write(STATE))
    with pytest.raises(CheckpointMismatch, match=r"b\.weight and 0 other tensors are missing"):
        checkpoint.fit({**SHAPES, "b.weight": (1,)})
    with pytest.raises(CheckpointMismatch, match=r"a\.bias has shape \(2,\): expected \(3,\)"):
        checkpoint.fit({**SHAPES, "a.bias": (3,)})


def test_weights_that_are_not_finite(write):
    broken = {**STATE, "module.a.bias": np.array([1, np.nan], np.float32)}
    with pytest.raises(CheckpointInvalid, match=r"a\.bias"):
        read_checkpoint(write(broken, arrays=broken)).fit(SHAPES)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_that_pytorch_itself_writes(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="PyTorch is not a dependency")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.LazyLinear(2)
    )
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    half = {
        f"module.{name}": value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    path = tmp_path / "a.pth"
    torch.save({"state_dict": half, "optimizer": optimizer.state_dict()}, path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == (ZIP if zipped else LEGACY)
    for name, value in net.state_dict().items():
        assert np.allclose(checkpoint.tensors[name], value.numpy(), atol=1e-3)
