"""``lipsync doctor``: check the installation by running each component."""

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
from lipsync.errors import LipsyncError, one_line
from lipsync.monitor import Monitor

LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
RECOGNISER_SHA256 = "aca96f044e24e5c27a0318e4e76d1948ef23d5c3a28511eb37902ad4fcc2b117"
PACKAGES = {
    "onnx": ("importing weights and upscaling with a model", "wav2lip"),
    "ncnn": ("upscaling with --device ncnn or vulkan", "ncnn"),
}
ENCODERS = {"libx264": True, "aac": True, "libx265": False, "libsvtav1": False, "prores_ks": False}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``needed``: the default engine does not work without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Checks the installation by running each component. Exit code 1 if the default engine cannot run."
    )
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
            mark = "ok     " if finding.ok else ("FAILED " if finding.needed else "absent ")
            print(f"{mark} {finding.name:<18} {finding.detail}")
        print("lipsync is ready." if works else "lipsync cannot run; see the lines marked FAILED.")
    return 0 if works else 1


def examine() -> Iterator[Finding]:
    """Yield every finding in the order of the report."""
    from lipsync.enhancers import UPSCALERS
    from lipsync.enhancers.upscale.ncnn import is_installed
    from lipsync.models.devices import DEVICES

    yield Finding("lipsync", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("processor", True, f"{os.cpu_count()} cores, {_cpu_features()}")
    yield Finding("memory", True, _memory(), needed=False)
    yield _check("OpenVINO", _openvino)
    for device in DEVICES:
        yield _check(f"device {device}", lambda name=device: _device(name), device == "cpu")  # type: ignore[misc]
    yield _check("PyAV", _pyav)
    for encoder, needed in ENCODERS.items():
        yield _check(f"encoder {encoder}", lambda name=encoder: _encoder(name), needed)  # type: ignore[misc]
    yield _check("face models", _faces)
    yield _check("motion model", _motion)
    for package, (purpose, extra) in PACKAGES.items():
        found = importlib.util.find_spec(package) is not None
        hint = f"for {purpose}" if found else f'optional, for {purpose}. Run: pip install "lip-sync-service[{extra}]"'
        yield Finding(package, found, hint, needed=False)
    for name, entry in UPSCALERS.items():
        if entry.install is not None:
            found = all(is_installed(name, factor) for factor in entry.factors)
            yield Finding(
                f"upscaler {name}", found, "for --upscale" if found else f"optional. Run: {entry.install}", needed=False
            )


def _check(name: str, attempt: Callable[[], str], needed: bool = True) -> Finding:
    try:
        return Finding(name, True, attempt(), needed)
    except (LipsyncError, ImportError, OSError, ValueError, RuntimeError) as error:
        return Finding(name, False, one_line(error) or type(error).__name__, needed)


def _cpu_features() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return platform.processor() or platform.machine()
    relevant = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx_vnni")
    return f"{platform.machine()}, " + (", ".join(f for f in relevant if f in flags) or "no AVX2")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _openvino() -> str:
    from lipsync.models.openvino_session import shared_core

    core = shared_core()
    precisions = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"{metadata.version('openvino')}, devices {', '.join(core.available_devices)}, CPU precisions {precisions}"


def _device(name: str) -> str:
    from lipsync.models.devices import choose_runtime

    return f"available, fastest precision {choose_runtime(name).precision}"


def _pyav() -> str:
    import av

    return f"{av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def _encoder(name: str) -> str:
    import av

    return av.codec.Codec(name, "w").long_name


def _faces() -> str:
    import numpy as np

    from lipsync.faces.landmarker import Landmarker, bundled_checksum
    from lipsync.faces.recogniser import SIDE, Recogniser, recogniser_checksum
    from lipsync.models.session_cache import SessionCache
    from lipsync.types import Colour, Frame

    if recogniser_checksum() != RECOGNISER_SHA256:
        raise ValueError("face_recogniser.onnx is damaged; reinstall the package")
    if bundled_checksum() != LANDMARKER_SHA256:
        raise ValueError("face_landmarker.task is damaged; reinstall the package")
    luma, chroma = np.full((96, 96), 128, np.uint8), np.full((48, 48), 128, np.uint8)
    grey = Frame(0, luma, chroma, chroma, 8, Colour())
    with Landmarker.open(SessionCache()) as landmarker:
        landmarker.detect(grey)
    with Recogniser.open(SessionCache()) as recogniser:
        recogniser.embed([np.zeros((SIDE, SIDE, 3), np.float32)])
    return "face_landmarker.task and face_recogniser.onnx run, checksums match"


def _motion() -> str:
    import numpy as np

    from lipsync.models.session_cache import SessionCache
    from lipsync.speech.motion import open_motion_model

    silence = iter([np.zeros(16_000, np.float32)])
    rows = sum(len(block) for block in open_motion_model(SessionCache()).predict(silence, Fraction(25), 25))
    if rows != 25:
        raise ValueError("the motion model returns the wrong number of frames")
    return "runs"
