"""Converters for the weights of enhancers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from lipsync.enhancers.restore.onnx_ports import input_signature, read_restorer
from lipsync.enhancers.upscale import rrdbnet, srvgg
from lipsync.errors import CheckpointInvalid, InferenceFailed, ModelCorrupt
from lipsync.models.conversion import Converter
from lipsync.models.devices import open_session
from lipsync.models.finite import check_finite
from lipsync.types import Float32

NETWORK, NETWORK_HALF = "network.onnx", "network-half.onnx"
SIDE = 16  # pixels of the input of a smoke test
MIN_CONTRAST = 1e-3  # of 0..1: an output with a smaller range in every channel is uniform
MAX_HALF_ERROR = 1 / 255  # mean difference between single and half precision


def _build_rrdbnet(graph: str, weights: rrdbnet.RrdbWeights) -> bytes:
    return rrdbnet.rrdbnet_graph(weights, half=graph == NETWORK_HALF)


def _build_srvgg(graph: str, weights: srvgg.SrvggWeights) -> bytes:
    return srvgg.srvgg_graph(weights, half=graph == NETWORK_HALF)


def _copy(graph: str, path: Path) -> bytes:
    return path.read_bytes()


def _test_upscaler(folder: Path) -> None:
    """Raise CheckpointInvalid for a uniform or non-finite output, or another output in half precision."""
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    single, half = (_run(folder / graph, image) for graph in (NETWORK, NETWORK_HALF))
    if np.ptp(single, axis=(2, 3)).max() < MIN_CONTRAST:
        raise CheckpointInvalid("the converted model produced a uniform image")
    for output in (single, half):
        check_finite(output, CheckpointInvalid, "the converted model produced")
    if np.abs(single - half).mean() > MAX_HALF_ERROR * max(1.0, float(np.abs(single).max())):
        raise CheckpointInvalid("the converted model produced a different image in half precision")


def _test_restorer(folder: Path) -> None:
    """Raise CheckpointInvalid for an output of another shape or a non-finite one."""
    signature = input_signature(folder / NETWORK)
    face = np.random.default_rng(0).uniform(-1, 1, (1, 3, signature.side, signature.side)).astype(np.float32)
    try:
        output = open_session(folder / NETWORK).run(signature.arrays(face, 0.5))[0]
    except (ModelCorrupt, InferenceFailed) as exc:
        raise CheckpointInvalid(f"the converted model does not run: {exc}") from exc
    if output.shape != face.shape:
        raise CheckpointInvalid(f"the converted model produced shape {output.shape}: expected {face.shape}")
    check_finite(output, CheckpointInvalid, "the converted model produced")


def _run(path: Path, image: Float32) -> Float32:
    (output,) = open_session(path, shapes=image.shape).run([image])
    return np.asarray(output, np.float32)


CONVERTERS: Final = (
    Converter(
        name="RRDBNet",
        kind="upscaler",
        version=1,
        graphs=(NETWORK, NETWORK_HALF),
        read=rrdbnet.read_rrdbnet,
        build=_build_rrdbnet,
        smoke_test=_test_upscaler,
        key_pattern=rrdbnet.KEY_PATTERN,
    ),
    Converter(
        name="SRVGGNetCompact",
        kind="upscaler",
        version=1,
        graphs=(NETWORK, NETWORK_HALF),
        read=srvgg.read_srvgg,
        build=_build_srvgg,
        smoke_test=_test_upscaler,
        key_pattern=srvgg.KEY_PATTERN,
    ),
    Converter(
        name="ONNX face restorer",
        kind="restorer",
        version=1,
        graphs=(NETWORK,),
        read=read_restorer,
        build=_copy,
        smoke_test=_test_restorer,
    ),
)
