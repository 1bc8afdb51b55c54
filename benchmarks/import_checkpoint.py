"""Measure the import of a Wav2Lip checkpoint of the published size, 436 MB with the optimizer's state.

    python benchmarks/import_checkpoint.py [../shared/parity/weights.py]

    python benchmarks/import_checkpoint.py --into FOLDER NAME

Prints seconds and peak resident memory. The second form imports random weights into a models folder for the other
benchmarks. The file is written in PyTorch's legacy format, with random weights or with those of the given script.
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
        # Written by another process, because a child process inherits the peak memory of its parent.
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, *arguments))
        writer.start()
        writer.join()
        size = path.stat().st_size
        command = [sys.executable, "-m", "lipsync", "models", "import", str(path), "--quiet", "--models-dir"]
        first, again = (measured([*command, str(Path(folder, "store"))]) for _ in range(2))
    print(f"{size / 1e6:.0f} MB: imported in {first.wall:.1f} s ({first.cpu:.1f} s CPU), ", end="")
    print(f"peak {first.peak / 1e6:.0f} MB; again in {again.wall:.1f} s, peak {again.peak / 1e6:.0f} MB")


def import_random(folder: Path, name: str) -> None:
    """Import random weights under a name."""
    with tempfile.TemporaryDirectory(prefix="lipsync-import-") as scratch:
        path = Path(scratch, "random.pth")
        write(path)
        ModelRegistry(Store(folder), (GENERATOR,)).import_file(path, name, Monitor())


def write(path: Path, rule: str | None = None) -> None:
    write_legacy(path, runpy.run_path(rule)["state_dict"]() if rule else random_weights())


def random_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_weights().items():
        spread = 1.0 if len(shape) == 1 else np.sqrt(1 / np.prod(shape[1:]))
        noise = spread * rng.standard_normal(shape, np.float32)
        one = name.endswith(("conv_block.1.weight", "running_var"))
        weights[name] = (1 + 0.1 * np.tanh(noise) if one else noise).astype(np.float32)
    return weights


def write_legacy(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write a training checkpoint as ``torch.save`` before 1.6: names with ``module.``, and Adam's two moments."""
    learned = [array for name, array in weights.items() if array.dtype == np.float32 and "running" not in name]
    moments = [np.abs(array) * np.float32(1e-3) for array in learned for _ in MOMENTS]
    states = {f"module.{name}": array for name, array in weights.items()}
    stored = [*states.values(), *moments]
    keys = iter(range(len(stored)))
    body = pickled("state_dict") + b"ccollections\nOrderedDict\n)R("
    body += b"".join(pickled(name) + tensor(array, next(keys)) for name, array in states.items()) + b"u"
    body += pickled("optimizer") + b"}" + pickled("state") + b"}(" + b"".join(_adam(moments, keys)) + b"us"
    body += pickled("global_step") + pickled(300_000)
    with path.open("wb") as file:
        for part in (MAGIC, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, 2))
        file.write(b"\x80\x02}(" + body + b"u.")
        file.write(pickle.dumps([str(key) for key in range(len(stored))], 2))
        for array in stored:
            file.write(struct.pack("<q", array.size) + array.tobytes())


def _adam(moments: list[np.ndarray], keys: Iterator[int]) -> Iterator[bytes]:
    for k in range(0, len(moments), len(MOMENTS)):
        yield pickled(k) + b"}(" + pickled("step") + pickled(300_000)
        for name, array in zip(MOMENTS, moments[k:], strict=False):
            yield pickled(name) + tensor(array, next(keys))
        yield b"u"


def pickled(value: object) -> bytes:
    """Pickle a value, without the header and the end."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(array: np.ndarray, key: int) -> bytes:
    kind = b"FloatStorage" if array.dtype == np.float32 else b"LongStorage"
    storage = (
        b"("
        + pickled("storage")
        + b"ctorch\n"
        + kind
        + b"\n"
        + pickled(str(key))
        + pickled("cpu")
        + pickled(array.size)
    )
    stride = tuple(step // array.itemsize for step in array.strides)
    rest = pickled(0) + pickled(array.shape) + pickled(stride) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"NtQ" + rest + b"tR"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        import_random(Path(sys.argv[2]), sys.argv[3])
    else:
        main(sys.argv[1:])
