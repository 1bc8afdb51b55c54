"""Imports a Wav2Lip checkpoint of the published size, 436 MB with the optimizer's state, in a process of its own.

    python benchmarks/import_checkpoint.py [../shared/parity/weights.py]

    python benchmarks/import_checkpoint.py --into FOLDER NAME

Prints seconds and peak resident memory; the second form only leaves the made-up network in a store, for the other
benchmarks. The file is PyTorch's legacy format, written here byte by byte, with made-up
weights, or with those of the parity data where that is given.
"""

from __future__ import annotations

import multiprocessing
import pickle
import runpy
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from measure import measured

from lipsync.engines.wav2lip.architecture import expected_weights
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store
from lipsync.monitor import Monitor

MAGIC = 0x1950A86A20F9469CFC6C
MOMENTS = ("exp_avg", "exp_avg_sq")


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="lipsync-import-") as folder:
        path = Path(folder, "wav2lip_gan.pth")
        # In a process of its own: one starts out with the peak of the one that started it.
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, *arguments))
        writer.start()
        writer.join()
        size = path.stat().st_size
        command = [sys.executable, "-m", "lipsync", "models", "import", str(path), "--quiet", "--models-dir"]
        first, again = (measured([*command, str(Path(folder, "store"))]) for _ in range(2))
    print(f"{size / 1e6:.0f} MB: imported in {first.wall:.1f} s ({first.cpu:.1f} s of processor), ", end="")
    print(f"peak {first.peak / 1e6:.0f} MB; again in {again.wall:.1f} s, peak {again.peak / 1e6:.0f} MB")


def leave(folder: Path, name: str) -> None:
    """Import made-up weights under a name."""
    with tempfile.TemporaryDirectory(prefix="lipsync-import-") as scratch:
        path = Path(scratch, "made_up.pth")
        write(path)
        ModelRegistry(Store(folder), (GENERATOR,)).import_file(path, name, Monitor())


def write(path: Path, rule: str | None = None) -> None:
    write_legacy(path, runpy.run_path(rule)["state_dict"]() if rule else made_up())


def made_up() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_weights().items():
        spread = 1.0 if len(shape) == 1 else np.sqrt(1 / np.prod(shape[1:]))
        noise = spread * dice.standard_normal(shape, np.float32)
        one = name.endswith(("conv_block.1.weight", "running_var"))
        weights[name] = (1 + 0.1 * np.tanh(noise) if one else noise).astype(np.float32)
    return weights


def write_legacy(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """What ``torch.save`` wrote before 1.6, of a training run: names behind ``module.``, and Adam's two moments."""
    learned = [array for name, array in weights.items() if array.dtype == np.float32 and "running" not in name]
    moments = [np.abs(array) * np.float32(1e-3) for array in learned for _ in MOMENTS]
    states = {f"module.{name}": array for name, array in weights.items()}
    stored = [*states.values(), *moments]
    keys = iter(range(len(stored)))
    body = said("state_dict") + b"ccollections\nOrderedDict\n)R("
    body += b"".join(said(name) + tensor(array, next(keys)) for name, array in states.items()) + b"u"
    body += said("optimizer") + b"}" + said("state") + b"}(" + b"".join(_adam(moments, keys)) + b"us"
    body += said("global_step") + said(300_000)
    with path.open("wb") as file:
        for part in (MAGIC, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, 2))
        file.write(b"\x80\x02}(" + body + b"u.")
        file.write(pickle.dumps([str(key) for key in range(len(stored))], 2))
        for array in stored:
            file.write(struct.pack("<q", array.size) + array.tobytes())


def _adam(moments: list[np.ndarray], keys: Iterator[int]) -> Iterator[bytes]:
    for k in range(0, len(moments), len(MOMENTS)):
        yield said(k) + b"}(" + said("step") + said(300_000)
        for name, array in zip(MOMENTS, moments[k:], strict=False):
            yield said(name) + tensor(array, next(keys))
        yield b"u"


def said(value: object) -> bytes:
    """A value in pickle's own language, without its frame."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(array: np.ndarray, key: int) -> bytes:
    kind = b"FloatStorage" if array.dtype == np.float32 else b"LongStorage"
    storage = b"(" + said("storage") + b"ctorch\n" + kind + b"\n" + said(str(key)) + said("cpu") + said(array.size)
    stride = tuple(step // array.itemsize for step in array.strides)
    rest = said(0) + said(array.shape) + said(stride) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"NtQ" + rest + b"tR"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        leave(Path(sys.argv[2]), sys.argv[3])
    else:
        main(sys.argv[1:])
