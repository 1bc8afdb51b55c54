"""Weights out of the files that PyTorch writes, without running what is in them.

A pickle is a program. Here its every name is looked up in a short table of tensors and plain containers; any other name
ends the reading before anything happens. Three forms are known, by their content: the zip file of ``torch.save`` (since
1.6), the stream of pickles that it wrote before, and a TorchScript archive.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    CheckpointRefused,
    CheckpointTruncated,
    FileUnreadable,
    ModelMissing,
    NotACheckpoint,
    NotAFile,
)

Array = NDArray[Any]

ZIP, LEGACY, SCRIPT = "torch zip", "torch legacy", "TorchScript"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
STORAGES: Mapping[str, DTypeLike] = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
MOST_NESTED = 32
# What a broken pickle makes the unpickler, or the arithmetic on what it says, stumble over.
DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ArithmeticError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file's weights by dotted name, views into the file until they are used; ``form``: how it was written."""

    path: Path
    form: str
    tensors: Mapping[str, Array]

    def fit(self, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """The expected tensors as float32, by name. Others, such as counters, are left out.

        Raises CheckpointMismatch if one is missing or of another shape, CheckpointInvalid if one is not finite.
        """
        missing = [name for name in expected if name not in self.tensors]
        if missing:
            raise CheckpointMismatch(
                f"{self.path}: the weights of another network; {missing[0]} is missing, and {len(missing) - 1} more"
            )
        cast_inputs = {}
        for name, shape in expected.items():
            tensor = self.tensors[name]
            if tensor.shape != shape:
                raise CheckpointMismatch(f"{self.path}: {name} has the shape {tensor.shape} instead of {shape}")
            with np.errstate(over="ignore"):  # infinite is not finite either
                cast_inputs[name] = np.asarray(tensor, np.float32)
            if not np.isfinite(cast_inputs[name]).all():
                raise CheckpointInvalid(f"{self.path}: {name} holds values that are no numbers")
        return cast_inputs


def read_checkpoint(path: Path) -> Checkpoint:
    """The weights in a file; of ``{"state_dict": …}`` those, without a leading ``module.``.

    Raises ModelMissing, NotAFile, FileUnreadable, NotACheckpoint, CheckpointTruncated, CheckpointRefused.
    """
    try:
        with file_errors(path), path.open("rb") as file:
            form, tensors = _read(path, file)
    except zipfile.BadZipFile as exc:
        raise CheckpointTruncated(f"{path}: the archive is cut off or damaged") from exc
    except DAMAGED as exc:
        raise CheckpointTruncated(f"{path}: the weights are cut off or damaged") from exc
    if not tensors:
        raise NotACheckpoint(f"{path}: there are no weights in it")
    return Checkpoint(path, form, tensors)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Around the reading of a file. Raises ModelMissing, NotAFile, FileUnreadable."""
    try:
        yield
    except FileNotFoundError as exc:
        raise ModelMissing(f"{path}: no such file") from exc
    except IsADirectoryError as exc:
        raise NotAFile(f"{path}: not a file") from exc
    except OSError as exc:
        raise FileUnreadable(f"{path}: cannot be read: {exc.strerror}") from exc


def _read(path: Path, file: BinaryIO) -> tuple[str, dict[str, Array]]:
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(path, file)
    if head.startswith(b"\x80"):
        return LEGACY, _read_legacy(path, file)
    if head.lstrip().lower().startswith(PAGES):
        raise NotACheckpoint(f"{path}: this is a web page; the download gave an error or asked to log in")
    raise NotACheckpoint(f"{path}: not a file of weights")


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str
    start: int  # in elements


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What the pickle says of a tensor; its numbers lie elsewhere in the file."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, numbers: Array) -> Array:
        """The tensor, as a view of its storage's numbers."""
        first = self.storage.start + self.offset
        whole = all(isinstance(n, int) and n >= 0 for n in (first, *self.size, *self.stride))
        reach = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) if all(self.size) else -1
        if not whole or first + reach >= len(numbers):
            raise ValueError("a tensor reaches beyond its storage")
        steps = tuple(step * numbers.itemsize for step in self.stride)
        view = np.lib.stride_tricks.as_strided(numbers[first:], self.size, steps, writeable=False)
        return _widened(view) if self.storage.kind == "BFloat16Storage" else view


def _widened(bits: Array) -> Array:
    """bfloat16 as float32: the same bits, followed by zeros."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain containers, and nothing else."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path
        self._known = _known_names()
        self.kinds: dict[str, str] = {}  # of the storages that were named

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        if module.split(".")[0] == "__torch__":  # a TorchScript module: what it holds matters, not what it does
            return self._known["module"]
        known = self._known.get(f"{module}.{name}")
        if known is None:
            raise CheckpointRefused(f"{self._path}: refused, because it would run {module}.{name}")
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        mark, kind, key, _, _, *view = pid
        if mark != "storage" or kind not in STORAGES:
            raise pickle.UnpicklingError("an unknown kind of storage")
        start = view[0][1] if view and view[0] is not None else 0
        self.kinds[str(key)] = kind
        return _Storage(str(key), kind, start)


def _known_names() -> dict[str, Any]:
    """Made anew for each file, so that no file can change what the next one meets."""

    class Module:
        pass

    def tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
        return _Tensor(storage, offset, tuple(size), tuple(stride))

    def parameter(data: _Tensor, *_: Any) -> _Tensor:
        return data

    def values(some: list[Any]) -> list[Any]:
        return some

    return {
        "module": Module,
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_parameter": parameter,
        "torch.Size": tuple,
        "torch.jit._pickle.build_intlist": values,
        "torch.jit._pickle.build_boollist": values,
        "torch.jit._pickle.build_doublelist": values,
        "torch.jit._pickle.build_tensorlist": values,
    }


def _read_zip(path: Path, file: BinaryIO) -> tuple[str, dict[str, Array]]:
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if "data.pkl" not in entries:
            raise NotACheckpoint(f"{path}: an archive, but none that PyTorch wrote")
        content = _Unpickler(io.BytesIO(archive.read(entries["data.pkl"])), path).load()

        def numbers(storage: _Storage) -> Array:
            info = entries[f"data/{storage.key}"]
            return _mapped(path, _start_of(file, info), info.file_size, storage.kind)

        form = SCRIPT if "constants.pkl" in entries else ZIP
        return form, _resolved(content, numbers)


def _start_of(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin, behind a local header whose length only that header tells."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("PyTorch does not compress")
    file.seek(info.header_offset)
    header = struct.unpack("<4s22xHH", file.read(30))
    return info.header_offset + 30 + int(header[1]) + int(header[2])


def _read_legacy(path: Path, file: BinaryIO) -> dict[str, Array]:
    magic, _, _ = (_Unpickler(file, path).load() for _ in range(3))
    if magic != LEGACY_MAGIC:
        raise NotACheckpoint(f"{path}: a pickle, but none that PyTorch wrote")
    unpickler = _Unpickler(file, path)
    content = unpickler.load()
    keys = [str(key) for key in _Unpickler(file, path).load()]
    places: dict[str, tuple[int, int]] = {}
    place = file.tell()
    for key in keys:
        file.seek(place)
        (count,) = struct.unpack("<q", file.read(8))
        length = count * np.dtype(STORAGES[unpickler.kinds[key]]).itemsize
        places[key] = (place + 8, length)
        place += 8 + length

    def numbers(storage: _Storage) -> Array:
        return _mapped(path, *places[storage.key], storage.kind)

    return _resolved(content, numbers)


def _mapped(path: Path, start: int, length: int, kind: str) -> Array:
    """A stretch of the file as numbers, read when they are used."""
    dtype = np.dtype(STORAGES[kind])
    count = length // dtype.itemsize
    return np.memmap(path, dtype, "r", start, (count,)) if count else np.zeros(0, dtype)


def _resolved(content: Any, numbers: Callable[[_Storage], Array]) -> dict[str, Array]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    tensors = {name: tensor.of(numbers(tensor.storage)) for name, tensor in _walk(content)}
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _walk(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, _Tensor]]:
    """Every tensor in nested containers and modules, with its dotted name."""
    if depth > MOST_NESTED:
        raise ValueError("nested too deeply")
    if isinstance(content, _Tensor):
        yield prefix, content
        return
    if isinstance(content, dict):
        inside = content.items()
    elif isinstance(content, list | tuple):
        inside = dict(enumerate(content)).items()
    else:
        inside = getattr(content, "__dict__", {}).items()
    for name, part in inside:
        yield from _walk(part, f"{prefix}.{name}" if prefix else str(name), depth + 1)
