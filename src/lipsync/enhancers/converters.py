"""How files of an enhancer's weights become graphs that run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from lipsync.enhancers.restore.onnx_ports import input_signature, read_restorer
from lipsync.enhancers.upscale import rrdbnet, srvgg
from lipsync.errors import CheckpointInvalid, InferenceFailed, ModelCorrupt
from lipsync.models.conversion import Converter
from lipsync.models.devices import open_session
from lipsync.types import Float32

UPSCALER, RESTORER = "upscaler", "restorer"
NETWORK, NETWORK_HALF = "network.onnx", "network-half.onnx"
SIDE = 16  # pixels of the picture that is tried
FLAT = 1e-3  # of 0..1: a picture that differs by less everywhere is one colour
FARTHEST = 1 / 255  # between the two precisions, on average


def _rrdbnet(graph: str, weights: rrdbnet.RrdbWeights) -> bytes:
    return rrdbnet.rrdbnet_graph(weights, half=graph == NETWORK_HALF)


def _srvgg(graph: str, weights: srvgg.SrvggWeights) -> bytes:
    return srvgg.srvgg_graph(weights, half=graph == NETWORK_HALF)


def _as_it_is(graph: str, path: Path) -> bytes:
    return path.read_bytes()


def _try_upscaler(folder: Path) -> None:
    """Raises CheckpointInvalid if no larger picture comes out, or another in half precision."""
    picture = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    whole, half = (_run(folder / graph, picture) for graph in (NETWORK, NETWORK_HALF))
    if np.ptp(whole, axis=(2, 3)).max() < FLAT:
        raise CheckpointInvalid("these weights give no picture, but one colour")
    if not (np.isfinite(whole).all() and np.isfinite(half).all()):
        raise CheckpointInvalid("these weights give no picture, but values that are no numbers")
    if np.abs(whole - half).mean() > FARTHEST * max(1.0, float(np.abs(whole).max())):
        raise CheckpointInvalid("these weights give another picture in half precision")


def _try_restorer(folder: Path) -> None:
    """Raises CheckpointInvalid if no face comes out."""
    ports = input_signature(folder / NETWORK)
    face = np.random.default_rng(0).uniform(-1, 1, (1, 3, ports.side, ports.side)).astype(np.float32)
    try:
        made = open_session(folder / NETWORK).run(ports.arrays(face, 0.5))[0]
    except (ModelCorrupt, InferenceFailed) as exc:
        raise CheckpointInvalid(f"this network does not run: {exc}") from exc
    if made.shape != face.shape:
        raise CheckpointInvalid(f"this network makes {made.shape} of a face, not another of the same size")
    if not np.isfinite(made).all():
        raise CheckpointInvalid("this network gives no face, but values that are no numbers")


def _run(path: Path, picture: Float32) -> Float32:
    (larger,) = open_session(path, shapes=picture.shape).run([picture])
    return np.asarray(larger, np.float32)


CONVERTERS: Final = (
    Converter(
        "RRDBNet",
        UPSCALER,
        1,
        (NETWORK, NETWORK_HALF),
        rrdbnet.read_rrdbnet,
        _rrdbnet,
        _try_upscaler,
        rrdbnet.KEY_PATTERN,
    ),
    Converter(
        "SRVGGNetCompact",
        UPSCALER,
        1,
        (NETWORK, NETWORK_HALF),
        srvgg.read_srvgg,
        _srvgg,
        _try_upscaler,
        srvgg.KEY_PATTERN,
    ),
    Converter("a face restorer in ONNX", RESTORER, 1, (NETWORK,), read_restorer, _as_it_is, _try_restorer),
)
