"""Choose how OpenVINO computes the convolutions of a network on x86 processors."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

import numpy as np

if TYPE_CHECKING:
    from openvino import Core, Model

PRIORITIES: Final = "cpu:jit_avx512_1x1,cpu:jit_avx512_dw,cpu:jit_avx512"  # others follow, without BRGEMM
_X86: Final = ("x86_64", "amd64")


def with_direct_convolutions(core: Core, network: Model) -> Model:
    """Return the network with convolutions that OpenVINO computes directly, not as batches of matrix products (BRGEMM).

    The matrices of layers with few channels are small, as in the face networks: those take a quarter less time. The
    choice is an attribute of a layer that only OpenVINO's file format can carry. Raises what OpenVINO raises.
    """
    import openvino

    if platform.machine().lower() not in _X86:
        return network
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        graph, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(network, graph, weights)
        root = ElementTree.fromstring(graph.read_bytes())
        content = openvino.Tensor(np.fromfile(weights, np.uint8))
    for layer in root.iter("layer"):
        if layer.get("type") in ("Convolution", "GroupConvolution"):
            _add_attribute(layer)
    return core.read_model(ElementTree.tostring(root), content)


def _add_attribute(layer: ElementTree.Element) -> None:
    information = layer.find("rt_info")
    if information is None:
        information = ElementTree.Element("rt_info")
        layer.insert(1, information)  # after its data, as in OpenVINO's own files
    ElementTree.SubElement(information, "attribute", name="primitives_priority", version="0", value=PRIORITIES)
