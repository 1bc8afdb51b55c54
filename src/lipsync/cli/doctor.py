"""``lipsync doctor``: what works on this machine, tried out rather than guessed."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib import metadata

from lipsync import __version__
from lipsync.errors import LipsyncError
from lipsync.monitor import Monitor

LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
PACKAGES = {
    "onnx": ("importing weights, and for upscaling by a network", "wav2lip"),
    "ncnn": ("--device ncnn and vulkan when upscaling", "ncnn"),
}
ENCODERS = {"libx264": True, "aac": True, "libx265": False, "libsvtav1": False, "prores_ks": False}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``needed``: the default job does not work without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Tries out what lipsync needs; exit code 1 if it cannot work."
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, monitor: Monitor) -> int:
    findings = list(examine())
    works = all(finding.ok for finding in findings if finding.needed)
    if options.json:
        print(json.dumps({"works": works, "version": __version__, "findings": [asdict(f) for f in findings]}))
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else ("MISSING" if finding.needed else "no     ")
            print(f"{mark} {finding.name:<18} {finding.detail}")
        print("lipsync works here." if works else "lipsync does not work here: see the lines marked MISSING.")
    return 0 if works else 1


def examine() -> Iterator[Finding]:
    """Every finding, in the order of the report."""
    from lipsync.enhancers import UPSCALERS
    from lipsync.enhancers.upscale.ncnn import installed
    from lipsync.models.devices import DEVICES

    yield Finding("lipsync", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("processor", True, f"{os.cpu_count()} cores, {_cpu_features()}")
    yield Finding("memory", True, _memory(), needed=False)
    yield _tried("OpenVINO", _openvino)
    for device in DEVICES:
        yield _tried(f"device {device}", lambda name=device: _device(name), device == "cpu")  # type: ignore[misc]
    yield _tried("PyAV", _pyav)
    for encoder, needed in ENCODERS.items():
        yield _tried(f"encoder {encoder}", lambda name=encoder: _encoder(name), needed)  # type: ignore[misc]
    yield _tried("face networks", _faces)
    yield _tried("motion network", _motion)
    for package, (purpose, extra) in PACKAGES.items():
        there = importlib.util.find_spec(package) is not None
        hint = f"for {purpose}" if there else f'only for {purpose}: pip install "lip-sync-service[{extra}]"'
        yield Finding(package, there, hint, needed=False)
    for name, entry in UPSCALERS.items():
        if entry.needs is not None:
            there = all(installed(name, factor) for factor in entry.factors)
            yield Finding(f"upscaler {name}", there, "for --upscale" if there else entry.needs, needed=False)


def _tried(name: str, attempt: Callable[[], str], needed: bool = True) -> Finding:
    try:
        return Finding(name, True, attempt(), needed)
    except (LipsyncError, ImportError, OSError, ValueError, RuntimeError) as error:
        return Finding(name, False, " ".join(str(error).split()) or type(error).__name__, needed)


def _cpu_features() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx_vnni")
    return f"{platform.machine()}, " + (", ".join(f for f in wanted if f in flags) or "no AVX2")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _openvino() -> str:
    from lipsync.models.openvino_session import shared_core

    core = shared_core()
    able = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"{metadata.version('openvino')}, devices {', '.join(core.available_devices)}, CPU runs {able}"


def _device(name: str) -> str:
    from lipsync.models.devices import choose_runtime

    return f"runs networks, best in {choose_runtime(name).precision}"


def _pyav() -> str:
    import av

    return f"{av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def _encoder(name: str) -> str:
    import av

    return av.codec.Codec(name, "w").long_name


def _faces() -> str:
    import numpy as np

    from lipsync.faces.landmarker import Landmarker, bundled_checksum
    from lipsync.models.session_cache import SessionCache
    from lipsync.types import Colour, Frame

    if bundled_checksum() != LANDMARKER_SHA256:
        raise ValueError("face_landmarker.task is not the file that was published; reinstall the package")
    luma, chroma = np.full((96, 96), 128, np.uint8), np.full((48, 48), 128, np.uint8)
    grey = Frame(0, luma, chroma, chroma, 8, Colour())
    with Landmarker.open(SessionCache()) as landmarker:
        landmarker.detect(grey)
    return "face_landmarker.task is whole and runs"


def _motion() -> str:
    import numpy as np

    from lipsync.models.session_cache import SessionCache
    from lipsync.speech.motion import open_motion_model

    quiet = iter([np.zeros(16_000, np.float32)])
    rows = sum(len(piece) for piece in open_motion_model(SessionCache()).predict(quiet, Fraction(25), 25))
    if rows != 25:
        raise ValueError("the motion network gives the wrong number of frames")
    return "is whole and runs"
