"""Read PyTorch weights files without running the code in them.

A pickle is a program. This unpickler resolves only names of tensors and plain containers and stops at any other name.
Three formats are detected by content: the zip file of ``torch.save`` (since 1.6), the earlier stream of pickles, and a
TorchScript archive.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
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
    ModelMissing,
    NotACheckpoint,
)
from lipsync.files import read_errors
from lipsync.models.finite import check_finite
from lipsync.types import Float32

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
MAX_NESTING = 32
# Raised by the unpickler, or by arithmetic on its values, for a damaged pickle.
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
    """A file's weights by dotted name, as memory-mapped views. ``format``: ZIP, LEGACY or SCRIPT."""

    path: Path
    format: str
    tensors: Mapping[str, Array]

    def fit(self, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """Return the expected tensors as float32, by name, and ignore others, such as counters.

        Raises CheckpointMismatch for a missing tensor or another shape, CheckpointInvalid for NaN or infinity.
        """
        missing = [name for name in expected if name not in self.tensors]
        if missing:
            raise CheckpointMismatch(
                f"{self.path}: unknown architecture: {missing[0]} and {len(missing) - 1} other tensors are missing"
            )
        return {name: as_float32(self.path, name, self.tensors[name], shape) for name, shape in expected.items()}


def as_float32(path: Path, name: str, tensor: Array, shape: tuple[int, ...]) -> Float32:
    """Return a tensor as float32.

    Raises CheckpointMismatch for another shape, CheckpointInvalid for NaN or infinity.
    """
    if tensor.shape != shape:
        raise CheckpointMismatch(f"{path}: {name} has shape {tensor.shape}: expected {shape}")
    with np.errstate(over="ignore"):  # the check finds values that overflow
        values = np.asarray(tensor, np.float32)
    check_finite(values, CheckpointInvalid, f"{path}: {name} contains")
    return values


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a weights file; unwrap ``{"state_dict": …}`` and strip a leading ``module.``.

    Raises ModelMissing, NotAFile, FileUnreadable, NotACheckpoint, CheckpointTruncated, CheckpointRefused.
    """
    try:
        with file_errors(path), path.open("rb") as file:
            file_format, tensors = _read(path, file)
    except zipfile.BadZipFile as exc:
        raise CheckpointTruncated(f"{path}: truncated or damaged archive") from exc
    except DAMAGED as exc:
        raise CheckpointTruncated(f"{path}: truncated or damaged weights file") from exc
    if not tensors:
        raise NotACheckpoint(f"{path}: the file contains no weights")
    return Checkpoint(path, file_format, tensors)


def file_errors(path: Path) -> AbstractContextManager[None]:
    """Map errors of reading a file. Raises ModelMissing, NotAFile, FileUnreadable."""
    return read_errors(path, missing=ModelMissing)


def _read(path: Path, file: BinaryIO) -> tuple[str, dict[str, Array]]:
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(path, file)
    if head.startswith(b"\x80"):
        return LEGACY, _read_legacy(path, file)
    if head.lstrip().lower().startswith(PAGES):
        raise NotACheckpoint(f"{path}: a web page, not a weights file. Download the file again, logged in if necessary")
    raise NotACheckpoint(f"{path}: not a weights file")


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str
    start: int  # in elements


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor as the pickle describes it; the values are elsewhere in the file."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def view_of(self, values: Array) -> Array:
        """Return the tensor as a view of its storage's values."""
        first = self.storage.start + self.offset
        valid = all(isinstance(n, int) and n >= 0 for n in (first, *self.size, *self.stride))
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) if all(self.size) else -1
        if not valid or first + last >= len(values):
            raise ValueError("tensor extends beyond its storage")
        steps = tuple(step * values.itemsize for step in self.stride)
        view = np.lib.stride_tricks.as_strided(values[first:], self.size, steps, writeable=False)
        return _bfloat16_to_float32(view) if self.storage.kind == "BFloat16Storage" else view


def _bfloat16_to_float32(bits: Array) -> Array:
    """Convert bfloat16, given as uint16, by appending zero bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


class _Unpickler(pickle.Unpickler):
    """Unpickle tensors and plain containers only."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path
        self._known = _known_names()
        self.kinds: dict[str, str] = {}  # storage class by storage key

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        if module.split(".")[0] == "__torch__":  # a TorchScript module: only its attributes are read
            return self._known["module"]
        known = self._known.get(f"{module}.{name}")
        if known is None:
            raise CheckpointRefused(f"{self._path}: refused: the file would run {module}.{name}")
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, _, _, *view = pid
        if tag != "storage" or kind not in STORAGES:
            raise pickle.UnpicklingError("unknown storage class")
        start = view[0][1] if view and view[0] is not None else 0
        self.kinds[str(key)] = kind
        return _Storage(str(key), kind, start)


def _known_names() -> dict[str, Any]:
    """Return the permitted names. They are created per file, so that no file can change them for the next."""

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
            raise NotACheckpoint(f"{path}: an archive, but not from PyTorch")
        content = _Unpickler(io.BytesIO(archive.read(entries["data.pkl"])), path).load()

        def values_of(storage: _Storage) -> Array:
            info = entries[f"data/{storage.key}"]
            return _mapped(path, _start_of(file, info), info.file_size, storage.kind)

        return SCRIPT if "constants.pkl" in entries else ZIP, _resolve(content, values_of)


def _start_of(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return the offset of an entry's bytes: after its local header, which is of variable length."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed entry")
    file.seek(info.header_offset)
    header = struct.unpack("<4s22xHH", file.read(30))
    return info.header_offset + 30 + int(header[1]) + int(header[2])


def _read_legacy(path: Path, file: BinaryIO) -> dict[str, Array]:
    magic, _, _ = (_Unpickler(file, path).load() for _ in range(3))
    if magic != LEGACY_MAGIC:
        raise NotACheckpoint(f"{path}: a pickle, but not from PyTorch")
    unpickler = _Unpickler(file, path)
    content = unpickler.load()
    keys = [str(key) for key in _Unpickler(file, path).load()]
    spans: dict[str, tuple[int, int]] = {}  # offset and length in bytes
    offset = file.tell()
    for key in keys:
        file.seek(offset)
        (count,) = struct.unpack("<q", file.read(8))
        length = count * np.dtype(STORAGES[unpickler.kinds[key]]).itemsize
        spans[key] = (offset + 8, length)
        offset += 8 + length

    def values_of(storage: _Storage) -> Array:
        return _mapped(path, *spans[storage.key], storage.kind)

    return _resolve(content, values_of)


def _mapped(path: Path, start: int, length: int, kind: str) -> Array:
    """Map a section of the file as an array, which is read on access."""
    dtype = np.dtype(STORAGES[kind])
    count = length // dtype.itemsize
    return np.memmap(path, dtype, "r", start, (count,)) if count else np.zeros(0, dtype)


def _resolve(content: Any, values_of: Callable[[_Storage], Array]) -> dict[str, Array]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    tensors = {name: tensor.view_of(values_of(tensor.storage)) for name, tensor in _walk(content)}
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _walk(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, _Tensor]]:
    """Yield all tensors in nested containers and modules, with their dotted names."""
    if depth > MAX_NESTING:
        raise ValueError("nested too deeply")
    if isinstance(content, _Tensor):
        yield prefix, content
        return
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list | tuple):
        items = dict(enumerate(content)).items()
    else:
        items = getattr(content, "__dict__", {}).items()
    for name, value in items:
        yield from _walk(value, f"{prefix}.{name}" if prefix else str(name), depth + 1)
